"""The section of confirmed results, when a study has any: of the test split, over new seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ffl_ray.config.methods import trained_on
from ffl_ray.confirm.compared import MARGIN, corrected, parity_words, whom_words
from ffl_ray.confirm.tables import (
    FOLDER,
    distinct_members,
    failed_words,
    how_many_seeds,
    read_confirmed,
)
from ffl_ray.errors import StudyError
from ffl_ray.report.blocks import Block, Missing, Note, Section, Table
from ffl_ray.report.classes import confirmed_classes
from ffl_ray.report.plotting import Plots
from ffl_ray.report.source import Study
from ffl_ray.results.description import read_description
from ffl_ray.results.guard import understood
from ffl_ray.results.looks import looked_at
from ffl_ray.results.openings import openings_of, split_of_study
from ffl_ray.results.reader import read_rows
from ffl_ray.results.storage.access import as_argument
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.verdicts import CLOSED

Row = dict[str, Any]
TITLE = "Confirmed results"
MEMBERS = {
    **{name: name for name in ("arm", "trial_id", "mix", "method", "epochs", "member", "n")},
    **{"accuracy.mean": "accuracy", "accuracy.low": "accuracy_low"},
    **{"accuracy.high": "accuracy_high", "nll.mean": "nll", "nll.low": "nll_low"},
    "nll.high": "nll_high",
    **{name: name for name in ("parameters", "macs", "accelerator_s")},
}
COMPARED = {
    **{name: name for name in ("arm", "member", "equal", "baseline", "baseline_member")},
    **{"metric": "metric", "n": "n", "difference.mean": "difference"},
    **{"difference.low": "difference_low", "difference.high": "difference_high"},
    **{name: name for name in ("margin", "verdict", "parity", "p", "detectable", "more_seeds")},
    **{name: name for name in ("macs", "baseline_macs", "epochs", "baseline_epochs")},
    **{name: name for name in ("accelerator_s", "baseline_accelerator_s")},
}


def confirmed(study: Study, plots: Plots | None) -> Section | None:
    """The results of `python -m ffl_ray.confirm`, from its own study inside this one."""
    if not study.has_confirmation:
        return None
    try:
        return Section(TITLE, confirmed_blocks(study.storage.child(FOLDER), plots))
    except StudyError as error:
        return Section(TITLE, [Missing(f"The confirmed results can't be shown: {error}.")])


def confirmed_blocks(storage: Storage, plots: Plots | None) -> list[Block]:
    """The progress of a confirmation, and its tables.

    Args:
        storage: the confirmation's own folder.
        plots: what draws, if anything does.

    Raises:
        StudyError: it can't be read.
    """
    description = read_description(storage)
    found = read_confirmed(storage)
    summary, compared = distinct_members(found["summary"]), found["comparisons"]
    progress = _progress(storage, description, found)
    if not summary:
        return [Missing(f"No confirmed results yet: {progress}")]
    measured = measured_sentence(description, summary)
    blocks: list[Block] = [Note(f"{progress[0].upper()}{progress[1:]}")]
    if plots is not None:
        blocks.append(plots.of_confirmed(compared, measured))
    blocks.append(
        Table(
            "confirmed",
            f"Every member: mean and its interval. {measured}",
            _frame(summary, MEMBERS),
        )
    )
    if compared:
        blocks.append(Table("comparisons", _about(compared, measured), _frame(compared, COMPARED)))
    with understood(storage.location):
        rows = _trainings(storage)
        done = [row["trial_id"] for row in rows if row["status"] == "completed"]
        blocks += confirmed_classes(storage, description, done, plots, measured)
        failed = [words] if (words := failed_words(found["runs"])) else []
        merged = map(str, description.get("merged", ()))
        notes = [*failed, plan_sentence(description), *merged]
        blocks += [*map(Note, notes), _openings(storage, description)]
    return blocks


def plan_sentence(description: Mapping[str, Any]) -> str:
    """What was registered before the test split opened, in a sentence or two."""
    found = description.get("registered")
    if found is None:
        return "No plan was registered: it is a confirmation of a version before this one."
    plan = found["plan"]
    primary, seeds = plan["primary"], plan["seeds"]
    arms = ", ".join(arm["name"] for arm in plan["arms"])
    first = (
        "no primary comparison"
        if primary is None
        else f"primary comparison {primary['arm']}: {primary['member']} against "
        f"{primary['baseline']}: {primary['baseline_member']}"
    )
    margin = plan["settings"].get("margin", MARGIN)
    return (
        f"Registered {found['time'][:19]} UTC, before the test split was opened, as plan "
        f"{found['hash']}: arms {arms}; {first}; margin {margin:g} points; {len(seeds)} seeds, "
        f"looked at {plan['looks']} time{'s' * (plan['looks'] != 1)}."
    )


def _openings(storage: Storage, description: Mapping[str, Any]) -> Block:
    """The looks at this test split that the storage path knows."""
    place = Storage(Storage(storage.parent).parent)
    looks = openings_of(place, split_of_study(description))
    if not looks:
        return Missing("No look at this test split is recorded beside the study.")
    frame = pd.DataFrame([{"look": i, **one._asdict()} for i, one in enumerate(looks, start=1)])
    return Table(
        "openings",
        f"Looks at this test split from {place.location}, each of as many trainings; a test split "
        f"that was looked at often is a validation split.",
        frame,
    )


def measured_sentence(description: Mapping[str, Any], summary: Sequence[Row]) -> str:
    """The sentence of a caption that says what every number is of."""
    images = summary[0]["images"]
    tested = "Test split" if images is None else f"Test split, {images:,} images"
    count = description.get("data", {}).get("num_train")
    trained = trained_on([arm["settings"] for arm in description.get("arms", ())], count)
    return (
        f"{tested}, measured once after the last epoch; {how_many_seeds(summary)}, none of the "
        f"search's; trained on {trained}; intervals 95%, over {summary[0]['over'] or 'seeds'}."
    )


def _progress(
    storage: Storage, description: Mapping[str, Any], tables: Mapping[str, Sequence[Row]]
) -> str:
    """The numbers of trainings that have completed, and that the tables know."""
    rows = _trainings(storage)
    done = sum(row["status"] == "completed" for row in rows)
    planned = len(description.get("runs", rows))
    behind = sum({row["arm"]: row["n"] for row in tables["summary"]}.values())
    if done == behind and _race_ended(description, tables):
        return f"the race has ended: {done} of at most {planned} trainings have completed."
    if done == behind == planned:
        return f"all {planned} trainings of the confirmation have completed."
    search = as_argument(storage.parent)
    known = f", and the tables are of {behind} of them" if behind and behind != done else ""
    return (
        f"{done} of {planned} trainings of the confirmation have completed{known}; "
        f"python -m ffl_ray.confirm {search} goes on with it."
    )


def _trainings(storage: Storage) -> list[Row]:
    return read_rows(storage, "trials") if storage.exists("trials") else []


def _race_ended(description: Mapping[str, Any], tables: Mapping[str, Sequence[Row]]) -> bool:
    """Whether no verdict on accuracy is open that a seed more could decide."""
    most = len(description.get("seeds", ()))
    looked = looked_at(description.get("looks", 1), most)
    compared, summary = tables["comparisons"], tables["summary"]
    if looked.looks == 1 or not (compared or summary):
        return False
    if not compared:  # the search for every baseline found the config itself
        return all(row["n"] >= looked.first for row in summary)
    return all(
        row["verdict"] in CLOSED or row["n"] >= most
        for row in compared
        if row["metric"] == "accuracy"
    )


def _about(compared: Sequence[Row], measured: str) -> str:
    whom = dict.fromkeys(whom_words(row)[0] for row in compared)
    chance = f"{parity_words(compared)} {corrected(compared)}".strip()
    return (
        f"Against {' and '.join(whom)}: config minus baseline, paired by seed, with as many epochs "
        f"or as many accelerator-seconds. Equal: within the margin; less nll is better. "
        f"{measured} {chance}"
    )


def _frame(rows: Sequence[Row], columns: Mapping[str, str]) -> pd.DataFrame:
    frame = pd.DataFrame([{new: row[old] for old, new in columns.items()} for row in rows])
    counts = [name for name in ("macs", "baseline_macs") if name in frame]
    return frame.astype(dict.fromkeys(counts, "Int64"))
