"""The sections of a report, in order."""

from __future__ import annotations

from ffl_ray.report import tables
from ffl_ray.report.answers import answer_blocks, answers_in
from ffl_ray.report.blocks import Block, Code, Missing, Note, Section, Table
from ffl_ray.report.classes import class_section
from ffl_ray.report.confirmed import confirmed
from ffl_ray.report.final import final_sections
from ffl_ray.report.plotting import Drawn, Plots
from ffl_ray.report.source import Study
from ffl_ray.report.summary import overview


def sections(study: Study, plots: Plots | None = None) -> list[Section]:
    """The sections that have anything to say.

    Args:
        plots: what draws; none: tables alone.
    """
    found = [
        Section("Overview", overview(study)),
        *(final_sections if study.is_final else _chosen)(study, plots),
        Section("Failures", _failures(study)),
        Section("What was searched" if study.is_search else "Settings", _searched(study)),
        Section("Provenance", [Table("provenance", "", tables.provenance(study))]),
    ]
    return [section for section in found if section is not None and section.blocks]


def _chosen(study: Study, plots: Plots | None) -> list[Section | None]:
    """The sections of a study that chooses by a validation split."""
    answers = answers_in(study)
    drawn = Drawn() if plots is None else plots.of_study(study, answers)
    return [
        Section("Answers", [*drawn.answers, *answer_blocks(study, answers)]),
        confirmed(study, plots),
        Section("Best trials", [*_best(study), *drawn.best]),
        class_section(study, plots),
        Section("Learning curves", [*drawn.curves]),
        Section("Accuracy against inference cost", [*drawn.front, *_front(study)]),
        Section("Importance of each hyperparameter", [*drawn.importance]),
        Section("One hyperparameter at a time", [*drawn.slices]),
    ]


def every_trial(study: Study) -> Table:
    """All trials, for a file of their own."""
    return Table("trials", "", tables.trials_table(study, study.trials))


def _best(study: Study) -> list[Block]:
    best = tables.best_trials(study)
    if best.empty:
        return [Missing("No best trials: none has a value yet.")]
    name = study.quality.name
    if study.completed.empty:
        text = (
            f"No trial has completed: these are the best of the others, by {name} after their "
            f"latest epoch, so trials of different length stand side by side. {study.measured}"
        )
    else:
        count = len(study.completed)
        which = f"The best {len(best)} of {count}" if count > len(best) else f"All {count}"
        trials = f"{which} completed trials" if count > 1 else "The one completed trial"
        why = "" if study.called_best is None else study.called_best.why
        first = f" {why[:1].upper()}{why[1:]}; it stands first." if why else ""
        text = f"{trials} by {name}, after the last epoch.{first} {study.measured}"
    return [Table("best", text, best)]


def _front(study: Study) -> list[Block]:
    front = tables.cost_front(study)
    if front.empty:
        return []
    text = (
        f"The front: the members of completed trials that no other beats in both accuracy and "
        f"MACs. {study.measured}"
    )
    return [Table("front", text, front)]


def _failures(study: Study) -> list[Block]:
    found = tables.failures(study)
    if found.empty:
        return [Note(f"No {'training' if study.is_final else 'trial'} failed.")]
    text = "Each different error, the trials it ended or interrupted, and the epochs they reached."
    return [Table("failures", text, found)]


def _searched(study: Study) -> list[Block]:
    blocks: list[Block] = []
    ranges = tables.ranges(study)
    if not ranges.empty:
        text = "The parameters that Optuna drew, over all trials."
        blocks.append(Table("space", text, ranges))
    if study.description.get("space"):
        replaced = tables.replaced(study.description)
        blocks += [Note(replaced)] if replaced else []
        blocks.append(Code("The search space", study.description["space"]))
    text = "Every setting that the study began with"
    blocks.append(Table("settings", text, tables.settings_table(study), folded=True))
    return blocks
