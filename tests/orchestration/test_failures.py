"""What is tried again, and what ends a trial at once."""

import errno
import pickle

import pytest
import torch
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import (
    WorkerHealthCheckFailedError,
    WorkerHealthCheckTimeoutError,
)
from ray.train.v2._internal.execution.failure_handling.default import DefaultFailurePolicy
from ray.train.v2.api.config import FailureConfig
from ray.tune.experiment import Trial

from ffl_ray.errors import PreemptedError, SettingError, TrainingDivergedError
from ffl_ray.orchestration.failures import (
    NodePreemptedError,
    failure_of,
    first_cause,
    is_out_of_memory,
    preemption_for_ray,
    retry_may_help,
)

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "error",
    [
        RayActorError(),
        NodePreemptedError("stored after step 3"),
        OutOfMemoryError("killed by the memory monitor"),  # type: ignore[no-untyped-call]
        ConnectionResetError("peer"),
        TimeoutError("storage"),
        OSError(errno.EIO, "Input/output error"),
        torch.distributed.DistBackendError("NCCL"),
        RuntimeError(
            "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:538] Connection closed"
        ),
        WorkerHealthCheckTimeoutError("no answer"),  # type: ignore[no-untyped-call]
    ],
)
def test_what_was_lost_may_come_back(error: Exception) -> None:
    assert retry_may_help(error)


@pytest.mark.parametrize(
    "error",
    [
        TrainingDivergedError("the training loss became nan"),
        SettingError("optim.lr"),
        ZeroDivisionError("in a user's backbone"),
        RuntimeError("a shape in a user's backbone"),
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        FileNotFoundError("data"),
        FULL,
    ],
)
def test_what_would_be_met_again_is_not_tried_again(error: Exception) -> None:
    assert not retry_may_help(error)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB"),
        torch.AcceleratorError("CUDA error: out of memory"),  # of a context, a stream, a graph
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        MemoryError(),
    ],
)
def test_whatever_says_that_memory_ended_is_known(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_a_dead_worker_is_the_cause_of_what_its_neighbours_met() -> None:
    dead = WorkerHealthCheckFailedError("A worker health check failed", RayActorError())
    group = WorkerGroupError("two", {0: RuntimeError("gloo"), 1: dead})

    assert isinstance(first_cause(group), RayActorError)
    assert retry_may_help(first_cause(group))


def test_what_a_worker_raised_itself_comes_before_the_death_of_another() -> None:
    diverged = TrainingDivergedError("nan")

    assert first_cause(WorkerGroupError("two", {0: RayActorError(), 1: diverged})) is diverged


def test_a_failure_says_what_it_was_and_whether_the_study_can_go_on() -> None:
    assert failure_of(ValueError("no")) == {
        "error": ("ValueError", "no"),
        "ends_study": False,
    }
    assert failure_of(FULL)["ends_study"]
    assert failure_of(MemoryError())["error"] == ("MemoryError", "MemoryError")


def of_a_preempted_training() -> Exception:
    """As it arrives in the driver."""
    with pytest.raises(NodePreemptedError) as raised, preemption_for_ray():
        raise PreemptedError("stored after step 3")
    arrived: Exception = pickle.loads(pickle.dumps(raised.value))
    return arrived


def test_tune_counts_no_failure_of_a_preempted_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "local_path", None)  # no file of the error
    trial = Trial("stub", stub=True, max_failures=0)

    trial.handle_error(RayTaskError("train", "", of_a_preempted_training()))  # type: ignore[no-untyped-call]
    preempted = (trial.num_failures, trial.should_recover())  # type: ignore[no-untyped-call]
    trial.handle_error(RayTaskError("train", "", ConnectionResetError()))  # type: ignore[no-untyped-call]

    assert preempted == (0, True)
    assert trial.num_failures == 1
    assert not trial.should_recover()  # type: ignore[no-untyped-call]


def test_train_starts_preempted_workers_again_whatever_max_failures_is() -> None:
    policy = DefaultFailurePolicy(FailureConfig(max_failures=0))
    preempted = WorkerGroupError("", {rank: of_a_preempted_training() for rank in (0, 1)})

    decisions = [policy.make_decision(preempted).name for _ in range(3)]
    lost = policy.make_decision(WorkerGroupError("", {0: ConnectionResetError()})).name

    assert decisions == ["RETRY"] * 3
    assert lost == "RAISE"
    assert isinstance(first_cause(preempted), NodePreemptedError)
    assert str(first_cause(preempted)) == "stored after step 3"


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


PEER_LOST = RuntimeError("connection closed by peer")
DIVERGED = TrainingDivergedError("the training loss became nan")
DIED = RayActorError()


def test_what_ffl_ray_raised_comes_before_its_consequences() -> None:
    assert first_cause(GroupError({0: PEER_LOST, 1: WrappedError(DIVERGED), 2: DIED})) is DIVERGED


def test_a_death_comes_before_lost_connections() -> None:
    assert first_cause(GroupError({0: PEER_LOST, 1: DIED})) is DIED


def test_a_single_error_is_unwrapped() -> None:
    assert first_cause(WrappedError(PEER_LOST)) is PEER_LOST
    assert first_cause(PEER_LOST) is PEER_LOST
