"""One verdict over the confirmations of several studies, each on a data set of its own."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.table import Table
from scipy.special import ndtri

from ffl_ray.confirm.compared import MARGIN, check_margin
from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.race import still_waiting
from ffl_ray.confirm.tables import FOLDER, Row, interval_of, read_confirmed
from ffl_ray.console.json_object import tell
from ffl_ray.console.plain_text import printable_row
from ffl_ray.console.terminal import make_console, say
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.results.across import of_another, over_data_sets
from ffl_ray.results.crossed import ALPHA
from ffl_ray.results.description import read_description
from ffl_ray.results.guard import understood
from ffl_ray.results.openings import split_of_study
from ffl_ray.results.reader import find_study
from ffl_ray.results.rows import ReadRows
from ffl_ray.results.statistics import Summary, shown
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.verdicts import WAITS, Difference, Judged, judged

ENDS = ("low", "high")
NORMAL = float(ndtri(1 - ALPHA / 2))  # half of a 95% interval in standard errors


class Across(NamedTuple):
    """The mean difference over data sets with its interval, and the verdict.

    Attributes:
        another: what another data set's is expected to be; none: there are too few.
    """

    summary: Summary
    judged: Judged
    another: Summary | None = None


def across(studies: Sequence[str], storage_path: str | None, margin: float = MARGIN) -> int:
    """Show the primary comparison of each study, and one verdict over all; the exit status.

    Args:
        margin: in points of accuracy.

    Raises:
        SettingError: fewer than two studies are named, or a study or data set twice; their primary
            comparisons are with several kinds of baselines, or at other costs; or the margin is
            none, or another one than they have.
        StudyError: a study is not confirmed, or not to its end, or has no primary comparison with
            an interval.
    """
    if len(set(studies)) < 2 or len(set(studies)) < len(studies):
        raise SettingError(
            f"--across must name two studies or more, each once, not {' '.join(studies)}"
        )
    check_margin(margin)
    rows = {name: primary_row(name, storage_path) for name in studies}
    _check_alike(rows)
    _check_registered(rows, margin / 100)
    _check_distinct({name: split_named(name, storage_path) for name in studies})
    found = verdict_over(list(rows.values()), margin / 100)
    tell(comparisons=[{"study": name, **row} for name, row in rows.items()], across=_told(found))
    console = make_console()
    console.print(_table(rows, found))
    say(console, words(found, margin))
    return 0


def _told(found: Across) -> Row:
    """The verdict over all as fields of a JSON object."""
    judged_by = ("verdict", "p", "p_equal", "detectable")
    return {
        **found.summary._asdict(),
        **{name: getattr(found.judged, name) for name in judged_by},
        **{f"another.{end}": found.another and getattr(found.another, end) for end in ENDS},
    }


def _table(rows: Mapping[str, Row], found: Across) -> Table:
    """The primary comparisons by study, their mean, and what is expected of another."""
    table = Table(title="ours minus the baseline, accuracy %", title_justify="left", box=None)
    for column in ("study", "member", "baseline", "difference", "n", "verdict"):
        table.add_column(column)
    for name, row in rows.items():
        shown_row = printable_row(row)
        table.add_row(
            name,
            shown_row["member"],
            f"{shown_row['baseline']}: {shown_row['baseline_member']}",
            shown(interval_of(row, "difference"), 100),
            str(row["n"]),
            shown_row["verdict"],
        )
    total = found.summary
    table.add_row("their mean", "", "", shown(total, 100), str(total.n), found.judged.verdict)
    if found.another is not None:
        table.add_row("another one", "", "", shown(found.another, 100), "", "")
    return table


def _check_alike(rows: Mapping[str, Row]) -> None:
    """Check that all primary comparisons are with one kind of baseline: a mean of two is none."""
    kinds = {
        f"{row.get('kind') or 'alone'}, equal {row.get('equal')}": name
        for name, row in rows.items()
    }
    if len(kinds) > 1:
        said = ", ".join(f"{name} ({kind})" for kind, name in kinds.items())
        raise SettingError(
            f"--across must name studies whose primary comparisons are with one kind of baseline, "
            f"not {said}"
        )


def _check_registered(rows: Mapping[str, Row], margin: float) -> None:
    """Check the margin: it was registered before the test splits opened, and stays so."""
    for name, row in rows.items():
        had = row.get("margin")
        if had is not None and not math.isclose(had, margin):
            raise SettingError(
                f"--margin must be what {name} has registered, {100 * had:g}, not {100 * margin:g}"
            )


def _check_distinct(splits: Mapping[str, str]) -> None:
    """Check that no two studies are of one data set: it would count twice."""
    first: dict[str, str] = {}
    for name, split in splits.items():
        if first.setdefault(split, name) != name:
            raise SettingError(
                f"--across must name studies of data sets of their own, and {first[split]} and "
                f"{name} have one test split"
            )


def split_named(study: str, storage_path: str | None) -> str:
    """What names the test split of a study's confirmation."""
    place = _confirmed(study, storage_path)
    with understood(place.location):
        return split_of_study(read_description(place))


