"""Which configs of a search are confirmed."""

from __future__ import annotations

from typing import Any

import pytest
from support.helpers import small_config

from ffl_ray.config.objectives import parse_objectives
from ffl_ray.confirm.chosen import Found, Pick, distinct_configs, named, picked
from ffl_ray.errors import StudyError
from ffl_ray.results.schema import config_columns

ONE = parse_objectives(["fused.accuracy"])


def row(
    trial_id: str, value: float, status: str = "completed", **changes: object
) -> dict[str, Any]:
    ids = {"trial_id": trial_id, "status": status, "objective_values": [value]}
    return ids | config_columns(small_config(**changes))


def ids(found: list[Found]) -> list[str]:
    return [one.chosen.trial_id for one in found]


def test_distinct_configs_of_completed_trials_are_ranked() -> None:
    rows = [
        row("00000", 0.7),
        row("00001", 0.9, fusion__design="sum"),
        row("00002", 0.9, fusion__design="sum", seed=3),
        row("00003", 0.99, "pruned", fusion__design="gated"),
        row("00004", 0.8, fusion__design="mean"),
    ]

    found = distinct_configs(rows, ONE)

    assert ids(found) == ["00001", "00004", "00000"]
    assert found[0].trial_ids == ["00001", "00002"]
    assert found[0].chosen.config.fusion.design == "sum"
    assert found[0].chosen.config.distill.temperature == 3.0  # nothing is left to the method


def test_a_config_is_ranked_by_the_mean_over_its_seeds_not_by_the_luckiest() -> None:
    lucky = [row("00000", 0.95, seed=1), row("00001", 0.6, seed=2), row("00002", 0.7, seed=3)]
    steady = [row("00003", 0.8, fusion__design="sum")]

    found = distinct_configs([*lucky, *steady], ONE)

    assert ids(found) == ["00003", "00000"]
    assert found[1].row["objective_values"] == [pytest.approx(0.75)]


def member(trial_id: str, accuracy: float, macs: int, name: str = "fused") -> dict[str, Any]:
    return {"trial_id": trial_id, "member": name, "checkpoint": "latest", "backbone": None,
            "accuracy": accuracy, "top5": None, "nll": 1.0, "ece": 0.1, "macs": macs}  # fmt: skip


TRIALS = [
    row("00000", 0.92, fusion__design="sum"),
    row("00001", 0.90, fusion__design="mean"),
    row("00002", 0.89, fusion__design="gated"),
    row("00003", 0.50, fusion__design="attention"),
    row("00004", 0.90, fusion__design="mean", seed=7),
]
MEMBERS = [
    member("00000", 0.92, 1_000),
    member("00001", 0.95, 400),
    member("00004", 0.87, 400),  # the mean of this config is .91
    member("00002", 0.89, 500),  # beaten by it
    member("00003", 0.50, 100),
    member("00009", 0.99, 1),  # of no completed trial
]


@pytest.mark.parametrize(
    ("pick", "chosen"),
    [
        ("best", ["00000", "00001", "00002", "00003"]),
        ("front", ["00000", "00001", "00003"]),
        ("knee", ["00001"]),
    ],
)
def test_a_rule_picks_configs_by_their_members(pick: Pick, chosen: list[str]) -> None:
    found = distinct_configs(TRIALS, ONE)

    assert [one.trial_id for one in picked(found, MEMBERS, ONE, pick)] == chosen


def test_the_one_that_the_search_calls_best_is_confirmed_first() -> None:
    """Of 100 images at .92 one standard error is .027: the cheapest of three comes first."""
    found = distinct_configs(TRIALS, ONE)
    members = [{**one, "images": 100} for one in MEMBERS]

    order = [one.trial_id for one in picked(found, members, ONE, "best")]

    assert order == ["00001", "00000", "00002", "00003"]


def test_trials_are_named_whatever_their_rank_and_seed() -> None:
    found = distinct_configs(TRIALS, ONE)

    assert [one.trial_id for one in named(found, ["3", "00004"])] == ["00003", "00004"]
    with pytest.raises(StudyError, match="--trial must be a completed trial, one of 00000, .*'7'"):
        named(found, ["7"])
