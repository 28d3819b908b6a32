"""Several trainings in threads of one process: each learns what it learns alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.compared import assert_same_weights, weights, without_times
from support.helpers import MemorySession, small_config
from support.simulated_cuda import SimulatedCuda
from support.threaded import in_threads

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.training.cuda_graphs import CudaGraphs
from ffl_ray.training.recording import Captures
from ffl_ray.training.turns import Seat, Turns, kept_for_this_training, next_turn, seated, waiting
from ffl_ray.training.worker import run_worker

CPU = torch.device("cpu")
SMALL = {
    "data__fraction": 0.1,
    "optim__epochs": 2,
    "optim__batch_size": 32,
    "objective": "ensemble.accuracy",
}
# Initial weights, helpers, averaged weights: what draws from torch's own generator.
DIFFERENT: list[dict[str, object]] = [
    {"seed": 1},
    {"seed": 2, "distill__method": "okddip", "model__mix": "3*resnet8"},
    {"seed": 3, "distill__method": "pcl"},
    {"seed": 4, "model__mix": "2*support.tiny_nets:dropping"},
]


def training(config: ResolvedConfig, session: MemorySession, turns: Turns) -> Callable[[], object]:
    def work() -> None:
        with seated(Seat(turns), CPU):
            run_worker(config, session)

    return work


def test_trainings_in_threads_learn_bit_for_bit_what_they_learn_alone() -> None:
    configs = [small_config(**SMALL | own) for own in DIFFERENT]
    alone, beside = ([MemorySession() for _ in configs] for _ in range(2))
    for config, session in zip(configs, alone, strict=True):
        run_worker(config, session)
    turns = Turns()

    raised = in_threads([training(*each, turns) for each in zip(configs, beside, strict=True)])

    assert raised == [None] * len(configs)
    for one, other in zip(alone, beside, strict=True):
        assert without_times(other.rows) == without_times(one.rows)
        assert other.members == one.members
        assert_same_weights(weights(other.files), weights(one.files))
    # What they have together is no one's.
    of_process = {(row["peak_memory_bytes"], row["train_cpu_s"]) for s in beside for row in s.rows}
    assert of_process == {(None, None)}


def test_threads_take_turns_in_order_and_what_they_keep_is_set_again() -> None:
    turns, told, flag = Turns(), [], [""]
    together = threading.Barrier(3)

    def work(name: str) -> Callable[[], object]:
        def take_turns() -> None:
            with seated(Seat(turns), CPU):
                kept_for_this_training(lambda: flag.__setitem__(0, name))
                with waiting():
                    together.wait(10)
                for _ in range(5):
                    assert flag == [name]
                    told.append(name)
                    time.sleep(0.01)
                    next_turn()

        return take_turns

    assert in_threads([work(name) for name in "abc"]) == [None] * 3

    assert [set(told[i : i + 3]) for i in range(0, 15, 3)] == [set("abc")] * 5


def test_a_stopped_training_ends_as_its_turn_begins_and_others_go_on() -> None:
    turns, came = Turns(), threading.Event()
    stopped, other = Seat(turns), Seat(turns)

    def endless() -> None:
        with seated(stopped, CPU):
            while True:
                came.set()
                next_turn()

    def stop() -> None:
        came.wait(10)
        with seated(other, CPU):
            stopped.stopped = True
            next_turn()

    ended, went_on = in_threads([endless, stop])

    assert isinstance(ended, SystemExit)
    assert went_on is None


def test_trainings_one_after_the_other_have_no_stream_of_one_that_lives() -> None:
    cuda, turns, gpu = SimulatedCuda(), Turns(), torch.device("cuda", 0)
    lasts, others = set[Any](), set[Any]()
    came, went = threading.Event(), threading.Event()

    def trains(taken: set[Any]) -> None:
        captures = Captures(gpu, allowed=True)
        graphs = CudaGraphs(captures, steps_planned=1)
        taken |= {cuda.stream, captures._stream, graphs._makes_on}

    def lives() -> None:
        with cuda.here(), seated(Seat(turns), gpu):
            trains(lasts)
            came.set()
            with waiting():
                went.wait(30)

    def come_and_go() -> None:
        came.wait(30)
        for _ in range(20):
            with cuda.here(), seated(Seat(turns), gpu):
                trains(others)
        went.set()

    with cuda.installed():
        assert in_threads([lives, come_and_go]) == [None, None]

    assert (len(lasts), len(others)) == (3, 3)
    assert not lasts & others


def test_a_failure_while_others_have_their_turns_is_raised_and_ends_this_one_s() -> None:
    turns = Turns()

    def fails() -> None:
        with seated(Seat(turns), CPU), waiting():
            raise OSError("no space left on device")

    failed, other = in_threads([fails, training(small_config(**SMALL), MemorySession(), turns)])

    assert isinstance(failed, OSError)
    assert other is None
    assert not turns.taken


def test_alone_there_are_no_turns() -> None:
    next_turn()
    with pytest.raises(ZeroDivisionError), waiting():
        _ = 1 / 0
