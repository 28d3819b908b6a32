"""What the experiment found: `python -m benchmarks.ffl_helps.shown PATH [--picture FILE]`.

PATH is a storage path with its confirmed studies, or what is kept of one. The table of all
comparisons in Markdown, what it rests on, and every opening of a test split; the picture is an SVG.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from benchmarks.common import ended
from benchmarks.ffl_helps.picture import Point, draw
from benchmarks.methods import LAST, cpu_seconds, flattening
from ffl_ray.confirm.tables import FOLDER, interval_of, read_confirmed
from ffl_ray.errors import StudyError
from ffl_ray.results import load
from ffl_ray.results.description import read_description
from ffl_ray.results.openings import openings_of, split_of_study
from ffl_ray.results.statistics import shown
from ffl_ray.results.storage.storage import Storage

Row = Mapping[str, Any]
WHOM = {
    "alone": "its backbone alone",
    "together": "the independent pair's ensemble",
    "untaught": "the same, untaught",
    "same_macs": "one network of its MACs",
    "default": "the default point's",
}


class Study(NamedTuple):
    """A confirmed study.

    Attributes:
        data: the name of its data set, and its own where two are of one.
        rows: its comparisons of accuracy, the primary one first.
        place: of its confirmation.
    """

    data: str
    rows: Sequence[Row]
    place: Storage

    def name(self, row: Row) -> str:
        """What a row compares, in words."""
        whose = f"{row['arm']}: " if len({one["arm"] for one in self.rows}) > 1 else ""
        kind = row["kind"] or "alone"  # the version before had no other
        whom = WHOM.get(kind, kind)
        primary = " *" * bool(row["primary"])
        return f"{whose}{row['member']} against {whom}, equal {row['equal']}{primary}"


def studies_in(path: Path) -> list[Study]:
    """The confirmed studies of a storage path.

    Raises:
        StudyError: there is none.
    """
    found = []
    for described in sorted(path.glob(f"*/{FOLDER}/study.json")):
        place = Storage(str(described.parent))
        rows = [row for row in read_confirmed(place)["comparisons"] if row["metric"] == "accuracy"]
        arms = read_description(place)["arms"]
        rows.sort(key=lambda row: not row["primary"])
        begun = rows if any(row["n"] for row in rows) else []  # one that has only begun has none
        found.append(Study(arms[0]["settings"]["data.name"], begun, place))
    if not found:
        raise StudyError(f"{path} holds no confirmed study: train with -m benchmarks.ffl_helps")
    names = [study.data for study in found]
    return [
        study._replace(data=f"{study.data}: {Storage(study.place.parent).name}")
        if names.count(study.data) > 1
        else study
        for study in found
    ]


def table(studies: Sequence[Study]) -> pd.DataFrame:
    """Each comparison with both costs, and by data set what came out."""
    lines: dict[str, dict[str, str]] = {}
    for study in studies:
        for row in study.rows:
            line = lines.setdefault(study.name(row), {})
            if row["macs"] and row["baseline_macs"]:
                line["MACs"] = f"{row['macs'] / row['baseline_macs']:.2f}"
            line[study.data] = _said(row)
    return pd.DataFrame([{"accuracy, points": name, **line} for name, line in lines.items()])


def _said(row: Row) -> str:
    if not row["n"]:
        return str(row["verdict"])
    seen = "" if row["detectable"] is None else f", seen from {100 * row['detectable']:.2f}"
    p = "" if row["p"] is None else f", p {row['p']:.3f}"
    told = f"{100 * row['mean']:.2f} - {100 * row['baseline_mean']:.2f}"
    verdict = f"**{row['verdict']}**"
    sign = "+" * (row["difference.mean"] >= 0)
    found = shown(interval_of(row, "difference"), 100)
    return f"{sign}{found} ({told}): {verdict} (n {row['n']}{p}{seen})"


def ground(study: Study) -> str:
    """What a study's verdicts rest on: trainings, hours, seconds of both sides, how flat."""
    found = load(study.place.location)
    done = found.trials[found.trials["status"] == "completed"]
    losses = found.epochs.dropna(subset="loss.ce_branches")
    long = losses.groupby("trial_id")["epoch"].transform("size") > LAST
    fell = flattening(losses[long], done["trial_id"])
    cpu_s = cpu_seconds(found.epochs).reindex(done["trial_id"]).fillna(0.0)
    of_arms = _by_arm(study, cpu_s)
    ratios = (
        f"{of_arms[row['arm']] / of_arms[row['baseline']]:.2f}"
        for row in study.rows
        if row["equal"] == "seconds" and of_arms.get(row["baseline"])
    )
    flat = (
        f"; over the last {LAST} epochs of {len(fell)} the cross-entropy still fell by "
        f"{fell.mean():.1%}, by {fell.max():.1%} at most"
    )
    return (
        f"{study.data}: {len(done)} trainings, {cpu_s.sum() / 3600:.1f} hours of a CPU in training "
        f"steps; of these, ours to those of equal seconds {next(ratios, '-')}"
        f"{flat if len(fell) else ''}"
    )


def _by_arm(study: Study, cpu_s: pd.Series) -> dict[str, float]:
    """CPU seconds of a training of each arm, mean over its seeds."""
    runs = pd.DataFrame(read_confirmed(study.place)["runs"])
    known = runs[runs["run_id"].isin(cpu_s.index)]
    of_runs = known["run_id"].map(cpu_s)
    return {str(arm): float(mean) for arm, mean in of_runs.groupby(known["arm"]).mean().items()}


def openings(study: Study) -> list[str]:
    """Every look at its test split that the storage path knows."""
    split = split_of_study(read_description(study.place))
    path = Storage(Storage(study.place.parent).parent)
    return [
        f"{study.data.partition(':')[0]}: look {number} by {one.study}, plan {one.plan}, "
        f"{one.trainings} trainings, {one.time[:10]}"
        for number, one in enumerate(openings_of(path, split), start=1)
    ]


def points(studies: Sequence[Study]) -> list[Point]:
    """What the picture shows."""
    return [
        Point(study.name(row), study.data, *_ends(row), row["verdict"], row["margin"])
        for study in studies
        for row in study.rows
        if row["difference.mean"] is not None
    ]


def _ends(row: Row) -> tuple[float, float | None, float | None]:
    return row["difference.mean"], row["difference.low"], row["difference.high"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, metavar="PATH")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="an SVG to write")
    args = parser.parse_args(arguments)
    studies = studies_in(args.path)
    said = [ground(study) for study in studies]
    looked = dict.fromkeys(line for study in studies for line in openings(study))
    print(table(studies).to_markdown(index=False, disable_numparse=True))  # noqa: T201
    print("", *said, "", *looked, sep="\n")  # noqa: T201
    if args.picture is not None:
        draw(points(studies), args.picture)
    return 0


if __name__ == "__main__":
    ended(main)
