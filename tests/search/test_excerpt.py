"""The excerpt of a long study: the best trials, a sample of the others, and proposals as good."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest

from ffl_ray.config.settings import SearchConfig
from ffl_ray.search import excerpt
from ffl_ray.search.excerpt import BEST, SIZE, Excerpt


def suggest(trial: Any) -> None:
    trial.suggest_float("x", 0, 1)


def long_study(trials: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    kinds: dict[str, Any] = {"x": optuna.distributions.FloatDistribution(0, 1)}
    values = np.random.default_rng(0).random(trials)
    study.add_trials(
        optuna.trial.create_trial(value=-abs(x - 0.3), params={"x": float(x)}, distributions=kinds)
        for x in values
    )
    return study


def test_it_holds_the_best_and_a_sample_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excerpt, "LONG", 300)
    study = long_study(400)

    made = Excerpt(study, SearchConfig()).at(400)

    assert made is not None
    ranked = sorted(study.trials, key=lambda trial: abs(trial.params["x"] - 0.3))
    kept = {trial.params["x"] for trial in made.trials}
    assert len(kept) == SIZE
    assert {trial.params["x"] for trial in ranked[:BEST]} <= kept
    proposed = [Excerpt(study, SearchConfig(seed=i)).propose(suggest, 400) for i in range(10)]
    assert sum(abs(point["x"] - 0.3) < 0.1 for point in proposed) >= 8


@pytest.mark.parametrize(("sampler", "number"), [("tpe", 200), ("random", 400), ("gp", 400)])
def test_a_short_study_and_other_samplers_have_none(
    sampler: Any, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excerpt, "LONG", 300)

    assert Excerpt(long_study(1), SearchConfig(sampler=sampler)).propose(suggest, number) == {}
