"""Confirmed results as a person sees them: members with intervals, differences, verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.tables import distinct_members
from ffl_ray.confirm.tuned import BaselineSearch
from ffl_ray.console.plain_text import printable_row
from ffl_ray.console.terminal import hours
from ffl_ray.orchestration.final_run import FinalRun
from ffl_ray.planning.layout import Plan
from ffl_ray.results.statistics import Summary, shown

Row = dict[str, Any]
STYLES = {"better": "green", "worse": "red", "equal": "cyan"}
EQUAL = {
    "epochs": "same number of epochs, cost of inference as the MACs say",
    "seconds": "same accelerator-seconds",
}


def intervals(over: str) -> str:
    """What an interval is over, in words."""
    if over == "seeds":
        return (
            "Intervals: 95%, over seeds alone (Student's t), not over images: what each training "
            "makes of each image was not kept."
        )
    return "Intervals: 95%, over seeds and test images."


def plan_words(confirmation: Confirmation, waiting: Sequence[FinalRun], plan: Plan) -> str:
    """The number of trainings, and how long those that wait will take."""
    configs, seeds = len(confirmation.chosen), len(confirmation.seeds)
    baselines = sum(arm.trial_id is None for arm in confirmation.arms)
    return (
        f"plan  {configs} config{'s' * (configs != 1)} and {baselines} "
        f"baseline{'s' * (baselines != 1)}, {seeds} seed{'s' * (seeds != 1)} of each: "
        f"{len(confirmation.asked)} trainings, {len(waiting)} of them to be run, "
        f"{plan.max_concurrent_trials} at once\n"
        f"      about {hours(confirmation.seconds(waiting) / plan.max_concurrent_trials)}"
    )


def tuning_words(searches: Mapping[str, BaselineSearch], trials: int, plan: Plan) -> str:
    """What is searched for first, and how long that takes at most; nothing: nothing is."""
    distinct = {one.folder: one.arm for one in searches.values()}
    if not distinct:
        return ""
    seconds = sum(
        trials * arm.settings["optim.epochs"] * (arm.epoch_s or 0.0) for arm in distinct.values()
    )
    return (
        f"first {len(distinct)} search{'es' * (len(distinct) != 1)} for baselines, {trials} trials "
        f"each: at most {hours(seconds / plan.max_concurrent_trials)}, less where trials are "
        f"stopped early"
    )


def summary_table(rows: Sequence[Row]) -> RenderableType:
    """Every member of every arm, on the test split."""
    table = Table(title="test split, mean ± half the 95% interval", title_justify="left", box=None)
    for name in ("config", "mix", "method", "member"):
        table.add_column(name)
    for name in ("epochs", "n", "accuracy %", "NLL", "parameters", "MACs", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    before = None
    for row in map(printable_row, distinct_members(rows)):
        again = row["arm"] == before
        before = row["arm"]
        name = row["trial_id"] or "baseline"
        table.add_row(
            "" if again else name,
            Text("" if again else row["mix"]),
            Text("" if again else row["method"]),
            row["member"],
            str(row["epochs"]),
            str(row["n"]),
            shown(_summary(row, "accuracy"), scale=100),
            shown(_summary(row, "nll"), digits=3),
            f"{row['parameters']:,}",
            f"{row['macs']:,}",
            f"{row['accelerator_s']:.1f}",
        )
    return table


def comparison_table(rows: Sequence[Row]) -> RenderableType:
    """Every difference to a baseline, by what both sides have in common."""
    found: list[RenderableType] = []
    for equal, words in EQUAL.items():
        for parity in dict.fromkeys(row.get("parity") for row in rows):
            some = [row for row in rows if (row["equal"], row.get("parity")) == (equal, parity)]
            title = f"against training without teaching, {words}{(parity and f', {parity}') or ''}"
            found += [_differences(some, title), Text("")] if some else []
    return Group(*found[:-1])


def _differences(rows: Sequence[Row], title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    for name in ("config", "member", "baseline", "metric"):
        table.add_column(name)
    for name in ("difference", "p", "seen from", "n", "MACs", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    before = None
    for row in map(printable_row, rows):
        mine = (row["arm"], row["member"], row["baseline"])
        again = mine == before
        before = mine
        percent = row["metric"] == "accuracy"
        table.add_row(
            "" if again else row["trial_id"],
            "" if again else row["member"],
            Text("" if again else f"{row['baseline']}: {row['baseline_member']}"),
            "accuracy %" if percent else "NLL",
            _signed(_summary(row, "difference"), percent),
            _p(row["p"]),
            _least(row["detectable"], percent),
            str(row["n"]),
            _ratio(row["macs"], row["baseline_macs"]),
            _ratio(row["accelerator_s"], row["baseline_accelerator_s"]),
            Text(verdict_words(row), style=STYLES.get(row["verdict"], "dim")),
        )
    return table


def verdict_words(row: Row) -> str:
    """A verdict; where it is undecided, what would settle it, and * for the primary one."""
    words = str(row["verdict"])
    if words == "undecided" and row.get("more_seeds"):
        minutes = row["more_s"] / 60
        words += f": {row['more_seeds']} seeds more, {minutes:,.1f} accelerator-minutes"
    elif words == "undecided":
        words += ": too few images, whatever the seeds"
    return f"{words} *" if row.get("primary") else words


def _summary(row: Row, name: str) -> Summary:
    return Summary(row["n"], *(row[f"{name}.{key}"] for key in ("mean", "std", "low", "high")))


def _signed(difference: Summary, percent: bool) -> str:
    text = shown(difference, 100 if percent else 1, 2 if percent else 3)
    return f"+{text}" if (difference.mean or 0) > 0 else text


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def _least(value: float | None, percent: bool) -> str:
    if value is None or math.isinf(value):
        return "-"
    return f"{value * (100 if percent else 1):.{2 if percent else 3}f}"


def _ratio(ours: float | None, theirs: float | None) -> str:
    return f"x{ours / theirs:.2f}" if ours and theirs else "-"


def how_measured(
    seeds: Sequence[int],
    num_train: int,
    images: int | None,
    corrected: str,
    ranked_by: str,
    over: str = "seeds",
    without_val: Sequence[str] = (),
) -> str:
    """In a few sentences: what was trained on, measured on, and what an interval means.

    Args:
        corrected: how verdicts are corrected for how many they are.
        over: what the intervals are over: seeds, or seeds and images.
        without_val: configs whose method measures on the validation images.
    """
    tested = "the test split" if images is None else f"the {images:,} images of the test split"
    words = [
        f"Configs ranked by {ranked_by} on the validation split. Every number is of {len(seeds)} "
        f"training{'s' * (len(seeds) != 1)} (seeds {_listed(seeds)}, none of the search's) on "
        f"train and val together, {num_train:,} images, measured once, after the last epoch, on "
        f"{tested}.",
        f"{intervals(over)} Differences are paired by seed. MACs and seconds: ours over the "
        f"baseline's. Seen from: the least true difference that is seen in four of five trials.",
    ]
    if without_val:
        words.append(
            f"But {', '.join(without_val)}: trained on train alone, since the method, or the one "
            f"that it is held against, measures on the validation images."
        )
    if corrected:
        words.append(corrected)
    return " ".join(words)


def _listed(seeds: Sequence[int]) -> str:
    first, last = seeds[0], seeds[-1]
    if list(seeds) == list(range(first, last + 1)) and len(seeds) > 2:
        return f"{first} to {last}"
    return ", ".join(str(seed) for seed in seeds)
