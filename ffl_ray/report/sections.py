"""The sections of a report, in order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pandas as pd

from ffl_ray.report import tables
from ffl_ray.report.blocks import Code, Missing, Note, Part, Section, Table
from ffl_ray.report.confirmed import confirmed
from ffl_ray.report.final import final_sections
from ffl_ray.report.source import MIX, Study
from ffl_ray.report.summary import overview
from ffl_ray.search.mix import NUM_BRANCHES

if TYPE_CHECKING:
    import optuna

QUESTIONS = (NUM_BRANCHES, MIX, "fusion.design", "distill.temperature")


def sections(study: Study, *, plots: bool = True) -> list[Section]:
    """What a report holds.

    Args:
        plots: whether to draw; tables alone need neither Optuna nor plotly.
    """
    found = [
        Section("Overview", overview(study)),
        *(final_sections if study.is_final else _chosen)(study, plots=plots),
        Section("Failures", _failures(study)),
        Section("What was searched" if study.is_search else "Settings", _searched(study)),
        Section("Provenance", [Table("provenance", "", tables.provenance(study))]),
    ]
    return [section for section in found if section is not None and section.parts]


def _chosen(study: Study, *, plots: bool) -> list[Section | None]:
    """What a study found that chooses by a validation split."""
    drawn = _plots(study) if plots else {}
    return [
        confirmed(study, plots=plots),
        Section("Best trials", [*_best(study), *drawn.get("best", [])]),
        Section("Learning curves", drawn.get("curves", [])),
        Section("Accuracy against inference cost", [*drawn.get("front", []), *_front(study)]),
        Section("Importance of each hyperparameter", drawn.get("importance", [])),
        Section("One hyperparameter at a time", drawn.get("slices", [])),
    ]


def every_trial(study: Study) -> Table:
    """All trials, for a file of their own."""
    return Table("trials", "", tables.trials_table(study, study.trials))


def _plots(study: Study) -> dict[str, list[Part]]:
    from ffl_ray.report import table_plots

    best = tables.best_trials(study)
    front: list[Part] = [table_plots.accuracy_against_cost(study)]
    curves: list[Part] = []
    if not best.empty:
        curves = [table_plots.branch_curves(study, best["trial_id"].iloc[0])]
    if not study.is_search:
        return {"front": front, "curves": curves or [table_plots.judge_curves(study)]}
    from ffl_ray.report import search_plots
    from ffl_ray.report.optuna_view import comparable_study

    search = comparable_study(study)
    return {
        "best": [search_plots.history(study, search)],
        "curves": [search_plots.learning_curves(study, search), *curves],
        "front": [*front, *search_plots.objectives(study, search)],
        "importance": list(search_plots.importances(study, search)),
        "slices": _slices(study, search),
    }


def _slices(study: Study, search: optuna.Study) -> list[Part]:
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


def _slice(study: Study, search: optuna.Study, name: str) -> Part:
    from ffl_ray.report import search_plots, table_plots

    if name not in study.searched:
        values = Counter(str(value) for value in study.trials[name].dropna())
        return Missing(
            f"No slice for {name}: it was not searched; every trial has "
            f"{tables.some(list(values))}."
        )
    continuous = pd.api.types.is_float_dtype(study.trials[name])
    if continuous:
        return search_plots.slices(study, search, name)
    return table_plots.groups(study, name)


def _best(study: Study) -> list[Part]:
    best = tables.best_trials(study)
    if best.empty:
        return [Missing("No best trials: none has a value yet.")]
    judge = study.judge.name
    if study.completed.empty:
        text = (
            f"No trial has completed: these are the best of the others, by {judge} after their "
            f"latest epoch, so trials of different length stand side by side. {study.measured}"
        )
    else:
        count = len(study.completed)
        which = f"The best {len(best)} of {count}" if count > len(best) else f"All {count}"
        trials = f"{which} completed trials" if count > 1 else "The one completed trial"
        text = f"{trials} by {judge}, after the last epoch. {study.measured}"
    return [Table("best", text, best)]


def _front(study: Study) -> list[Part]:
    front = tables.cost_front(study)
    if front.empty:
        return []
    text = (
        f"The front: the members of completed trials that no other beats in both accuracy and "
        f"MACs. {study.measured}"
    )
    return [Table("front", text, front)]


def _failures(study: Study) -> list[Part]:
    found = tables.failures(study)
    if found.empty:
        return [Note(f"No {'training' if study.is_final else 'trial'} failed.")]
    text = "Each different error, the trials it ended or interrupted, and the epochs they reached."
    return [Table("failures", text, found)]


def _searched(study: Study) -> list[Part]:
    parts: list[Part] = []
    ranges = tables.ranges(study)
    if not ranges.empty:
        text = "The parameters that Optuna drew, over all trials."
        parts.append(Table("space", text, ranges))
    if study.description.get("space"):
        parts.append(Code("The search space", study.description["space"]))
    text = "Every setting that the study began with"
    parts.append(Table("settings", text, tables.settings_table(study), folded=True))
    return parts
