"""Trainings of several trials in one process, and what ends each of them, or all."""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from pathlib import Path

import psutil
import pytest
import torch
from support.compared import without_times
from support.helpers import NUM_THREADS, MemorySession, small_config

from ffl_ray.orchestration import hosted, local
from ffl_ray.orchestration.hosted import HostedTrainings
from ffl_ray.orchestration.job import Job, Told
from ffl_ray.planning.layout import Plan
from ffl_ray.training.recording import Captures
from ffl_ray.training.session import Report, Session
from ffl_ray.training.worker import run_worker

SHARED = Plan(2, 1, NUM_THREADS, 0, in_one_process=True)
SMALL = {"data__fraction": 0.1, "optim__epochs": 2}


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> HostedTrainings:
    monkeypatch.setattr(hosted, "WAIT_S", 0.05)
    return HostedTrainings(NUM_THREADS)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Exit statuses with which the process would have ended."""
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    return statuses


def job(folder: Path, trial_id: str = "00000", **settings: object) -> Job:
    return Job.planned(trial_id, small_config(**SMALL | settings), str(folder), SHARED)


def heard_to_end(trainings: HostedTrainings, trial_id: str) -> tuple[list[Report], Told]:
    reports: list[Report] = []
    while True:
        told = trainings.told(trial_id, len(reports))
        if told is not None and told.report is None:
            return reports, told
        if told is not None and told.report is not None:
            reports.append(told.report)


def test_trials_of_one_process_report_what_they_would_alone_and_one_fails_by_itself(
    tmp_path: Path, trainings: HostedTrainings
) -> None:
    alone = MemorySession()
    run_worker(small_config(**SMALL), alone)

    trainings.begin(job(tmp_path), 1)
    trainings.begin(job(tmp_path, "00001", optim__lr=100.0, optim__weight_decay=1.0), os.getpid())
    [(reports, ended), (none, failed)] = (heard_to_end(trainings, f"0000{i}") for i in (0, 1))

    assert without_times([one.row for one in reports]) == without_times(alone.rows)
    assert ended == Told()
    assert none == []
    assert failed.failure is not None
    assert failed.failure["error"][0] == "TrainingDivergedError"


def test_a_trial_waits_for_what_is_made_of_its_report_and_ends_there(
    tmp_path: Path, trainings: HostedTrainings
) -> None:
    long = job(tmp_path, optim__epochs=50)
    trainings.begin(long, os.getpid())
    while (first := trainings.told("00000", 0)) is None:
        pass
    stored = long.files.read("latest.pt")

    assert trainings.told("00000", 0) is None
    assert long.files.read("latest.pt") == stored
    trainings.stop("00000", 1)  # A call of an attempt before, which comes late.
    assert trainings.told("00000", 0) is None
    trainings.stop("00000", os.getpid())

    assert first.report is not None
    assert first.report.row["epoch"] == 1
    assert long.files.read("latest.pt") == stored
    trainings.stop("00000", os.getpid())  # Nothing is left of it.


def test_who_begins_again_finds_the_training_before_ended(
    tmp_path: Path, trainings: HostedTrainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[int] = []
    monkeypatch.setattr(local, "run_worker", lambda config, session: watched(session, at_once))

    trainings.begin(job(tmp_path), 1)
    trainings.begin(job(tmp_path), os.getpid())  # tried again by another actor
    trainings.begin(job(tmp_path, "00001"), os.getpid())  # the next trial of that one
    trainings.stop("00001", os.getpid())

    assert at_once == [1, 0] * 3


def watched(session: Session, at_once: list[int]) -> None:
    """Train for ever, and note how many do so."""
    at_once.append(at_once.count(1) - at_once.count(0) + 1)
    try:
        while True:
            session.write("latest.pt", b"")
    finally:
        at_once.append(0)


def test_a_training_ends_with_the_trial_that_asked_for_it_and_the_process_when_it_is_idle(
    tmp_path: Path, trainings: HostedTrainings, ended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    trainings.begin(job(tmp_path, optim__epochs=50), gone.pid)

    trainings.look()

    assert ended == []
    with pytest.raises(KeyError):
        trainings.told("00000", 0)
    monkeypatch.setattr(hosted, "IDLE_S", 0.0)
    trainings.look()
    assert ended == [0]


def test_memory_that_ends_costs_one_trial_and_a_lost_gpu_the_process(
    tmp_path: Path, trainings: HostedTrainings, ended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[BaseException] = [torch.OutOfMemoryError(f"CUDA {i}") for i in range(3)]
    calls: list[str] = []
    held: list[weakref.ref[torch.Tensor]] = []

    def train(config: object, session: object) -> None:
        calls.append("train")
        weights = torch.zeros(1)
        held.append(weakref.ref(weights))
        if failures:
            raise failures.pop()

    monkeypatch.setattr(local, "run_worker", train)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("empty_cache"))

    found = [train_one(trainings, job(tmp_path))]
    assert [weights() for weights in held] == [None, None]  # though somebody has the error
    found.append(train_one(trainings, job(tmp_path)))

    assert isinstance(found[0].error, torch.OutOfMemoryError)  # may be a neighbour's: no failure
    assert found[1] == Told()
    assert calls == ["train", "empty_cache"] * 3 + ["train"]
    failures.append(SystemExit("the method's own"))
    assert train_one(trainings, job(tmp_path)).failure == {
        "error": ("SystemExit", "the method's own"),
        "ends_study": False,
    }
    failures.append(OSError("the storage does not answer"))
    assert isinstance(train_one(trainings, job(tmp_path)).error, OSError)
    failures.append(RuntimeError("CUDA error: an illegal memory access"))
    # Nobody but the training's end looks: the GPU was lost outside of it.
    monkeypatch.setattr(hosted, "gpu_is_lost", lambda: True)
    trainings.begin(job(tmp_path), os.getpid())
    trainings.stop("00000", os.getpid())
    assert ended == [1]
    monkeypatch.setattr(Captures, "left_capturing", True)
    trainings.look()
    assert ended == [1, 1]


def train_one(trainings: HostedTrainings, one: Job) -> Told:
    trainings.begin(one, os.getpid())
    return heard_to_end(trainings, one.trial_id)[1]


def test_the_watch_goes_on_whatever_it_meets_and_another_user_s_process_lives(
    trainings: HostedTrainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[BaseException] = [SystemExit(), OSError("too many open files")]

    def meets(*_: object) -> None:
        raise met.pop()

    monkeypatch.setattr(hosted, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(trainings, "look", meets)
    with pytest.raises(SystemExit):
        trainings.watch()

    met.append(PermissionError("not this user's"))
    monkeypatch.setattr(os, "kill", meets)
    assert psutil.pid_exists(1)
