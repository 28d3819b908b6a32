"""A reproduction as a person sees it: the tables there are, and published beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from ffl_ray.config.overrides import mix_name
from ffl_ray.console.terminal import make_console
from ffl_ray.reproduce.presets import SEEDS, Departures, find_table, preset
from ffl_ray.reproduce.published import TABLES
from ffl_ray.reproduce.recipes import EPOCHS, RECIPES
from ffl_ray.reproduce.rows import Band, Row, Table
from ffl_ray.reproduce.verdict import Reproduced
from ffl_ray.results.statistics import shown

STYLES = {"in band": "green", "out of band": "red", "undecided": "yellow"}
EXPLANATION = (
    "percent, test split after the last epoch. published: mean ± standard deviation, band two of "
    "these around it; ours: mean ± 95% interval over n seeds. In band: our mean is, and the "
    "interval is no wider than the band; out of band: our whole interval is; else undecided"
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


def rows_table(name: str, table: Table) -> RenderableType:
    """Every row of one table, with the training behind it."""
    grid = Grid(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("row", "published", "band", "recipe", "mix", "shared stages", "compared"):
        grid.add_column(heading)
    for row in table.rows:
        config = preset(row, table.data)
        mix, shared = mix_name(config.model.mix), str(config.model.trunk_stages)
        words = (row.name, _published(row), _band(row.band), row.recipe, mix, shared, row.figure)
        grid.add_row(*map(Text, words))
    recipes = {name: RECIPES[name] for name in dict.fromkeys(row.recipe for row in table.rows)}
    settings = [Text(f"{name}: {one.words}") for name, one in recipes.items()]
    title = Text(f"{name}: {table.title}", style="bold")
    source = Text(f"published in {table.source}")
    return Group(title, Text(""), grid, Text(""), source, *settings)


def num_configs(rows: Sequence[Row], table: Table) -> int:
    """Different trainings behind these rows: two members of one network take one."""
    return len({preset(row, table.data) for row in rows})


def reproduced_table(
    name: str, table: Table, found: Sequence[Reproduced], departures: Departures
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
            Text(_verdict(one), style=STYLES.get(one.verdict, "")),
        )
    title = Text(f"{name}: {table.title}", style="bold")
    notes = [Text(note, style="yellow") for note in note_lines(found, departures)]
    below = [Text(EXPLANATION), Text(f"published in {table.source}")]
    cautions = map(Text, caution_lines(table, found))
    return Group(title, *notes, Text(""), grid, Text(""), *below, *cautions)


def note_lines(found: Sequence[Reproduced], departures: Departures) -> list[str]:
    """Notes on what this run has less of than a full reproduction, and what follows from it."""
    notes = []
    if departures.words:
        notes.append(f"{departures.words}: not comparable with the published value, so no verdict")
    fewest = min(one.ours.n for one in found)
    if fewest < SEEDS:
        notes.append(f"{fewest} of {SEEDS} seeds{'' if fewest > 1 else ': no interval'}")
    return notes


def caution_lines(table: Table, found: Sequence[Reproduced]) -> list[str]:
    """The cautions of the table and of the rows, each once, with the rows it is about."""
    names = [one.row.name for one in found]
    about: dict[str, list[str]] = {}
    for one in found:
        for caution in one.row.notes:
            about.setdefault(caution, []).append(one.row.name)
    general = [f"caution: {caution}" for caution in table.cautions]
    return general + [
        f"{', '.join(patterns(of, names))}: {caution}" for caution, of in about.items()
    ]


def patterns(chosen: Sequence[str], names: Sequence[str]) -> list[str]:
    """Some rows in the fewest words: `*/dml` and `vgg-16/*` for all such rows of these."""
    left, found = list(chosen), []
    for pattern in dict.fromkeys(f(name) for f in (_any_backbone, _any_method) for name in chosen):
        matching = [name for name in names if fnmatchcase(name, pattern)]
        if len(matching) > 1 and set(matching) <= set(left):
            found.append(pattern)
            left = [name for name in left if name not in matching]
    return found + left


def _any_backbone(name: str) -> str:
    return f"*/{name.partition('/')[2]}"


def _any_method(name: str) -> str:
    return f"{name.partition('/')[0]}/*"


def _published(row: Row) -> str:
    if row.mean is None:
        return "-"
    return f"{row.mean:.2f}" if row.std is None else f"{row.mean:.2f} ± {row.std:.2f}"


def _difference(one: Reproduced) -> str:
    text = "-" if one.difference is None else shown(one.difference)
    return text if text.startswith("-") else f"+{text}"


def _verdict(one: Reproduced) -> str:
    """The verdict, and how many seeds would tell whether it is in the band."""
    return one.verdict if one.seeds is None else f"{one.verdict}: {one.seeds} seeds would tell"


def _band(band: Band | None) -> str:
    if band is None:
        return "-"
    low, high = band
    if high is None:
        return f"from {low:.2f}"
    return f"to {high:.2f}" if low is None else f"{low:.2f} to {high:.2f}"


def show_published(name: str | None) -> int:
    """Show all published tables, or one table's rows; the exit status.

    Raises:
        SettingError: there is no such table.
    """
    shown = list_table() if name is None else rows_table(name, find_table(name))
    make_console().print(shown)
    return 0
