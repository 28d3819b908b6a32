"""The answers of a search in words, at the top of its report."""

from __future__ import annotations

from collections.abc import Sequence

from ffl_ray.config.objectives import Objective, parse_objective
from ffl_ray.report.blocks import Block, Note, Table
from ffl_ray.report.source import Study
from ffl_ray.results.search_answers.effects import Answer
from ffl_ray.results.search_answers.table import answers_frame, sentences, study_answers


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
    table = Table("answers", "every level, against the mean of the others", answers_frame(answers))
    return [Note(how), *lines, table._replace(folded=True)]
