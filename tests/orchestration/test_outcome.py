"""Which of several errors is the cause."""

from ray.exceptions import RayActorError

from ffl_ray.errors import TrainingDivergedError
from ffl_ray.orchestration.failures import first_cause


class GroupError(Exception):
    """As Ray Train raises it when some workers of a group fail."""

    def __init__(self, failures: dict[int, Exception]) -> None:
        super().__init__("a group of workers failed")
        self.worker_failures = failures


class WrappedError(Exception):
    """As Ray wraps what a task raised."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("wrapped")
        self.cause = cause


LOST = RuntimeError("connection closed by peer")
DIVERGED = TrainingDivergedError("the training loss became nan")
DIED = RayActorError()


def test_what_ffl_ray_raised_comes_before_its_consequences() -> None:
    assert first_cause(GroupError({0: LOST, 1: WrappedError(DIVERGED), 2: DIED})) is DIVERGED


def test_a_death_comes_before_lost_connections() -> None:
    assert first_cause(GroupError({0: LOST, 1: DIED})) is DIED


def test_a_single_error_is_unwrapped() -> None:
    assert first_cause(WrappedError(LOST)) is LOST
    assert first_cause(LOST) is LOST
