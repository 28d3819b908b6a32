"""Tables in little room: names are broken at their joints, and whole."""

from __future__ import annotations

import io

import pytest

from ffl_ray.config.objectives import parse_objectives
from ffl_ray.console.fitted_table import BrokenName
from ffl_ray.console.result_tables import best_table
from ffl_ray.console.terminal import PlainConsole

MIXES = ("2*resnet20+wrn16_2", "2*resnet20+2*wrn16_2", "3*wrn16_2")


def lines(renderable: object, width: int) -> list[str]:
    out = io.StringIO()
    PlainConsole(file=out, width=width, color_system=None).print(renderable)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (40, ["2*resnet20+wrn16_2"]),
        (12, ["2*resnet20+", "wrn16_2"]),
        (4, ["2*re", "snet", "20+", "wrn1", "6_2"]),
        (9, ["2*resnet2", "0+", "wrn16_2"]),
    ],
)
def test_a_name_is_broken_behind_plus_and_underscore(width: int, expected: list[str]) -> None:
    assert lines(BrokenName(MIXES[0]), width) == expected


def test_a_name_of_one_piece_and_none_at_all() -> None:
    assert lines(BrokenName("ffl"), 10) == ["ffl"]
    assert BrokenName("").least_width == 0


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_best_trials_are_whole_at_any_width(width: int) -> None:
    designs = ("concat_depthwise", "gated", "concat_pointwise")
    rows = [
        {
            "trial_id": f"0000{place}", "status": "completed", "epochs_done": 12,
            "objective_values": [0.9], "val.fused.accuracy": 0.99, "val.ensemble.accuracy": 0.98,
            "val.best_branch.accuracy": 0.97, "model.mix": mix, "distill.method": "ffl",
            "fusion.design": design, "distill.temperature": 1.0 + place, "sampler_state": None,
            "baseline": "default" if place == 0 else None,
        }
        for place, (mix, design) in enumerate(zip(MIXES, designs, strict=True))
    ]  # fmt: skip

    shown = lines(best_table(rows, parse_objectives(["fused.accuracy"])), width)

    text = " ".join(" ".join(shown).split())
    assert "…" not in text
    assert max(map(len, shown)) <= width
    for word in ("trial", "status", "epochs", "fused", "ensemble", "completed", "fusion", "mix"):
        assert word in text.split()
    for piece in ("2*resnet20+", "wrn16_2", "concat_", "depthwise", "gated", "3*wrn16_2", "3.00"):
        assert piece in text
    assert (width < 140) == (len(shown) > len(rows) + 2)
