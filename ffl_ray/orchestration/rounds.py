"""Tune run again for what it gave up though it may be started again."""

from __future__ import annotations

from collections.abc import Callable

from ffl_ray.orchestration.recorder import Recorder


def run_rounds(
    fit: Callable[[], Recorder], unended: Callable[[], int], max_failures: int
) -> Recorder:
    """Run Tune, and again while all that is left to do is what it lost.

    Anything else that is left says that a person or a lack of time ended it.

    Args:
        fit: runs Tune once, for all that has not ended.
        unended: how many trials these are.
        max_failures: how often it may be run again.

    Returns:
        What recorded the last round.
    """
    recorder = fit()
    for _ in range(max_failures):
        if not recorder.lost or recorder.hopeless.message or unended() != len(recorder.lost):
            break
        recorder = fit()
    return recorder
