"""What a checkpoint may hold, checked as a whole before any of it reaches a network.

It may come from somebody else, and torch's fused optimisers trust the shapes of their state: they
write beyond a tensor that is too small. So nothing is taken as it stands: tensors are copied into
the layout of the parameters that they belong to, and an optimiser keeps the groups of its config.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ffl_ray.training.session import Report

CPU = torch.device("cpu")
MOST = 10**9  # of epochs, and of steps of one
KEYS = {True: {"momentum_buffer"}, False: {"step", "exp_avg", "exp_avg_sq"}}
Check = Callable[[Any], bool]


def optimizer_state(stored: Any, optimizer: Optimizer) -> dict[Tensor, dict[str, Tensor]]:
    """A stored state of an optimiser, by its own parameters and on their devices.

    Raises:
        ValueError: it is of other parameters, or could not have been reached by training.
    """
    groups = [(group, p) for group in optimizer.param_groups for p in group["params"]]
    found = {}
    for place, state in _entries(_entries(stored, "optimizer").get("state"), "state").items():
        if not is_count(place, most=len(groups) - 1):
            raise ValueError(f"its optimiser has no parameter {_short(place)}")
        group, parameter = groups[place]
        keys = KEYS["betas" not in group]
        if _entries(state, f"state of parameter {place}").keys() != keys:
            raise ValueError(f"its state of parameter {place} holds {_short(list(state))}")
        found[parameter] = {
            name: _step(value, group, parameter)
            if name == "step"
            else _finite(value, parameter, f"{name} of parameter {place}")
            for name, value in state.items()
        }
    return found


def check_network_state(stored: Any, network: nn.Module) -> None:
    """Check that stored tensors are what a network's own are.

    Raises:
        ValueError: they are not.
    """
    own = network.state_dict()
    other = sorted(own.keys() ^ _entries(stored, "network").keys(), key=str)
    if other:
        raise ValueError(f"its network is another one: {_short(other[0])} is in one of them alone")
    for name, value in stored.items():
        if isinstance(own[name], Tensor):
            check_tensor(value, own[name], name)


def check_tensor(value: Any, like: Tensor, name: str) -> None:
    """Check that a value is a tensor of this kind.

    Raises:
        ValueError: it is not.
    """
    plain = isinstance(value, Tensor) and value.layout == torch.strided and value.device == CPU
    if not plain or (value.shape, value.dtype) != (like.shape, like.dtype):
        kind = f"{value.dtype} of {tuple(value.shape)}" if plain else _short(type(value).__name__)
        raise ValueError(f"its {name} must be {like.dtype} of {tuple(like.shape)}, not {kind}")


def check_progress(stored: Any) -> None:
    """Check what stands beside weights and optimiser.

    Raises:
        ValueError: a value is not of its kind, or impossible.
    """
    for name, value in _entries(stored, "progress").items():
        if name in PROGRESS and not PROGRESS[name](value):
            raise ValueError(f"its {name} is {_short(value)}")
    if stored.get("best_epoch", 0) > stored.get("epochs_done", 0):
        raise ValueError(f"its best_epoch is {stored['best_epoch']}, after the last one")


def check_epoch(stored: Any, network: nn.Module) -> None:
    """Check a stored unfinished epoch.

    Raises:
        ValueError: a value is not of its kind.
    """
    if _entries(stored, "part").keys() != EPOCH.keys():
        raise ValueError(f"its part holds {_short(list(stored))}")
    for name, value in stored.items():
        if not EPOCH[name](value):
            raise ValueError(f"its {name} is {_short(value)}")
    buffers = dict(network.named_buffers())
    for rank in stored["ranks"]:
        if rank.keys() != {"sums", "statistics"} or not is_numbers(rank["sums"]):
            raise ValueError(f"its ranks hold {_short(rank)}")
        if len(rank["sums"]) != len(stored["names"]) + 1:
            raise ValueError(f"its sums are {len(rank['sums'])} of {len(stored['names'])} names")
        for name, value in _entries(rank["statistics"], "statistics").items():
            if name not in buffers:
                raise ValueError(f"its statistics are of {_short(name)}")
            check_tensor(value, buffers[name], name)


def checked_report(stored: Any) -> Report:
    """A report, when it is rows of plain values.

    Raises:
        ValueError: it is not.
    """
    report = Report(**_entries(stored, "report"))
    for row in (report.row, *report.members, *report.best, *report.predictions, *report.classes):
        bad = [n for n, v in _entries(row, "report").items() if not (v is None or is_cell(v))]
        if bad:
            raise ValueError(f"its report has the {_short(bad[0])} {_short(row[bad[0]])}")
    if any(not isinstance(member["member"], str) for member in report.members):
        raise ValueError("its report has a member without a name")
    report.row["time"] = datetime.fromisoformat(report.row["time"])
    if not is_count(report.row["epoch"]):
        raise ValueError(f"its report is of epoch {_short(report.row['epoch'])}")
    return report


def is_count(value: Any, most: int = MOST) -> bool:
    """Whether a value is a whole number from 0."""
    return type(value) is int and 0 <= value <= most


def is_number(value: Any) -> bool:
    """Whether a value is a number; the loss of a training that diverged is none that is finite."""
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def is_numbers(value: Any) -> bool:
    """Whether a value is a list of numbers."""
    return isinstance(value, list) and all(is_number(one) for one in value)


def is_cell(value: Any) -> bool:
    """Whether a value can stand in a table."""
    return isinstance(value, str | bool) or is_number(value) or is_numbers(value)


def _is_seconds(value: Any) -> bool:
    return is_number(value) and 0 <= value < math.inf


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_ranks(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


# What is stored of a progress, beside the unfinished epoch; an older version stored less.
PROGRESS: dict[str, Check] = {
    "epochs_done": is_count,
    "best_epoch": is_count,
    "best_score": lambda value: is_number(value) and not math.isnan(value),
    "accelerator_s": _is_seconds,
    "settings": _is_text,
    "data": _is_text,
    "report": _is_text,
    "earlier": _is_text,
}
EPOCH: dict[str, Check] = {
    "steps_done": is_count,
    "seconds": _is_seconds,
    "names": _is_names,
    "ranks": _is_ranks,
}


def _step(value: Any, group: Mapping[str, Any], parameter: Tensor) -> Tensor:
    """How many steps a parameter has behind it, where its optimiser counts them."""
    step = _finite(value, torch.zeros(()), "step")
    if not 0 <= step.item() <= MOST:
        raise ValueError(f"its step is {step.item()}")
    there = parameter.device if group.get("fused") or group.get("capturable") else CPU
    return step.to(there)


def _finite(value: Any, like: Tensor, name: str) -> Tensor:
    """A tensor in the layout of another one, on its device."""
    check_tensor(value, like, name)
    if not value.isfinite().all():
        raise ValueError(f"its {name} is not finite: the training had diverged")
    return torch.empty_like(like).copy_(value)


def _entries(value: Any, name: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"its {name} is {_short(value)}")
    return value


def _short(value: Any) -> str:
    return repr(value)[:80]
