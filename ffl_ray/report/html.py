"""A study as one HTML file, drawn by Optuna and plotly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import optuna
import pandas as pd

from ffl_ray.config.overrides import some
from ffl_ray.report import search_plots, table_plots, tables
from ffl_ray.report.answers_plot import effects_plot, importance_plot
from ffl_ray.report.blocks import Block, Missing
from ffl_ray.report.classes_plot import confusion_matrix
from ffl_ray.report.confirmed_plot import differences
from ffl_ray.report.optuna_view import comparable_study
from ffl_ray.report.page import page
from ffl_ray.report.plotting import Drawn, Plots
from ffl_ray.report.sections import sections
from ffl_ray.report.source import MIX, Study
from ffl_ray.results.search_answers.effects import Answer
from ffl_ray.search.mix import NUM_BRANCHES

QUESTIONS = (NUM_BRANCHES, MIX, "fusion.design", "distill.temperature")


def html(study: Study, made: str) -> str:
    """The whole file.

    Args:
        made: when, and by which version.
    """
    return page(study.name, made, sections(study, Plots(drawn, differences, confusion_matrix)))


def drawn(study: Study, answers: Sequence[Answer]) -> Drawn:
    """The plots of a study that chooses by a validation split."""
    best = tables.best_trials(study)
    front: list[Block] = [table_plots.accuracy_against_cost(study)]
    curves: list[Block] = []
    if not best.empty:
        curves = [table_plots.branch_curves(study, best["trial_id"].iloc[0])]
    if not study.is_search:
        return Drawn(front=front, curves=curves or [table_plots.quality_curves(study)])
    search = comparable_study(study)
    return Drawn(
        answers=effects_plot(study, answers),
        best=[search_plots.history(study, search)],
        curves=[search_plots.learning_curves(study, search), *curves],
        front=[*front, *search_plots.objectives(study, search)],
        importance=importance_plot(study, answers),
        slices=_slices(study, search),
    )


def _slices(study: Study, search: optuna.Study) -> list[Block]:
    """The four questions, then whatever else was searched."""
    count = len(study.completed)
    if count < 2:
        return [
            Missing(
                f"No slices: they compare completed trials, and there {'is' if count else 'are'} "
                f"{'one' if count else 'none'}."
            )
        ]
    return [_slice(study, search, name) for name in dict.fromkeys([*QUESTIONS, *study.searched])]


def _slice(study: Study, search: optuna.Study, name: str) -> Block:
    if name not in study.searched:
        values = Counter(str(value) for value in study.trials[name].dropna())
        return Missing(
            f"No slice for {name}: it was not searched; every trial has {some(list(values))}."
        )
    continuous = pd.api.types.is_float_dtype(study.trials[name])
    if continuous:
        return search_plots.slices(study, search, name)
    return table_plots.groups(study, name)
