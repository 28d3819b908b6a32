"""How a classifier does class by class: a table, the confusion matrix, and what it confuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ffl_ray.report.blocks import Block, Note, Pictures, Section, Table
from ffl_ray.report.plotting import Plots
from ffl_ray.report.source import Study
from ffl_ray.results.classes import Classes, classes_of
from ffl_ray.results.reader import records
from ffl_ray.results.storage.storage import Storage

Row = Mapping[str, Any]
MOST_UNFOLDED, MOST_PAIRS = 20, 10


def class_section(study: Study, plots: Plots | None) -> Section | None:
    """The best trial's classifier that its study is judged by, class by class."""
    if study.completed.empty:
        return None
    called = study.called_best
    trial_id = str(study.completed["trial_id"].iloc[0]) if called is None else called.trial_id
    latest = study.members[study.members["checkpoint"] == "latest"]
    members = records(latest[latest["trial_id"] == trial_id])
    try:
        judged = study.quality.rows(members)
    except KeyError:
        return None
    member = str(max(judged, key=lambda row: row["accuracy"] or 0.0)["member"])
    found = classes_of(study.storage, [trial_id], member)
    which = f"{member} of trial {trial_id}, after the last epoch. {study.measured}"
    return Section("Class by class", class_blocks(found, which, plots))


def confirmed_classes(
    storage: Storage, description: Row, done: Sequence[str], plots: Plots | None, measured: str
) -> list[Block]:
    """The classifier that a confirmation was made for, class by class on the test split.

    Args:
        storage: the confirmation's own folder.
        description: what its study.json says.
        done: ids of the trainings that have completed.
        measured: on what, for the caption.
    """
    primary = description.get("primary")
    if primary is None:
        return []
    arm, members = primary["arm"], primary.get("of") or [primary["member"]]
    runs = [run["run_id"] for run in description["runs"] if run["arm"] == arm]
    found = classes_of(storage, [run for run in runs if run in done], *members)
    which = f"{' and '.join(members)} of {arm}, its trainings added up. {measured}"
    return class_blocks(found, which, plots)


def class_blocks(found: Classes | None, which: str, plots: Plots | None) -> list[Block]:
    """The table, the matrix and the most frequent mistakes.

    Args:
        found: what there is to show; nothing where it was not kept.
        which: classifier, and on what it was measured.
    """
    if found is None:
        return []
    table = Table(
        "classes",
        f"Accuracy of each class, the hardest first: {which}",
        found.frame(),
        folded=len(found.names) > MOST_UNFOLDED,
    )
    pairs = found.mistakes()[:MOST_PAIRS]
    if not pairs:
        return [table, Note("No image was taken for another class.")]
    confused = Table("confused", "The most frequent mistakes.", found.pairs_frame(pairs))
    pictured = [pair for pair in pairs if pair in found.pictures]
    shown = [(_words(found, pair), found.pictures[pair]) for pair in pictured]
    text = "Some of these images, those that it was surest of."
    return [
        table,
        *([] if plots is None else [plots.of_classes(found)]),
        confused,
        *([Pictures(text, shown)] if shown else []),
    ]


def _words(found: Classes, pair: tuple[int, int]) -> str:
    true, taken_for = pair
    return f"{found.names[true]} taken for {found.names[taken_for]}"
