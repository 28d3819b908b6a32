"""The plain baseline held against what a search found, with one standard error."""

from __future__ import annotations

from typing import Any

import pytest

from ffl_ray.config.objectives import parse_objectives
from ffl_ray.results.plain import held_against_plain

ONE = parse_objectives(["fused.accuracy"])
TWO = parse_objectives(["fused.macs", "fused.nll"])
BROKEN = '{"trial": {"constraints:fused.macs<=9": 0.5}}'


def row(trial_id: str, *values: float, **columns: Any) -> dict[str, Any]:
    """A completed trial."""
    return {
        "trial_id": trial_id, "status": "completed", "objective_values": list(values),
        "sampler_state": "{}", "model.mix": "2*resnet20", "accelerator_s": 9.0, **columns,
    }  # fmt: skip


def plain(*values: float, **columns: Any) -> dict[str, Any]:
    return row("00001", *values, **{"baseline": "plain", "model.mix": "resnet20"} | columns)


def members(trial_id: str) -> list[dict[str, Any]]:
    """Of 400 images at .80 one standard error is .02."""
    names = ["branch0", "ensemble"] if trial_id == "00001" else ["branch0", "branch1", "fused"]
    return [{"member": name, "checkpoint": "latest", "images": 400} for name in names]


@pytest.mark.parametrize(
    ("accuracy", "says", "words"),
    [
        (0.85, "plain", "the plain baseline wins: resnet20 alone (trial 00001) beats trial 00002"),
        (0.81, "neither", "nothing that is told from the plain baseline, resnet20 alone"),
        (0.79, "neither", "nothing that is told from the plain baseline, resnet20 alone"),
        (0.70, "searched", "trial 00002 beats the plain baseline, resnet20 alone (trial 00001)"),
    ],
)
def test_it_wins_or_loses_by_more_than_one_standard_error(
    accuracy: float, says: str, words: str
) -> None:
    rows = [row("00000", 0.6, baseline="default"), plain(accuracy), row("00002", 0.8)]

    found = held_against_plain([*rows, row("00003", 0.99, status="pruned")], ONE, members)

    assert found is not None
    assert found.says == says
    assert words in found.words
    assert f"accuracy {accuracy:.4f} against 0.8000, one standard error 0.0" in found.words
    assert "9 s of training against 9 s. The best of 2 reads too high" in found.words


def test_of_several_objectives_the_first_that_is_no_cost_decides() -> None:
    rows = [plain(5.0, 0.4), row("00002", 1.0, 0.5), row("00003", 9.0, 0.45)]

    found = held_against_plain(rows, TWO, lambda name: [])

    assert found is not None
    assert (found.says, found.best["trial_id"]) == ("plain", "00003")
    assert "nll 0.4000 against 0.4500, one training each" in found.words


def test_there_is_nothing_to_say_without_both_or_where_it_breaks_a_bound() -> None:
    kept = row("00002", 0.8)

    for rows in ([kept], [plain(0.9)], [plain(0.9, sampler_state=BROKEN), kept]):
        assert held_against_plain(rows, ONE, members) is None


def test_a_trial_of_no_value_is_none_of_them() -> None:
    rows = [plain(0.8), row("00002", 0.7), row("00003") | {"status": "failed"}]

    found = held_against_plain(rows, ONE, members)

    assert found is not None
    assert found.others == 1
