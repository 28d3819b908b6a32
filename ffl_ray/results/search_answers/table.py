"""The answers of a study: from its tables to a table, and to sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from ffl_ray.config.objectives import MAXIMISED, MINIMISED, VALUE, Objective
from ffl_ray.results.columns import BASELINE, PLAIN
from ffl_ray.results.reader import records
from ffl_ray.results.search_answers.dimensions import Dimension, dimensions_of
from ffl_ray.results.search_answers.effects import Answer, answers_of, shown_among
from ffl_ray.results.search_answers.outcomes import outcomes
from ffl_ray.results.trainings import training_key

LEAST_TRIALS = 4
MOST_LOG = 700.0  # of a float
PREDICTED = "; by the predicted ends of stopped trials: the completed ones alone do not show it"


class Compared(NamedTuple):
    """What is compared of a study.

    Attributes:
        dimensions: what varied.
        values: the outcome of each trial, or its logarithm.
        weights: of each, at most 1.
        in_logs: whether it is the logarithm.
        completed: whose outcome was seen; that of the others is predicted.
    """

    dimensions: list[Dimension]
    values: Float[np.ndarray, "trials"]
    weights: Float[np.ndarray, "trials"]
    in_logs: bool
    completed: Bool[np.ndarray, "trials"]


def study_answers(trials: pd.DataFrame, epochs: pd.DataFrame, objective: Objective) -> list[Answer]:
    """What a search says of each dimension, from all trials that have an epoch.

    An NLL or ECE is compared by its logarithm: some trials are many times worse. What is told is
    held against the completed trials alone: what learns slowly early and is stopped for it gets
    worse ends predicted than it has.

    Args:
        trials: the trials table.
        epochs: the epochs table, whose objective_value is of the objective.
        objective: by which trials are judged: the setting of that name.
    """
    dimensions, values, weights, in_logs, completed = compared(trials, epochs, objective)
    if len(values) < LEAST_TRIALS:
        return []
    answers = answers_of(dimensions, values, weights, in_logs=in_logs)
    if completed.all():
        return answers
    return [
        one._replace(
            predicted=one.told
            and not shown_among(completed, one, dimensions, values) * one.clearest.shown > 0
        )
        for one in answers
    ]


def _distinct(trials: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Trials no two of which have all settings in common: of those that have, the longest one.

    Those that failed are not among them.
    """
    trials = trials[trials["status"] != "failed"]
    done = trials["trial_id"].map(epochs.groupby("trial_id").size()).fillna(0)
    longest = trials.loc[done.sort_values(ascending=False, kind="stable").index]
    same = [(training_key(row), row.get("seed")) for row in records(longest)]
    return longest[~pd.Series(same, longest.index, dtype=object).duplicated()].sort_index()


def compared(trials: pd.DataFrame, epochs: pd.DataFrame, objective: Objective) -> Compared:
    """What is compared of a study: all trials that have an epoch and did not fail.

    The plain baseline, which is no point of the space, is not among them; nor is a trial that was
    another one again, as searches of before had them: the same to the bit, it is no second
    observation.
    """
    if BASELINE in trials:
        trials = trials[trials[BASELINE] != PLAIN]
    trials = _distinct(trials, epochs)
    epochs = epochs[epochs["trial_id"].isin(trials["trial_id"])]
    known = epochs[VALUE].dropna()
    in_logs = objective.metric in MINIMISED and bool((known > 0).all())
    found = outcomes(trials, epochs, in_logs=in_logs)
    rows = trials.set_index("trial_id").loc[found.index].reset_index()
    values, weights = found["value"].to_numpy(float), found["weight"].to_numpy(float)
    completed = found["completed"].to_numpy(bool)
    return Compared(dimensions_of(rows), values, weights, in_logs, completed)


def answers_frame(answers: Sequence[Answer]) -> pd.DataFrame:
    """A row for each level of each dimension."""
    rows = [
        {
            "dimension": answer.dimension,
            "level": level.name,
            "effect": level.effect,
            "low": _known(level.effect - level.half),
            "high": _known(level.effect + level.half),
            "detectable": _known(level.detectable),
            "by_rank": _known(level.by_rank),
            "unit": "log" if answer.in_logs else "",
            "p": answer.p,
            "told": answer.told,
            "predicted": answer.predicted,
            "n": answer.n,
            "more_trials": answer.more_trials,
        }
        for answer in answers
        for level in answer.levels
    ]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype({"more_trials": "Int64"})


def _known(value: float) -> float:
    return value if math.isfinite(value) else math.nan


COLUMNS = [
    "dimension", "level", "effect", "low", "high", "detectable", "by_rank", "unit", "p", "told",
    "predicted", "n", "more_trials",
]  # fmt: skip


def sentences(answers: Sequence[Answer], objective: Objective) -> list[str]:
    """Each answer in a sentence, those that were told first."""
    return [
        _sentence(one, objective) + (PREDICTED if one.predicted else "")
        for one in sorted(answers, key=lambda one: one.p)
    ]


def _sentence(answer: Answer, objective: Objective) -> str:
    if answer.beside:
        what = f"something is told (p {answer.p:.3f}), but not" if answer.told else "not told"
        return f"{answer.dimension}: {what} apart from {answer.beside}: they varied together"
    if not answer.told:
        least = max(level.detectable for level in answer.levels)
        would = f"; about {answer.more_trials} more trials would" if answer.more_trials else ""
        most = 1.0 if not answer.in_logs and objective.metric in MAXIMISED else math.inf
        too_few = least >= most
        shown = "no difference" if too_few else _size(least, answer, objective)
        apart = f"{answer.dimension}: not told apart (p {answer.p:.2f})"
        return f"{apart}; {shown} would have shown{would}"
    return _told(answer, objective)


def _told(answer: Answer, objective: Objective) -> str:
    clear = answer.clearest
    how, other = ("better", "worse") if objective.score(clear.shown) > 0 else ("worse", "better")
    than = " than the others" if len(answer.levels) > 1 else ""
    low, high = sorted((abs(clear.effect) - clear.half, abs(clear.effect) + clear.half))
    span = f"{_plain(low, answer, objective)} to {_plain(high, answer, objective)}"
    size = _size(abs(clear.effect), answer, objective)
    what = f"{answer.dimension}: {clear.name}" if than else clear.name
    # A few trials far out make a mean that the order of all trials does not share.
    parted = clear.effect * clear.by_rank < 0
    if clear.sized:
        but = f"; by rank it is {other}, so single trials make its mean" if parted else ""
        return f"{what} is {how}{than} by {size} ({span}; p {answer.p:.3f}){but}"
    mean = f"its mean is {other}, through single trials: by" if parted else "by"
    return f"{what} is {how}{than} by rank (p {answer.p:.3f}); {mean} {size}, uncertain ({span})"


def factor(effect: float) -> float:
    """The factor that an effect on a logarithm is."""
    return math.exp(min(effect, MOST_LOG))


def _size(effect: float, answer: Answer, objective: Objective) -> str:
    unit = "" if answer.in_logs else " points" if objective.metric in MAXIMISED else ""
    return f"{'a factor of ' if answer.in_logs else ''}{_plain(effect, answer, objective)}{unit}"


def _plain(effect: float, answer: Answer, objective: Objective) -> str:
    if answer.in_logs:
        return f"{factor(effect):.2f}"
    return f"{(100 if objective.metric in MAXIMISED else 1) * effect:.3g}"
