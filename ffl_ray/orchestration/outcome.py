"""What a trial tells the driver beside its epochs, in words that both import.

Kept apart from the recorder: with it every worker would import Optuna and the tables.
"""

from __future__ import annotations

from ray.exceptions import RayActorError

from ffl_ray.errors import FFLRayError

FAILURE = "failure"


def first_cause(error: BaseException) -> BaseException:
    """What really went wrong, below Ray's wrapping.

    When one worker of several fails, the others lose their connection to it: what ffl_ray itself
    raised comes first, then a death, then the rest.
    """
    failures = [first_cause(f) for f in getattr(error, "worker_failures", {}).values()]
    for kind in (FFLRayError, RayActorError, Exception):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    # Ray Train wraps the death of a worker as a failed health check.
    cause = getattr(error, "cause", None) or getattr(error, "health_check_failure", None)
    return first_cause(cause) if isinstance(cause, BaseException) else error
