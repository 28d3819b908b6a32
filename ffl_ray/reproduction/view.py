"""What a person sees of a reproduction: the tables there are, and published beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from ffl_ray.reproduction.presets import EPOCHS, SEEDS, preset
from ffl_ray.reproduction.published import TABLES, Band, Row, Table
from ffl_ray.reproduction.verdict import Reproduced
from ffl_ray.results.statistics import shown

STYLES = {"in band": "green", "out of band": "red", "undecided": "yellow"}
EXPLANATION = (
    "percent, test split after the last epoch. published: mean ± standard deviation, band two of "
    "these around it; ours: mean ± 95% interval over n seeds. In band: our mean is; out of band: "
    "our whole interval is; else undecided"
)


def list_table() -> RenderableType:
    """Every table with its rows and its cost."""
    grid = Grid(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("table", "rows", "trainings", "10^15 MACs", "what it is"):
        grid.add_column(heading, justify="left" if heading in ("table", "what it is") else "right")
    for name, table in TABLES.items():
        runs = SEEDS * num_configs(table.rows, table)
        grid.add_row(name, str(len(table.rows)), str(runs), f"{table.peta_macs:,}", table.title)
    notes = (
        f"trainings: {EPOCHS} epochs of all 50,000 images, {SEEDS} seeds; --rows, --seeds, "
        "--epochs and --fraction make it less",
        "MACs: multiply-accumulates of all of them, forward and backward; --dry-run TABLE "
        "measures how many hours that is here",
    )
    return Group(grid, Text(""), *(Text(note) for note in notes))


def num_configs(rows: Sequence[Row], table: Table) -> int:
    """Different trainings behind these rows: two members of one network take one."""
    return len({preset(row, table.data) for row in rows})


def reproduced_table(
    name: str, table: Table, found: Sequence[Reproduced], departures: Sequence[str]
) -> RenderableType:
    """Published and ours, row by row, with the sources and the cautions below."""
    grid = Grid(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("row", "published", "ours", "n", "difference", "band", "verdict"):
        grid.add_column(heading, justify="left" if heading in ("row", "verdict") else "right")
    for one in found:
        grid.add_row(
            one.row.name,
            _published(one.row),
            shown(one.ours),
            str(one.ours.n),
            _difference(one),
            _band(one.row.band),
            Text(one.verdict, style=STYLES.get(one.verdict, "")),
        )
    lines = [Text(f"{name}: {table.title}", style="bold")]
    if departures:
        lines.append(Text(departure_line(departures), style="yellow"))
    below = [Text(""), Text(EXPLANATION), Text(f"published in {table.source}")]
    return Group(*lines, Text(""), grid, *below, *map(Text, caution_lines(table, found)))


def departure_line(departures: Sequence[str]) -> str:
    """That a run is scaled down or changed, and what follows from it."""
    return (
        f"scaled down to {', '.join(departures)}: not comparable with the published value, "
        "so no verdict"
    )


def caution_lines(table: Table, found: Iterable[Reproduced]) -> list[str]:
    """The cautions of the table and of the rows, each once, with the rows it is about."""
    about: dict[str, list[str]] = {}
    for one in found:
        for caution in one.row.cautions:
            about.setdefault(caution, []).append(one.row.name)
    general = [f"caution: {caution}" for caution in table.cautions]
    return general + [f"{', '.join(names)}: {caution}" for caution, names in about.items()]


def _published(row: Row) -> str:
    if row.mean is None:
        return "-"
    return f"{row.mean:.2f}" if row.std is None else f"{row.mean:.2f} ± {row.std:.2f}"


def _difference(one: Reproduced) -> str:
    text = "-" if one.difference is None else shown(one.difference)
    return text if text.startswith("-") else f"+{text}"


def _band(band: Band | None) -> str:
    if band is None:
        return "-"
    low, high = band
    if high is None:
        return f"from {low:.2f}"
    return f"to {high:.2f}" if low is None else f"{low:.2f} to {high:.2f}"
