"""What is done for a GPU's sake: when it is done, and that it changes nothing but the time."""

from typing import ClassVar

import pytest
import torch
from support.helpers import MemorySession, small_config

from ffl_ray.data.batches import Batch, EpochRequest
from ffl_ray.data.loader import load_train_val
from ffl_ray.training.cuda_graphs import (
    WARM_UP_STEPS,
    CudaGraphs,
    RecordedEpoch,
    can_be_recorded,
    prefetched,
)
from ffl_ray.training.engine import Loss, Step, train_epoch
from ffl_ray.training.optimizer import new_optimizer
from ffl_ray.training.setup import new_network, prepare
from ffl_ray.training.steps import step_of
from ffl_ray.training.worker import run_worker

CUDA = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize(
    ("settings", "device", "workers", "expected"),
    [
        ({}, "cuda", 1, True),
        ({}, "cpu", 1, False),
        ({}, "cuda", 2, False),
        ({"optim__optimizer": "adamw"}, "cuda", 1, False),
        ({"distill__method": "pcl"}, "cuda", 1, False),
        ({"distill__method": "one"}, "cuda", 1, True),
    ],
)
def test_a_step_is_recorded_where_it_is_the_same_each_time(
    settings: dict[str, object], device: str, workers: int, expected: bool
) -> None:
    config = small_config(**settings)
    network = new_network(config, load_train_val(config.data))

    found = can_be_recorded(torch.device(device), network, new_optimizer(config, network), workers)

    assert found is expected


def test_batches_on_a_cpu_pass_as_they_are() -> None:
    config = small_config()
    training = prepare(config, MemorySession())
    batches = list(training.train.train_batches(EpochRequest(batch_size=64, seed=0, epoch=0)))

    passed = list(prefetched(iter(batches), torch.device("cpu")))

    assert [id(batch) for batch in passed] == [id(batch) for batch in batches]


def test_a_step_that_can_t_be_recorded_is_run_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training = prepare(small_config(), MemorySession())
    plain = prepare(small_config(), MemorySession())
    tried = []

    def refuse(*args: object, **kwargs: object) -> None:
        tried.append(args)
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", refuse)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    graphs, step = CudaGraphs(), step_of(training, 1.0)
    for epoch in range(2):
        recorded = RecordedEpoch(step, graphs)
        for batch in training.train.train_batches(EpochRequest(batch_size=64, seed=0, epoch=epoch)):
            recorded.run(batch)
        for batch in plain.train.train_batches(EpochRequest(batch_size=64, seed=0, epoch=epoch)):
            step_of(plain, 1.0).run(batch)

    assert len(tried) == 1
    assert all(map(torch.equal, training.network.parameters(), plain.network.parameters()))


class Recorded:
    """Stands for a recorded step: it notes what is replayed, and takes the step."""

    replayed: ClassVar[list[Batch]] = []

    def __init__(self, step: Step, batch: Batch, pool: object) -> None:
        self.step = step
        self.size = len(batch.labels)

    def fits(self, batch: Batch) -> bool:
        return len(batch.labels) == self.size

    def replay(self, batch: Batch) -> Loss:
        self.replayed.append(batch)
        return self.step.run(batch)


def test_the_first_steps_of_an_epoch_are_run_and_the_others_of_their_size_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ffl_ray.training.cuda_graphs.RecordedStep", Recorded)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(Recorded, "replayed", [])
    training = prepare(small_config(), MemorySession())
    batches = list(training.train.train_batches(EpochRequest(batch_size=64, seed=0, epoch=0)))

    recorded = RecordedEpoch(step_of(training, 1.0), CudaGraphs())
    trained = train_epoch(recorded, batches)

    *whole, last = batches
    assert len(last.labels) < 64
    assert [id(b) for b in Recorded.replayed] == [id(b) for b in whole[WARM_UP_STEPS:]]
    assert trained.images == len(training.train.images)


@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recorded_steps_give_what_steps_one_by_one_give(precision: str) -> None:
    rows = []
    for recorded in (True, False):
        session = MemorySession()
        session.device = CUDA
        config = small_config(
            compute__cuda_graphs=recorded, compute__precision=precision, optim__epochs=3
        )
        run_worker(config, session)
        rows.append([row["loss.total"] for row in session.rows])

    assert rows[0] == pytest.approx(rows[1], rel=1e-3 if precision == "float32" else 2e-2)
