"""A checkpoint that somebody else wrote: plain tensors and numbers, and not one that is trusted."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import torch
from support.helpers import MemorySession, small_config
from torch import nn

from ffl_ray.errors import StudyError
from ffl_ray.training.checkpoint import dump_checkpoint, latest_checkpoint, load_checkpoint
from ffl_ray.training.progress import Progress, UnfinishedEpoch, WorkerState
from ffl_ray.training.session import Report
from ffl_ray.training.worker import run_worker

State = dict[str, Any]
KINDS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda network: torch.optim.SGD(network.parameters(), 0.1, 0.9, fused=True),
    "adamw": lambda network: torch.optim.AdamW(network.parameters(), 0.1, fused=True),
}


def trained(kind: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = KINDS[kind](network)
    torch.autograd.backward(network(torch.rand(5, 3)).square().sum())
    optimizer.step()
    return network, optimizer


def stored(kind: str) -> State:
    """A checkpoint within an epoch, of one of two workers."""
    network, optimizer = trained(kind)
    row = {"epoch": 2, "time": datetime.now(UTC), "loss.total": float("nan"), "lr": None}
    members: list[dict[str, Any]] = [{"member": "fused", "accuracy": 0.5, "latency_ms": None}]
    rank = WorkerState([1.0, 2.0], {"1.running_mean": torch.zeros(4)})
    epoch = UnfinishedEpoch(3, 1.5, ["total"], [rank])
    report = Report(row, members, members)
    data = dump_checkpoint(
        network, optimizer, Progress(2, 1, 0.5, 3.0, "", report, (report,), epoch)
    )
    state: State = torch.load(io.BytesIO(data), weights_only=True)
    return state


def as_bytes(state: State) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def set_to(*path: Any) -> Callable[[State], None]:
    """Put the last word in the place that the others lead to."""
    *way, key, value = path

    def change(state: State) -> None:
        for name in way:
            state = state[name]
        state[key] = value

    return change


def reported(**changes: Any) -> Callable[[State], None]:
    """Have the report say something else."""

    def change(state: State) -> None:
        report = json.loads(state["progress"]["report"])
        report["row"] |= changes.pop("row", {})
        state["progress"]["report"] = json.dumps(report | changes)

    return change


MOMENTUM = ("optimizer", "state", 0, "momentum_buffer")
SGD: dict[str, Callable[[State], None]] = {
    "momentum of another size": set_to(*MOMENTUM, torch.zeros(1)),
    "momentum of a larger size": set_to(*MOMENTUM, torch.zeros(4, 300)),
    "momentum of another dtype": set_to(*MOMENTUM, torch.zeros(4, 3, dtype=torch.float16)),
    "momentum that is sparse": set_to(*MOMENTUM, torch.zeros(4, 3).to_sparse()),
    "momentum without bytes": set_to(*MOMENTUM, torch.zeros(4, 3, device="meta")),
    "momentum that is none": set_to(*MOMENTUM, None),
    "momentum that is a number": set_to(*MOMENTUM, 1.0),
    "momentum that is infinite": set_to(*MOMENTUM, torch.full((4, 3), float("inf"))),
    "more state": set_to("optimizer", "state", 0, "exp_avg", torch.zeros(4, 3)),
    "state of no parameter": set_to("optimizer", "state", 9, {}),
    "state that is a list": set_to("optimizer", "state", []),
    "an optimiser that is none": set_to("optimizer", None),
    "weights of another dtype": set_to(
        "network", "0.weight", torch.zeros(4, 3, dtype=torch.complex64)
    ),
    "weights of another shape": set_to("network", "0.weight", torch.zeros(3, 4)),
    "weights that are a text": set_to("network", "0.weight", "x"),
    "more weights": set_to("network", "2.weight", torch.zeros(1)),
    "a network that is a list": set_to("network", []),
    "very many epochs": set_to("progress", "epochs_done", 10**13),
    "epochs that are true": set_to("progress", "epochs_done", True),
    "epochs below zero": set_to("progress", "epochs_done", -1),
    "a best epoch to come": set_to("progress", "best_epoch", 3),
    "a score that is no number": set_to("progress", "best_score", float("nan")),
    "seconds without end": set_to("progress", "accelerator_s", float("inf")),
    "settings that are a number": set_to("progress", "settings", 3),
    "reports that are no JSON": set_to("progress", "earlier", "["),
    "reports that are an object": set_to("progress", "earlier", '{"a": 1}'),
    "reports as deep as a well": set_to("progress", "earlier", "[" * 100_000),
    "a progress that is a list": set_to("progress", [1]),
    "a report of a text": reported(row={"epoch": "2"}),
    "a report of a huge number": reported(row={"lr": 10**30}),
    "a report with an object": reported(row={"lr": {}}),
    "a report at no time": reported(row={"time": "soon"}),
    "members that are texts": reported(members=["x"]),
    "a member without a name": reported(members=[{"accuracy": 1}]),
    "one thing more to report": reported(more=1),
    "steps that are a text": set_to("part", "steps_done", "3"),
    "very many steps": set_to("part", "steps_done", 10**13),
    "names that are numbers": set_to("part", "names", [1]),
    "no rank": set_to("part", "ranks", []),
    "a sum too few": set_to("part", "ranks", 0, "sums", [1.0]),
    "sums that are texts": set_to("part", "ranks", 0, "sums", ["a", "b"]),
    "statistics of another size": set_to(
        "part", "ranks", 0, "statistics", "1.running_mean", torch.zeros(1)
    ),
    "statistics of nothing": set_to("part", "ranks", 0, "statistics", "x", torch.zeros(4)),
    "a part that is a list": set_to("part", [1]),
}
ADAMW: dict[str, Callable[[State], None]] = {
    "a step that is a number": set_to("optimizer", "state", 0, "step", 1),
    "a step per weight": set_to("optimizer", "state", 0, "step", torch.ones(4, 3)),
    "a step below zero": set_to("optimizer", "state", 0, "step", torch.tensor(-1.0)),
    "a square of another size": set_to("optimizer", "state", 1, "exp_avg_sq", torch.zeros(1)),
    "no square": lambda state: state["optimizer"]["state"][0].pop("exp_avg_sq"),
}


@pytest.mark.parametrize(
    ("kind", "change"),
    [("sgd", change) for change in SGD.values()] + [("adamw", change) for change in ADAMW.values()],
    ids=[*SGD, *ADAMW],
)
def test_what_no_training_could_have_stored_is_refused_before_it_reaches_the_network(
    kind: str, change: Callable[[State], None]
) -> None:
    state = stored(kind)
    change(state)
    network, optimizer = trained(kind)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    of_optimizer = {name: {**one} for name, one in optimizer.state.items()}

    with pytest.raises(StudyError, match="a checkpoint can't be read: ") as refused:
        load_checkpoint(as_bytes(state), network, optimizer)

    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
    assert optimizer.state == of_optimizer
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("kind", KINDS)
def test_an_optimiser_keeps_its_configs_groups_and_its_parameters_layout(kind: str) -> None:
    state = stored(kind)
    state["optimizer"]["param_groups"] = [{"params": [7], "lr": 1e9, "fused": False, "evil": print}]
    first = state["optimizer"]["state"][0]
    moved = next(name for name in first if name != "step")
    first[moved] = torch.ones(3, 1).expand(3, 4).t()  # as large, and 3 numbers in memory
    state["optimizer"]["param_groups"][0].pop("evil")
    network, optimizer = trained(kind)
    groups = [{**group} for group in optimizer.param_groups]

    load_checkpoint(as_bytes(state), network, optimizer)

    assert [{**group} for group in optimizer.param_groups] == groups
    weight = groups[0]["params"][0]
    assert optimizer.state[weight][moved].stride() == weight.stride()
    assert optimizer.state[weight][moved].tolist() == [[1.0] * 3] * 4
    torch.autograd.backward(network(torch.rand(5, 3)).square().sum())
    optimizer.step()


def test_a_file_that_says_it_is_longer_than_it_is_fills_no_memory() -> None:
    out = io.BytesIO()
    old = zipfile.ZipFile(io.BytesIO(as_bytes(stored("sgd"))))
    with old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data + bytes(10_000_000) if name.endswith("/0") else data)

    with pytest.raises(StudyError, match="it is cut short or altered"):
        load_checkpoint(out.getvalue(), trained("sgd")[0])
    assert latest_checkpoint({"latest.pt": out.getvalue()}.get) is None


@pytest.mark.parametrize("epochs_done", [2, 3])
def test_a_training_goes_on_from_no_epoch_that_it_does_not_have(epochs_done: int) -> None:
    config = small_config(**{"optim.epochs": 2, "data.fraction": 0.1, "model.mix": "2*resnet8"})
    session = MemorySession()
    run_worker(config, session)
    state: State = torch.load(io.BytesIO(session.files["latest.pt"]), weights_only=True)
    state["progress"] |= {"epochs_done": epochs_done, "report": "", "earlier": "[]"}
    session.files["latest.pt"] = as_bytes(state)

    with pytest.raises(StudyError, match=rf"it is of epoch {epochs_done} of 2, and reports 0"):
        run_worker(config, session)
