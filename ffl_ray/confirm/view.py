"""Confirmed results as a person sees them: members with intervals, differences, verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ffl_ray.confirm.compared import whom_words
from ffl_ray.confirm.tables import distinct_members, interval_of
from ffl_ray.console.plain_text import printable_row
from ffl_ray.results.guard import understood
from ffl_ray.results.statistics import Summary, shown

Row = dict[str, Any]
Cells = Sequence[str | Text]
SETTLES, LEAST = "settled by", 3  # characters
NAMES = ("member", "metric", "verdict")
# By whether images would settle it; of the version before, which kept that nowhere.
WITHOUT_SEEDS = {True: "more images", False: "too small to tell", None: "over 1,000 seeds"}
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


def confirmed_tables(
    summary: Sequence[Row], compared: Sequence[Row], place: str
) -> list[RenderableType]:
    """Members, and differences.

    Args:
        summary, compared: rows of the confirmation's tables.
        place: that holds them, for the message.

    Raises:
        StudyError: they hold what no confirmation has.
    """
    with understood(place):
        return [summary_table(summary), comparison_table(compared)]


def summary_table(rows: Sequence[Row]) -> RenderableType:
    """Every member of every arm, on the test split; under each arm's name its members."""
    heads = ("member", "accuracy %", "NLL", "parameters", "MACs")
    arms = []
    for of_arm in _grouped(distinct_members(rows), "arm"):
        name = of_arm[0]["trial_id"] or "baseline"
        head = "{mix} {method}: {epochs} epochs, n {n}, {accelerator_s:.1f} s".format(**of_arm[0])
        arms.append((f"{name}  {head}", [_member_cells(row) for row in of_arm]))
    return _Sections("test split, mean ± half the 95% interval", heads, arms)


def _member_cells(row: Row) -> tuple[str, ...]:
    return (
        row["member"],
        shown(interval_of(row, "accuracy"), scale=100),
        shown(interval_of(row, "nll"), digits=3),
        f"{row['parameters']:,}",
        f"{row['macs']:,}",
    )


def comparison_table(rows: Sequence[Row]) -> RenderableType:
    """Every difference to a baseline, by what both sides have in common."""
    numbers = ("difference", "p", "seen\nfrom", "MACs")
    heads = ("member", "metric", *numbers, "verdict", SETTLES)
    found: list[RenderableType] = []
    for equal, words in EQUAL.items():
        for whom in dict.fromkeys(map(whom_words, rows)):
            some = [row for row in rows if row["equal"] == equal and whom_words(row) == whom]
            title = ", ".join(filter(None, (f"against {whom[0]}", words, whom[1])))
            pairs = [
                (_pair(of_pair[0]), [_difference_cells(row) for row in of_pair])
                for of_pair in _grouped(some, "arm", "baseline", "baseline_member", "n")
            ]
            found += [_Sections(title, heads, pairs), Text("")] if some else []
    return Group(*found[:-1])


def _pair(row: Row) -> str:
    seconds = _ratio(row["accelerator_s"], row["baseline_accelerator_s"])
    return (
        f"{row['trial_id']} against {row['baseline']}, {row['baseline_member']}: "
        f"n {row['n']}, {seconds} its seconds"
    )


def _difference_cells(row: Row) -> tuple[str | Text, ...]:
    percent = row["metric"] == "accuracy"
    return (
        row["member"],
        "accuracy %" if percent else "NLL",
        _signed(interval_of(row, "difference"), percent),
        _p(row["p"]),
        _least(row["detectable"], percent),
        _ratio(row["macs"], row["baseline_macs"]),
        Text(verdict_words(row), style=STYLES.get(row["verdict"], "dim")),
        settling_words(row),
    )


