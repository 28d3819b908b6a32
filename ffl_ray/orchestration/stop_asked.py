"""A stop that somebody asks for from outside, through the study's storage."""

from __future__ import annotations

import time
from typing import Any

from ray.tune import Stopper

from ffl_ray.results.steering import Steering

LOOK_EVERY_S = 5.0


class StopAsked(Stopper):
    """Ends a study once its folder says so; what is finished is kept, as after Ctrl-C.

    Args:
        steering: of the study.
        every_s: seconds between two looks.
    """

    def __init__(self, steering: Steering, every_s: float = LOOK_EVERY_S) -> None:
        self._steering = steering
        self._every_s = every_s
        self._looked_at = float("-inf")
        self._asked = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        now = time.monotonic()
        if not self._asked and now - self._looked_at >= self._every_s:
            self._looked_at = now
            self._asked = self._steering.stop_is_asked()
        return self._asked
