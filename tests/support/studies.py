"""Small studies written through the study's own writer: no training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import distribution_to_json

from ffl_ray.config.methods import mix_of
from ffl_ray.config.objectives import parse_objectives
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, StudyConfig
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.search.mix import settings_from_params, suggest_mix
from support.templates import filled

EPOCHS = 3
SPACE = "def search_space(trial):\n    '''<four dimensions>'''\n"


class Made(NamedTuple):
    """A trial to write.

    Attributes:
        params: num_branches, mix.* counts, fusion.design, distill.temperature.
        status: how it ended; running: it did not.
        epochs: finished ones.
        error: class and message of a failure.
        fused: whether its network has a fused member.
        settings: others of its config.
    """

    params: Mapping[str, Any]
    status: str = "completed"
    epochs: int = EPOCHS
    error: tuple[str, str] | None = None
    fused: bool = True
    settings: Mapping[str, object] = {}


def params(resnets: int, wide: int, design: str, temperature: float) -> dict[str, Any]:
    """The parameters of a point of the four dimensions."""
    return {
        "num_branches": resnets + wide,
        "mix.resnet20": resnets,
        "mix.wrn16_2": wide,
        "fusion.design": design,
        "distill.temperature": temperature,
    }


POINTS = (
    params(2, 0, "sum", 1.5),
    params(1, 1, "gated", 3.0),
    params(1, 2, "sum", 4.5),
    params(0, 3, "gated", 2.0),
    params(3, 1, "sum", 6.0),
)
COMPLETED = tuple(Made(point) for point in POINTS)


def make_study(
    folder: Path | str,
    trials: Sequence[Made] = COMPLETED,
    objectives: Sequence[str] = ("fused.accuracy",),
    kind: str = "search",
) -> StudyTables:
    """Write a study of these trials.

    Args:
        kind: search or train; a training has no space and no parameters.
    """
    settings = flatten(Config())
    more: dict[str, Any] = {"data": {"split_hash": "ab12", "num_train": 1151, "num_val": 287}}
    if kind == "search":
        settings = flatten(StudyConfig()) | {"search.objectives": list(objectives)}
        more |= {"space": SPACE, "plan": {"max_concurrent_trials": 2, "num_workers": 1}}
    description = describe_study(kind, settings, **more)
    found = parse_objectives(objectives)

    def opened(place: Path | str) -> StudyTables:
        return StudyTables.open(Storage(str(place)), "made", description, found)

    def fill(tables: StudyTables) -> None:
        for number, trial in enumerate(trials):
            _write(tables, f"{number:05d}", trial, searched=kind == "search")

    is_whole = all(trial.status != "running" for trial in trials)
    return filled(folder, (trials, objectives, kind), opened, fill, is_whole=is_whole)


def _write(tables: StudyTables, trial_id: str, trial: Made, *, searched: bool) -> None:
    config = with_overrides(
        Config(),
        settings_from_params(trial.params) | {"optim.epochs": EPOCHS} | dict(trial.settings),
    )
    columns = {}
    if searched:
        columns = {
            "params": json.dumps(trial.params),
            "distributions": json.dumps(_distributions(trial.params)),
        }
    tables.start(trial_id, config, **columns)
    for epoch in range(1, trial.epochs + 1):
        members = _members(config, epoch, int(trial_id), fused=trial.fused)
        tables.epoch(trial_id, _epoch(members, epoch, fused=trial.fused), members, members)
    if trial.status != "running":
        tables.end(trial_id, trial.status, trial.error)


def _distributions(point: Mapping[str, Any]) -> dict[str, Any]:
    """As Optuna notes them: each count is bounded by the branches that are left."""
    trial = optuna.trial.FixedTrial(dict(point))
    suggest_mix(trial, num_branches=(2, 4), backbones=("resnet20", "wrn16_2"))
    trial.suggest_categorical("fusion.design", ["sum", "gated"])
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {n: json.loads(distribution_to_json(d)) for n, d in trial.distributions.items()}


def _members(config: Config, epoch: int, number: int, *, fused: bool) -> list[dict[str, Any]]:
    """Branches, ensemble and perhaps fused: each later epoch and each wider network is better."""
    names = [f"branch{i}" for i in range(len(mix_of(config)))]
    cost = {name: 10_000_000 * (i + 1) for i, name in enumerate(names)}
    whole = ["ensemble"] + ["fused"] * fused
    cost |= {name: 25_000_000 * len(names) + i for i, name in enumerate(whole)}
    backbones = dict(zip(names, mix_of(config), strict=True))
    return [
        {
            "member": name,
            "backbone": backbones.get(name),
            "epoch": epoch,
            "split": "val",
            "split_hash": "ab12",
            "accuracy": 0.5 + 0.1 * epoch + 0.01 * (number % 10) + 0.002 * place,
            "top5": 0.9,
            "nll": 1.0 / epoch,
            "ece": 0.05,
            "parameters": macs // 40,
            "macs": macs,
        }
        for place, (name, macs) in enumerate(cost.items())
    ]


def _epoch(members: Sequence[Mapping[str, Any]], epoch: int, *, fused: bool) -> dict[str, Any]:
    accuracy = {row["member"]: row["accuracy"] for row in members}
    branches = [value for name, value in accuracy.items() if name.startswith("branch")]
    return {
        "epoch": epoch,
        "lr": 0.1,
        "objective_value": accuracy["fused" if fused else "ensemble"],
        "val.fused.accuracy": accuracy.get("fused"),
        "val.ensemble.accuracy": accuracy["ensemble"],
        "val.best_branch.accuracy": max(branches),
        "val.branches.accuracy": branches,
        "best_epoch": epoch,
        "accelerator_s": 2.0 * epoch,
        "peak_memory_bytes": 1,
    }