def _grouped(rows: Sequence[Row], *names: str) -> list[list[Row]]:
    """Printable rows that are alike in some columns, in the order of their first ones."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in map(printable_row, rows):
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return list(groups.values())


class _Sections:
    """A table of several parts, a line above each; columns stand below each other in all.

    In too little room for them each row is a few words, of which none is left out.

    Args:
        sections: the line of each, and its rows.
    """

    def __init__(
        self, title: str, heads: Sequence[str], sections: Sequence[tuple[str, Sequence[Cells]]]
    ) -> None:
        self._title, self._heads, self._sections = title, heads, sections

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        heads = self._heads
        cells = [heads, *(row for _, rows in self._sections for row in rows)]
        widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
        least = [LEAST if head == SETTLES else w for head, w in zip(heads, widths, strict=True)]
        has_room = sum(least) + 2 * len(least) <= options.max_width
        yield Text(self._title, style="italic", overflow="fold")
        if has_room:
            yield _aligned(heads, widths, (), show_header=True)
        for line, rows in self._sections:
            yield Text(line, overflow="fold")
            yield _aligned(heads, widths, rows) if has_room else _in_words(heads, rows)


def _in_words(heads: Sequence[str], rows: Iterable[Cells]) -> RenderableType:
    """Rows of which each cell stands behind its column's name."""
    named = [
        ", ".join(f"{' '.join(h.split())} {c}" for h, c in zip(heads, row, strict=True) if str(c))
        for row in rows
    ]
    return Padding(Text("\n".join(named), overflow="fold"), (0, 0, 0, 2), expand=False)


def _aligned(
    heads: Sequence[str],
    widths: Sequence[int],
    rows: Iterable[Cells],
    show_header: bool = False,
) -> RenderableType:
    """Rows under a line, whose columns have such widths; the last one takes the room there is."""
    table = Table(box=None, pad_edge=False, show_header=show_header)
    for head, width in zip(heads, widths, strict=True):
        last = head == SETTLES
        justify: Literal["left", "right"] = "left" if last or head in NAMES else "right"
        table.add_column(head, min_width=None if last else width, justify=justify, no_wrap=not last)
    for row in rows:
        table.add_row(*row)
    return Padding(table, (0, 0, 0, 2), expand=False)


def _width(cell: str | Text) -> int:
    return max(map(cell_len, str(cell).split("\n")))


def verdict_words(row: Row) -> str:
    """A verdict, and * for the primary one."""
    return f"{row['verdict']}{' *' * bool(row.get('primary'))}"


def settling_words(row: Row) -> str:
    """What would settle a verdict that is undecided; else nothing."""
    if row["verdict"] != "undecided":
        return ""
    if row.get("more_seeds") is None:
        return WITHOUT_SEEDS[row.get("more_images")]
    return f"{row['n'] + row['more_seeds']} seeds, {row['more_s'] / 60:,.1f} min"


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
    trainings: str,
    num_train: int,
    images: int | None,
    corrected: str,
    ranked_by: str,
    over: str = "seeds",
    without_val: Sequence[str] = (),
) -> str:
    """In a few sentences: what was trained on, measured on, and what an interval means.

    Args:
        seeds: of the number that has the most.
        trainings: how many are behind a number.
        corrected: how verdicts are corrected for how many they are.
        over: what the intervals are over: seeds, or seeds and images.
        without_val: configs whose method measures on the validation images.
    """
    tested = "the test split" if images is None else f"the {images:,} images of the test split"
    words = [
        f"The search went by {ranked_by} on the validation split. Every number is of {trainings} "
        f"(seeds {_listed(seeds)}, none of the search's) on train and val together, "
        f"{num_train:,} images, measured once, after the last epoch, on {tested}.",
        f"{intervals(over)} Differences are paired by seed. MACs and seconds: ours over the "
        f"baseline's. Seen from: the least true difference that is seen in four of five trials. "
        f"Settled by: so many seeds, in a new plan of a fixed --seeds, of so many "
        f"accelerator-minutes; or by images, where no seeds do and it is not too small.",
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
