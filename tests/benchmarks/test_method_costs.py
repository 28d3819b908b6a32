"""The cost of a step of every method: what is counted."""

import pytest
import torch

from benchmarks.method_costs import config_of, least_seconds, step_of


def test_the_first_round_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0, 9, 9, 10, 20, 23, 23, 25])
    monkeypatch.setattr("time.process_time", lambda: next(times))
    steps = {"one": lambda: None, "other": lambda: None}

    assert least_seconds(steps, 1) == {"one": 3, "other": 2}


@pytest.mark.parametrize("method", ["independent", "ffsd", "okdph"])
def test_a_step_trains_every_branch(method: str) -> None:
    torch.manual_seed(0)

    step, network = step_of(config_of(method, "3*resnet8"), batch=4)
    before = [x.clone() for x in network.classifiers.parameters()]
    step()

    assert not any(map(torch.equal, before, network.classifiers.parameters()))
