"""The answers of a search in words, at the top of its report."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ffl_ray.config.objectives import MAXIMISED, Objective, parse_objective
from ffl_ray.report.blocks import Block, Note, Table
from ffl_ray.report.source import Study
from ffl_ray.results.search_answers.effects import Answer
from ffl_ray.results.search_answers.table import answers_frame, sentences, study_answers

SIZES = ["effect", "low", "high", "detectable"]


def answers_in(study: Study) -> list[Answer]:
    """The answers of a search; a study of another kind has none."""
    if not study.is_search:
        return []
    return study_answers(study.trials, study.epochs, judged_by(study))


def judged_by(study: Study) -> Objective:
    """What its trials are pruned by, and the best epoch is kept by: the setting objective."""
    return parse_objective(str(study.description["settings"]["objective"]))


def answer_blocks(study: Study, answers: Sequence[Answer]) -> list[Block]:
    """A sentence for each dimension, and all levels in a table on demand."""
    if not answers:
        return []
    objective = judged_by(study)
    stopped = int((study.trials["status"] == "pruned").sum())
    curves = f", {stopped} that were pruned among them, by their curves" if stopped else ""
    how = (
        f"What each searched dimension does to {objective.name}, over {answers[0].n} trials"
        f"{curves}; p is by permutation, corrected for {len(answers)} dimensions."
    )
    lines = [Note(line) for line in sentences(answers, objective)]
    text = "every level, against the mean of the others"
    return [Note(how), *lines, Table("answers", text, _levels(answers, objective), folded=True)]


def _levels(answers: Sequence[Answer], objective: Objective) -> pd.DataFrame:
    """Every level with its unit: an accuracy's effects in points, as the sentences have them."""
    frame = answers_frame(answers)
    in_points = objective.metric in MAXIMISED
    if in_points:
        frame[SIZES] *= 100
    unit = "points" if in_points else objective.metric
    return frame.assign(unit=frame["unit"].replace("", unit))
