"""Confirmations written through their own plan and writers: no training."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ffl_ray.config.methods import mix_of
from ffl_ray.config.settings import Config
from ffl_ray.confirm.arms import networks_to_time, plan_arms, plan_runs
from ffl_ray.confirm.chosen import confirmed_form
from ffl_ray.confirm.confirmation import KIND, Confirmation, write_tables
from ffl_ray.confirm.pairs import Chosen
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from support.helpers import small_config
from support.templates import filled

SEEDS = (1000, 1001, 1002)
SETTINGS = {"baselines": "both", "search.num_workers": 1}
CHOSEN = (
    Chosen("00004", confirmed_form(small_config(model__mix="2*resnet20", fusion__design="sum"))),
    Chosen("00001", confirmed_form(small_config(model__mix="resnet20+wrn16_2"))),
)


def planned(chosen: Sequence[Chosen] = CHOSEN, seeds: Sequence[int] = SEEDS) -> Confirmation:
    """A confirmation of these configs; an epoch of the search's takes twice the baseline's."""
    timed = networks_to_time(chosen, "both")
    seconds = {c: 1.0 if c.distill.method == "independent" else 2.0 for c in timed}
    arms, pairs = plan_arms(chosen, "both", seconds)
    return Confirmation(
        SETTINGS,
        "fused.accuracy",
        [one.trial_id for one in chosen],
        list(seeds),
        arms,
        pairs,
        plan_runs(arms, seeds),
    )


def make_confirmation(
    study: Path,
    confirmation: Confirmation | None = None,
    completed: int | None = None,
    split_hash: str = "cd34",
) -> StudyTables:
    """Write the folder `confirmed` of a study.

    Args:
        completed: trainings that have; the next one is running, and no table is written as long
            as there is one. By default all have.
    """
    plan = planned() if confirmation is None else confirmation
    more = {"data": {"split_hash": split_hash, "num_train": 1438, "num_val": 0}}
    description = describe_study(KIND, plan.settings, **more, **plan.dump())
    name = f"{study.name}/confirmed"
    count = len(plan.runs) if completed is None else completed

    def opened(folder: Path | str) -> StudyTables:
        return StudyTables.open(Storage(str(folder)), name, description, ())

    runs = plan.final_runs[: count + 1]
    members = [rows_of(run.config, split_hash) for run in runs]

    def fill(tables: StudyTables) -> None:
        for number, (run, rows) in enumerate(zip(runs, members, strict=True)):
            tables.start(run.run_id, run.config)
            if number < count:
                finish(tables, run.run_id, run.config, rows)
        if is_whole:
            write_tables(plan, tables)

    is_whole = count == len(plan.runs)
    said = (description | {"created": ""}, name, members)
    return filled(study / "confirmed", said, opened, fill, is_whole=is_whole)


def finish(tables: StudyTables, run_id: str, config: Config, members: list[dict[str, Any]]) -> None:
    """A final training's last epoch and its end."""
    row = {"epoch": config.optim.epochs, "time": datetime.now(UTC), "accelerator_s": 2.0}
    row |= {"objective_value": None, "best_epoch": None}
    tables.epoch(run_id, row, members, [])
    tables.end(run_id, "completed")


def rows_of(config: Config, split_hash: str = "cd34") -> list[dict[str, Any]]:
    """Members on the test split: taught ones are better, each seed a little."""
    taught = config.distill.method != "independent"
    names = [f"branch{i}" for i in range(len(mix_of(config)))] + ["ensemble"] + ["fused"] * taught
    return [
        {
            "member": name,
            "backbone": mix_of(config)[place] if name.startswith("branch") else None,
            "epoch": config.optim.epochs,
            "split": "test",
            "split_hash": split_hash,
            "images": 359,
            "accuracy": 0.80 + 0.05 * taught + 0.01 * place + 0.001 * (config.seed % 7),
            "top5": 0.99,
            "nll": 0.5 - 0.1 * taught + 0.001 * (config.seed % 7),
            "ece": 0.02,
            "parameters": 1000 * (place + 1),
            "macs": 1_000_000 * (place + 1),
        }
        for place, name in enumerate(names)
    ]
