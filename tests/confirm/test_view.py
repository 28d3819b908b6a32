"""What a person reads of a confirmation."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from ffl_ray.confirm.tables import how_many_seeds
from ffl_ray.confirm.view import (
    comparison_table,
    confirmed_tables,
    how_measured,
    summary_table,
)
from ffl_ray.errors import StudyError

SUMMARY: dict[str, Any] = {
    "arm": "00003", "trial_id": "00003", "mix": "2*resnet20", "method": "ffl", "member": "fused",
    "epochs": 30, "n": 5, "accuracy.mean": 0.7012, "accuracy.std": 0.003, "accuracy.low": 0.6975,
    "accuracy.high": 0.7049, "nll.mean": 1.1, "nll.std": None, "nll.low": None, "nll.high": None,
    "parameters": 477882, "macs": 3352192, "accelerator_s": 12.34,
}  # fmt: skip
DIFFERENCE: dict[str, Any] = {
    "arm": "00003", "trial_id": "00003", "member": "fused", "equal": "seconds",
    "baseline": "independent 2*resnet20, 45 epochs", "baseline_member": "ensemble",
    "metric": "accuracy", "n": 5, "difference.mean": 0.012, "difference.std": 0.002,
    "difference.low": 0.0095, "difference.high": 0.0145, "verdict": "better", "macs": 3352192,
    "baseline_macs": 5065984, "accelerator_s": 12.34, "baseline_accelerator_s": 12.5,
    "p": 0.0004, "detectable": 0.004, "more_seeds": None, "more_s": None, "primary": True,
}  # fmt: skip


def text(table: Any, width: int = 200) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_members_are_shown_in_percent_with_half_their_interval() -> None:
    alone = SUMMARY | {"arm": "independent resnet20", "trial_id": None, "mix": "resnet20"}

    found = text(summary_table([SUMMARY, alone | {"member": "ensemble"}]))

    assert "70.12 ± 0.37" in found
    assert "1.100" in found
    assert "ensemble" not in found  # of one branch, it is that branch once more


def test_a_difference_is_shown_with_both_costs_and_its_verdict() -> None:
    more = {"more_seeds": 4, "more_s": 120.0, "primary": False, "p": 0.21}
    nll = DIFFERENCE | {"metric": "nll", "verdict": "undecided", "baseline_macs": None} | more

    lines = text(comparison_table([DIFFERENCE, nll])).splitlines()

    assert lines[0].startswith("against training without teaching, same accelerator-seconds")
    found = lines.index(
        "00003 against independent 2*resnet20, 45 epochs, ensemble: n 5, x0.99 its seconds"
    )
    for words in ("+1.20 ± 0.25", "<.001", " 0.40 ", "x0.66", "better *"):
        assert words in lines[found + 1]
    assert "+0.012 ± 0.003" in lines[found + 2]
    assert ".210" in lines[found + 2]
    assert "undecided" in lines[found + 2]
    assert lines[found + 2].rstrip().endswith("9 seeds, 2.0 min")
    fewer = nll | {"n": 20, "more_seeds": -2}  # of a race; a fixed plan has its whole level
    assert "18 seeds, 2.0 min" in text(comparison_table([fewer]))
    without = nll | {"more_seeds": None, "more_s": None}
    assert "over 1,000 seeds" in text(comparison_table([without]))  # of the version before
    assert "more images" in text(comparison_table([without | {"more_images": True}]))
    assert "too small to tell" in text(comparison_table([without | {"more_images": False}]))


def test_the_default_point_is_not_called_untaught() -> None:
    default = DIFFERENCE | {"kind": "default", "baseline": "default 2*resnet20 ffl, 30 epochs"}

    lines = text(comparison_table([DIFFERENCE, default])).splitlines()

    titles = [line.partition(",")[0] for line in lines if line.startswith("against ")]
    assert titles == ["against training without teaching", "against the search's default point"]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_nothing_is_shortened_at(width: int) -> None:
    mix = SUMMARY | {"mix": "2*resnet20+wrn16_2+resnet32+shufflenet_v2"}
    rows = [DIFFERENCE, DIFFERENCE | {"metric": "nll", "verdict": "undecided", "more_seeds": None}]

    found = text(summary_table([mix]), width) + text(comparison_table(rows), width)

    assert "…" not in found
    assert max(map(len, found.splitlines())) <= width
    whole = " ".join(found.split())
    for words in ("2*resnet20+wrn16_2+resnet32+shufflenet_v2 ffl: 30", "+1.20 ± 0.25", "477,882"):
        assert words in whole


def test_in_little_room_no_verdict_is_left_out() -> None:
    seeds = {"verdict": "undecided", "more_seeds": 12, "more_s": 720.0}

    found = " ".join(text(comparison_table([DIFFERENCE, DIFFERENCE | seeds]), 60).split())

    assert "verdict better *" in found
    assert "seen from 0.40, MACs x0.66, verdict undecided *, settled by 17 seeds, 12.0" in found


def test_how_it_was_measured_is_said_in_words() -> None:
    said = how_measured(
        [1000, 1001, 1002], "3 trainings", 50_000, 10_000, "Of 16.", "fused.accuracy, fused.macs"
    )

    assert "of 3 trainings (seeds 1000 to 1002, none of the search's)" in said
    assert "50,000 images, measured once" in said
    assert "the 10,000 images of the test split" in said
    assert "went by fused.accuracy, fused.macs on the validation split" in said
    assert said.endswith("Of 16.")
    assert "train alone" not in said
    held = how_measured(
        [1], "1 training", 5, None, "", "fused.accuracy", without_val=["00003", "00004"]
    )
    assert "But 00003, 00004: trained on train alone" in held
    assert how_many_seeds([SUMMARY, SUMMARY | {"n": 20}], "training") == "5 to 20 trainings"
    assert how_many_seeds([SUMMARY | {"n": 1}]) == "1 seed"
    assert "1 training (seeds 1000, none" in how_measured(
        [1000], "1 training", 5, None, "", "fused.accuracy"
    )


def test_members_that_nobody_measured_are_refused_in_one_line() -> None:
    with pytest.raises(StudyError, match="place holds values that no study has"):
        confirmed_tables([SUMMARY | {"parameters": None}], [], "place")
