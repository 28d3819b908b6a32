"""Failures of trials: which a retry may mend, and how the others end a trial at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.exceptions import RayActorError, RayError

from ffl_ray.errors import FFLRayError, NoTestSplitError, PreemptedError
from ffl_ray.results.storage.storage import storage_is_full

# The metric by which a trial tells the driver of its failure.
FAILURE = "failure"
LOST = (
    *("DistBackendError", "DistNetworkError", "DistStoreError", "AcceleratorError"),
    *("WorkerHealthCheckTimeoutError", "CollectiveTimeoutError", "GpuLostError"),
)
# Libraries on a GPU that can't have what they work in; torch and Ray have kinds of their own.
NO_MEMORY = (
    *("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "DEVICE_ALLOCATION_FAILED"),
    *("CUDA out of memory", "CUDA error: out of memory"),
)
# What a worker on a CPU gets when another one is lost is a plain RuntimeError.
LOST_PEER = "/gloo/"


class NodePreemptedError(RayActorError):
    """A training was told in time that its machine goes, and is stored.

    Ray's own kind of error for what dies with a preempted machine: Tune and Train start it again
    at once, on another one, and count it against no limit.
    """

    def __init__(self, message: str) -> None:
        super().__init__(error_msg=message, preempted=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return NodePreemptedError, (self.error_msg,)


@contextmanager
def preemption_for_ray() -> Iterator[None]:
    """Raise a training's PreemptedError in the form that Ray understands."""
    try:
        yield
    except PreemptedError as error:
        raise NodePreemptedError(str(error)) from None


def retry_may_help(error: BaseException) -> bool:
    """Whether the same training may succeed when it is started again.

    A lost process, node, connection or file system may come back. What the code itself raises (a
    setting, a user's backbone, memory that is too small) would be met again.
    """
    if isinstance(error, FFLRayError) or storage_is_full(error):
        return False
    if isinstance(error, (RayError, ConnectionError, TimeoutError)):
        return True
    if isinstance(error, OSError):
        return not isinstance(error, (FileNotFoundError, PermissionError, NotADirectoryError))
    if isinstance(error, RuntimeError) and LOST_PEER in str(error):
        return True
    return any(kind.__name__ in LOST for kind in type(error).__mro__)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not do, a GPU's or the machine's."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"OutOfMemoryError", "MemoryError"}) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in NO_MEMORY)
    )


def failure_of(error: BaseException) -> dict[str, Any]:
    """A failure as what a trial reports of it.

    A failed trial is an ordinary result of a search; a full disk ends the search itself, and a
    test split that can't be opened the final runs that need it.
    """
    text = str(error) or type(error).__name__
    ends_study = storage_is_full(error) or isinstance(error, NoTestSplitError)
    return {"error": (type(error).__name__, text), "ends_study": ends_study}


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
