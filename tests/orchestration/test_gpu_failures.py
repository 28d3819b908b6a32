"""A GPU that fails a training: what is the process's fault, and what is the trial's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock

import pytest
import ray
import torch
from ray import tune
from support.helpers import small_config

from ffl_ray.orchestration import gpu_host, local, tune_trial
from ffl_ray.orchestration.failures import FAILURE, retry_may_help
from ffl_ray.orchestration.job import Job, Told
from ffl_ray.orchestration.local import GpuLostError
from ffl_ray.orchestration.train_workers import train_loop
from ffl_ray.orchestration.tune_trial import train_in_actor
from ffl_ray.planning.layout import Plan

CUDNN = RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class FakeGpu(NamedTuple):
    """A process's context on a GPU, and what its trainings, reports and calls were."""

    calls: list[str]
    failures: list[BaseException]
    reports: list[dict[str, Any]]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    """A GPU on which each training fails as the next of `failures` says, and then none."""
    fake = FakeGpu([], [], [])

    def train(config: object, session: object) -> None:
        fake.calls.append("train")
        if fake.failures:
            raise fake.failures.pop(0)

    monkeypatch.setattr(local, "run_worker", train)
    monkeypatch.setattr(tune, "report", fake.reports.append)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: fake.calls.append("synchronize"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: fake.calls.append("empty_cache"))
    monkeypatch.setattr(local, "bound_gpu_memory", lambda share: fake.calls.append(f"{share:g}"))
    return fake


def break_context(monkeypatch: pytest.MonkeyPatch) -> None:
    def synchronize(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)


def job(folder: Path, gpus: float = 1.0) -> dict[str, Any]:
    return Job.planned("00000", small_config(), str(folder), Plan(1, 1, 1, gpus))._asdict()


def test_a_broken_context_is_the_process_s_fault_and_the_trial_is_tried_in_another_one(
    tmp_path: Path, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_context(monkeypatch)
    gpu.failures.append(CUDNN)

    with pytest.raises(GpuLostError, match="RuntimeError: cuDNN error: CUDNN") as raised:
        train_in_actor(job(tmp_path))

    assert retry_may_help(raised.value)
    assert gpu.reports == []


def test_a_worker_of_several_tells_of_its_broken_context(
    tmp_path: Path, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_context(monkeypatch)
    gpu.failures.append(CUDNN)
    monkeypatch.setattr("ffl_ray.orchestration.train_workers.TrainSession", lambda *_: None)

    with pytest.raises(GpuLostError):
        train_loop({"job": job(tmp_path)})


@pytest.mark.parametrize("error", [CUDNN, FULL, ZeroDivisionError("in a user's backbone")])
def test_the_trial_failed_where_its_process_can_go_on(
    tmp_path: Path, gpu: FakeGpu, error: BaseException
) -> None:
    gpu.failures.append(error)

    train_in_actor(job(tmp_path))

    [report] = gpu.reports
    assert report[FAILURE]["error"] == (type(error).__name__, str(error))


@pytest.mark.parametrize(("times", "failed"), [(1, 0), (2, 1)])
def test_a_trial_that_shares_a_gpu_goes_on_once_when_memory_ran_out(
    tmp_path: Path, gpu: FakeGpu, times: int, failed: int
) -> None:
    gpu.failures.extend([FULL] * times)

    train_in_actor(job(tmp_path, 0.25))

    calls = [call for call in gpu.calls if call != "synchronize"]
    assert calls == ["0.25", "train", "empty_cache", "train"]
    assert len(gpu.reports) == failed


def test_an_actor_gives_back_what_a_trial_by_itself_left_before_its_next_one_is_shared(
    tmp_path: Path, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = iter([False, True])
    monkeypatch.setattr(tune_trial, "train_in_host", lambda *_: next(shared))
    one = job(tmp_path, 0.25) | {"in_one_process": True}

    train_in_actor(one)
    gpu.calls.append("next")
    train_in_actor(one)

    assert gpu.calls[-4:] == ["0.25", "train", "next", "empty_cache"]


def test_a_trial_whose_memory_ended_in_a_shared_process_goes_on_in_its_own_on_its_share(
    tmp_path: Path, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = MagicMock()
    monkeypatch.setattr(gpu_host, "_host_here", lambda _: host)
    monkeypatch.setattr(ray, "get", lambda asked: asked)
    host.told.remote.return_value = Told(error=FULL)

    train_in_actor(job(tmp_path, 0.25) | {"in_one_process": True})

    assert gpu.calls[-2:] == ["0.25", "train"]
    assert gpu.reports == []
    host.stop.remote.assert_called_once_with("00000", os.getpid())
