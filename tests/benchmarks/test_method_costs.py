"""The cost of an epoch of every method: what is counted, and what an epoch is."""

import argparse
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from support.helpers import small_config

from benchmarks.method_costs import AS_PUBLISHED, EQUAL, Epochs, configs, cpu_seconds, rows
from benchmarks.methods import BASELINE, SHARED
from ffl_ray.config.methods import METHODS


def test_the_first_round_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0, 9, 9, 10, 20, 23, 23, 25, 30, 34, 34, 36, 40, 48, 48, 57])
    monkeypatch.setattr("time.process_time", lambda: next(times))
    epochs: dict[tuple[str, str], Callable[[], None]] = {
        ("one", AS_PUBLISHED): lambda: None,
        ("dml", EQUAL): lambda: None,
    }

    assert cpu_seconds(epochs, 3) == {("one", AS_PUBLISHED): 4, ("dml", EQUAL): 2}


def test_each_call_is_a_further_epoch_of_the_training() -> None:
    with ExitStack() as left:
        epochs = Epochs(small_config(), left)
        epochs()
        epochs()

    assert epochs.progress.epochs_done == 2


def test_every_method_is_measured_and_shares_in_one_way_where_it_may() -> None:
    options = argparse.Namespace(
        data_dir="/data", fraction=0.05, rounds=1, branches=3, backbone="resnet8"
    )

    found = configs(options)

    assert {name for name, way in found if way == AS_PUBLISHED} == set(METHODS)
    shared = {name: config for (name, way), config in found.items() if way == EQUAL}
    assert BASELINE in shared
    assert "ffl" not in shared  # as published it shares these
    assert {config.model.trunk_stages for config in shared.values()} == {SHARED}
    assert found["ahbf", AS_PUBLISHED].model.mix == ("resnet8", "resnet8+4", "resnet8+8")


def test_costs_are_times_of_independent_branches_that_share_nothing() -> None:
    seconds = {(BASELINE, AS_PUBLISHED): 2.0, (BASELINE, EQUAL): 1.0, ("ffl", AS_PUBLISHED): 3.0}

    assert [*rows(seconds)] == [
        {"method": "`independent`", AS_PUBLISHED: "1.00", EQUAL: "0.50"},
        {"method": "`ffl`", AS_PUBLISHED: "1.50", EQUAL: ""},
    ]
