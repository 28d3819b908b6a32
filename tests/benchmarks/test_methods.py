"""The table of methods: what its verdicts are, and which trainings it is of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.methods import Row, flattening, held_against

NOISE, SEEDS = 0.004, 3


def rows(effects: dict[str, float], rng: np.random.Generator) -> list[Row]:
    """Methods of known effects on what the baseline reaches."""
    drawn = {
        name: 0.4 + effect + NOISE * rng.normal(size=SEEDS) for name, effect in effects.items()
    }
    return [Row("way", name, pd.DataFrame({"deployed": of})) for name, of in drawn.items()]


def test_few_seeds_tell_a_large_effect_and_seldom_claim_one_that_is_not_there() -> None:
    effects = {"independent": 0.0, "worse": -0.03} | {f"same{n}": 0.0 for n in range(8)}
    said = []
    for seed in range(400):
        found = rows(effects, np.random.default_rng(seed))
        said.append(
            {
                name: one.verdict
                for name, one in held_against(found, found[0], "deployed", 9).items()
            }
        )

    told = pd.DataFrame(said)
    false = told.filter(like="same").isin(["better", "worse"]).any(axis=1)
    assert (told["worse"] == "worse").mean() > 0.9
    assert false.mean() <= 0.05


def test_what_lies_within_the_margin_is_equal() -> None:
    found = [Row("way", name, pd.DataFrame({"whole": [0.4, 0.401, 0.402]})) for name in "ab"]

    held = held_against(found, found[0], "whole", 1)

    assert held["b"].said.endswith("equal")


def test_what_is_said_to_be_seen_is_told_in_four_of_five_cases() -> None:
    seen, told = 0.0127, []  # of these noises and methods
    effects = {"independent": 0.0, "worse": -seen} | {f"same{n}": 0.0 for n in range(8)}
    said = []
    for seed in range(400):
        found = rows(effects, np.random.default_rng(seed))
        one = held_against(found, found[0], "deployed", 9)["worse"]
        said.append(one.seen)
        told.append(one.verdict == "worse")

    assert np.mean(said) == pytest.approx(seen, rel=0.05)
    assert np.mean(told) == pytest.approx(0.8, abs=0.07)


def test_one_seed_each_gives_no_verdict() -> None:
    found = [Row("way", name, pd.DataFrame({"whole": [0.4]})) for name in "ab"]

    assert held_against(found, found[0], "whole", 1) == {}


def test_a_training_that_has_not_ended_is_not_in_it() -> None:
    epochs = pd.DataFrame(
        {
            "trial_id": ["a"] * 4 + ["b"],
            "epoch": [1, 2, 3, 4, 1],
            "loss.ce_branches": [[4.0, 2.0], [1.0], [1.0], [1.5], [3.0]],
        }
    )

    fell = flattening(epochs, pd.Series(["a"]))

    assert fell.to_dict() == {"a": pytest.approx(1 - 1.5 / 3.0)}
