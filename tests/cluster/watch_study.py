"""Tell of a study while it runs: a line of JSON whenever its tables have changed.

`python watch_study.py URI [--once]`. Each line holds, of every trial, its status, attempt and
error, and the epochs that it has rows of. A study that is not there yet is waited for.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import ffl_ray.results
from ffl_ray.errors import StudyError


def look(uri: str) -> dict[str, Any]:
    """What the tables hold now; nothing when there is no study."""
    try:
        trials, epochs, _ = ffl_ray.results.load(uri)
    except StudyError:
        return {}
    found = trials.set_index("trial_id")[["status", "attempt", "error_type"]].T.to_dict()
    for trial_id, columns in found.items():
        own = epochs[epochs.trial_id == trial_id]
        columns |= {"epochs": own.epoch.tolist(), "attempts": own.attempt.tolist()}
    return {str(trial_id): columns for trial_id, columns in found.items()}


def main(uri: str, *, once: bool) -> None:
    """Look, and tell, until nobody listens."""
    told: dict[str, Any] = {}
    while True:
        seen = look(uri)
        if seen != told or once:
            sys.stdout.write(json.dumps(seen, default=str) + "\n")
            sys.stdout.flush()
            told = seen
        if once:
            return
        time.sleep(0.5)


if __name__ == "__main__":
    main(sys.argv[1], once="--once" in sys.argv)