def _confirmed(study: str, storage_path: str | None) -> Storage:
    """The folder of a study's confirmation, which may be named itself."""
    storage = find_study(study, storage_path)
    return storage if storage.name == FOLDER else storage.child(FOLDER)


def _check_ended(place: Storage) -> None:
    """Check that a confirmation has ended: whoever judges in between ends it where it is liked.

    Raises:
        StudyError: trainings of its plan are still to be done; those that failed may stay so.
    """
    with understood(place.location):
        plan = Confirmation.load(read_description(place), place.location)
        waiting = still_waiting(plan, ReadRows.of(place), failed=False)
    if waiting:
        study = Storage(place.parent)
        raise StudyError(
            f"{place.location} has not ended, {len(waiting)} trainings are still to be done: go on "
            f"with it, python -m ffl_ray.confirm {shlex.quote(study.name)} --storage-path "
            f"{shlex.quote(study.parent)} and the options that it was begun with"
        )


def primary_row(study: str, storage_path: str | None) -> Row:
    """The primary comparison of a study's confirmation.

    Raises:
        StudyError: it has none with an interval, or has not ended.
    """
    place = _confirmed(study, storage_path)
    rows = read_confirmed(place)["comparisons"] if place.exists("study.json") else []
    found = next((row for row in rows if row["primary"]), None)
    low = None if found is None else found["difference.low"]
    if found is None or low is None or math.isinf(low):  # so of a race before its first look
        raise StudyError(
            f"{place.location} has no primary comparison of two seeds or more: confirm the study, "
            f"or, where a version before did, give its command again"
        )
    if found["verdict"] == WAITS:
        raise StudyError(
            f"{place.location} lacks some of its planned seeds, {found['n']} are there: confirm "
            f"the study to its end"
        )
    _check_ended(place)
    return found


def verdict_over(rows: Sequence[Row], margin: float) -> Across:
    """The verdict on the mean over data sets.

    Args:
        rows: of the comparisons table, one of each data set.
        margin: a fraction.
    """
    halves = [(row["difference.high"] - row["difference.low"]) / 2 for row in rows]
    variances = [max((half / NORMAL) ** 2, 1e-12) for half in halves]
    means = [row["difference.mean"] for row in rows]
    effect = over_data_sets(means, variances)
    verdict = judged([Difference(effect, "up", margin)])[0]
    return Across(effect.summary(None), verdict, of_another(means, variances))


def words(found: Across, margin: float) -> str:
    """What the verdict means, in a few sentences."""
    verdict, p = found.judged.verdict, found.judged.p
    least = found.judged.detectable
    said = (
        f"Over {found.summary.n} data sets: {verdict}, p = {p:.3f}, margin {margin:g} points. It "
        f"is on the mean over data sets like these (a hierarchical model, Hartung and Knapp's "
        f"interval), not on another one"
    )
    if found.another is None:
        said += ", of which so few say nothing."
    else:
        low, high = (100 * (getattr(found.another, end) or 0.0) for end in ENDS)
        said += f": of that {low:+.2f} to {high:+.2f} points are to be expected."
    if verdict == "undecided" and least is not None:
        said += f" Seen from {100 * least:.2f} points on."
    return said
