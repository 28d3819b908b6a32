"""What a person sees: one live view on a terminal, one line per event in a pipe."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ffl_ray.config.objectives import VALUE, Objective
from ffl_ray.config.overrides import flatten, mix_name
from ffl_ray.config.settings import Config
from ffl_ray.config.user_code import is_own
from ffl_ray.console.plain_text import printable_line, printable_row

Row = dict[str, Any]
PIPE_WIDTH = 160
STORAGE_LOGGER = "ffl_ray.storage"
MOST_RUNNING = 20  # more fit no terminal, and a thousand rows take seconds to draw
STYLES = {
    "completed": "green",
    "pruned": "yellow",
    "failed": "red",
    "interrupted": "magenta",
    "running": "cyan",
}


def make_console() -> Console:
    """A console on the real standard output, whatever is redirected meanwhile."""
    out = sys.__stdout__
    piped = out is None or not out.isatty()
    return Console(file=out, highlight=False, width=PIPE_WIDTH if piped else None)


class StorageNews(logging.Handler):
    """Prints a line when the storage stops answering, and when it answers again."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.out(record.getMessage())


@contextmanager
def storage_news(console: Console) -> Iterator[None]:
    """Print the news of the storage meanwhile, beside what goes to the log."""
    logger, handler = logging.getLogger(STORAGE_LOGGER), StorageNews(console)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def duration(seconds: float) -> str:
    """Seconds as 4:05 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def trial_words(config: Config) -> str:
    """A config's mix, method or fusion design, and temperature in a few words."""
    return row_words({**flatten(config), "model.mix": mix_name(config.model.mix)})


def row_words(row: Row) -> str:
    """The same of a row of the trials table."""
    how = how_fused(row) if row["distill.method"] == "ffl" else row["distill.method"]
    if is_own(str(row["distill.method"])):
        how = f"{how} {row['fusion.design']}"
    temperature = row["distill.temperature"]
    softened = "" if temperature is None or how == "independent" else f" T={temperature:.2f}"
    return printable_line(f"{row['model.mix']} {how}{softened}")


def how_fused(row: Row) -> str:
    """The fusion design of a trial whose method has one."""
    fuses = row["distill.method"] == "ffl" or is_own(str(row["distill.method"]))
    return str(row["fusion.design"]) if fuses else "-"


class StudyView:
    """The live view of a search; a context manager around it.

    Args:
        title: what is being searched, in a line.
        planned: trials in all.
        judge: what trials are pruned by; its value is shown.
        past: rows of trials that ended in an earlier run count as done.
        words: what each trial is, by its id; one that has none is named by its config.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        planned: int,
        judge: Objective,
        past: Iterable[Row] = (),
        words: Mapping[str, str] | None = None,
    ) -> None:
        self._console = console
        self._title = title
        self._planned = planned
        self._judge = judge
        self._started = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._words: dict[str, str] = {**(words or {})}
        self._running: dict[str, Row] = {}
        self._epochs: dict[str, int] = {}
        self._latest: dict[str, float] = {}
        for row in past:
            if row["status"] in ("completed", "pruned", "failed"):
                self._remember(row)
        self._ended_before = self._done
        self._live = Live(
            get_renderable=self._render,
            console=console,
            refresh_per_second=2,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> StudyView:
        if self._console.is_terminal:
            self._live.start()
        else:
            self._console.out(self._title)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def trial_started(self, trial_id: str, config: Config) -> None:
        self._words.setdefault(trial_id, trial_words(config))
        self._epochs[trial_id] = config.optim.epochs
        self._running[trial_id] = {}

    def epoch_finished(self, trial_id: str, row: Row) -> None:
        self._running[trial_id] = row
        if row[VALUE] is not None:
            self._latest[trial_id] = row[VALUE]

    def trial_ended(self, trial_id: str, status: str, row: Row) -> None:
        self._running.pop(trial_id, None)
        self._counts[status] += 1
        if self._console.is_terminal:
            return
        value = row.get(VALUE)
        reached = "" if value is None else f"{self._judge.name} {value:.4f}  "
        error = ""
        if status == "failed":
            error = "  " + printable_line(f"{row.get('error_type')}: {row.get('error')}")
        self._console.out(
            f"{self._done}/{self._planned} {trial_id} {status} after {row['epochs_done']} of "
            f"{row['epochs_planned']} epochs  {reached}{self._words[trial_id]}{error}"
        )

    def _remember(self, row: Row) -> None:
        self._counts[row["status"]] += 1
        self._words.setdefault(row["trial_id"], row_words(row))
        if row[VALUE] is not None:
            self._latest[row["trial_id"]] = row[VALUE]

    @property
    def _done(self) -> int:
        return self._counts.total()

    def _remaining_s(self) -> float | None:
        """From the pace so far; None before the first trial has ended."""
        done = self._done - self._ended_before
        if not done:
            return None
        elapsed = time.monotonic() - self._started
        begun: float = sum(
            row.get("epoch", 0) / self._epochs[trial_id] for trial_id, row in self._running.items()
        )
        share = (done + begun) / (self._planned - self._ended_before)
        return elapsed / share * (1 - share)

    def _render(self) -> RenderableType:
        counts = self._counts
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=self._planned, completed=self._done, width=30),
            f"{self._done} of {self._planned} trials",
        )
        states = Text()
        for status in ("running", "completed", "pruned", "failed"):
            count = len(self._running) if status == "running" else counts[status]
            states.append(f"{count} {status}  ", style=STYLES[status] if count else "dim")
        left = self._remaining_s()
        elapsed = duration(time.monotonic() - self._started)
        ahead = "" if left is None else f", about {duration(left)} left"
        summary = Table.grid(padding=(0, 2))
        summary.add_row("[dim]trials", bar)
        summary.add_row("", states)
        if self._latest:
            trial_id = max(self._latest, key=lambda name: self._judge.score(self._latest[name]))
            value = self._latest[trial_id]
            words = Text.assemble(
                (f"{value:.4f}", "bold"),
                f" {self._judge.name}  {trial_id}  {self._words[trial_id]}",
            )
            summary.add_row("[dim]best", words)
        summary.add_row("[dim]time", f"{elapsed}{ahead}")
        return Group(Text(self._title, style="bold"), summary, self._running_table())

    def _running_table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        running = list(self._running.items())
        for trial_id, row in running[:MOST_RUNNING]:
            epochs = self._epochs[trial_id]
            value = row.get(VALUE)
            table.add_row(
                f"[cyan]{trial_id}",
                f"{row.get('epoch', 0)}/{epochs}",
                ProgressBar(total=epochs, completed=row.get("epoch", 0), width=12),
                "" if value is None else f"{value:.4f}",
                Text(self._words[trial_id]),
            )
        if len(running) > MOST_RUNNING:
            table.add_row("", "", f"[dim]and {len(running) - MOST_RUNNING:,} more")
        return table


class TrainView:
    """The epochs of a single training, a line each, and what comes next on a terminal."""

    def __init__(self, console: Console, epochs: int) -> None:
        self._console = console
        self._epochs = epochs
        self._started = time.monotonic()
        self._first: int | None = None

    def epoch_finished(self, row: Row) -> None:
        """Print one epoch."""
        epoch = row["epoch"]
        if self._first is None:
            self._first = epoch - 1
        elapsed = time.monotonic() - self._started
        left = elapsed / (epoch - self._first) * (self._epochs - epoch)
        branches = " ".join(f"{value:.4f}" for value in row["val.branches.accuracy"])
        fused = row["val.fused.accuracy"]
        self._console.print(
            f"epoch {epoch:>3}/{self._epochs}  loss {row['loss.total']:8.4f}  "
            f"{'' if fused is None else f'fused [b]{fused:.4f}[/b]  '}"
            f"ensemble {row['val.ensemble.accuracy']:.4f}  "
            f"branches {branches}  {row['images_per_s']:.0f} images/s  "
            f"{duration(left)} left"
        )


def best_table(rows: list[Row], objectives: Sequence[Objective], count: int = 5) -> RenderableType:
    """The best trials by the first objective, completed ones first."""
    first = objectives[0]
    ranked = sorted(
        (row for row in rows if row.get("objective_values")),
        key=lambda row: (row["status"] == "completed", first.score(row["objective_values"][0])),
        reverse=True,
    )
    accuracies = {
        "fused": "val.fused.accuracy",
        "ensemble": "val.ensemble.accuracy",
        "best branch": "val.best_branch.accuracy",
    }
    others = [o for o in objectives if f"val.{o.name}" not in accuracies.values()]
    table = Table(title="best trials, validation", title_justify="left", box=None)
    for name in ("trial", "status", "epochs"):
        table.add_column(name, justify="right" if name == "epochs" else "left")
    for name in (*(objective.name for objective in others), *accuracies):
        table.add_column(name, justify="right")
    for name in ("mix", "method", "fusion", "temperature"):
        table.add_column(name)
    for row in map(printable_row, ranked[:count]):
        values = dict(zip(objectives, row["objective_values"], strict=True))
        table.add_row(
            row["trial_id"],
            Text(row["status"], style=STYLES.get(row["status"], "")),
            str(row["epochs_done"]),
            *(_number(values[objective]) for objective in others),
            *(_number(row[column]) for column in accuracies.values()),
            Text(row["model.mix"]),
            *_how(row),
        )
    return table


def front_table(points: list[Row], count: int = 15) -> RenderableType:
    """The front over the members of all completed trials."""
    more = f", the first {count} of {len(points)}" if len(points) > count else ""
    title = f"front over all members of completed trials, validation{more}"
    table = Table(title=title, title_justify="left", box=None)
    hidden = (
        *("trial_id", "member", "backbone"),
        *("model.mix", "distill.method", "fusion.design", "distill.temperature"),
    )
    metrics = [name for name in points[0] if name not in hidden] if points else []
    for name in ("trial", "member"):
        table.add_column(name)
    for name in metrics:
        table.add_column(name, justify="right")
    for name in ("backbone", "mix", "method", "fusion", "temperature"):
        table.add_column(name)
    for point in map(printable_row, points[:count]):
        table.add_row(
            point["trial_id"],
            point["member"],
            *(_number(point[name]) for name in metrics),
            Text(point["backbone"] or ""),
            Text(point["model.mix"]),
            *_how(point),
        )
    return table


def _how(row: Row) -> list[Text]:
    """Method, fusion design and temperature of a trial."""
    taught = row["distill.method"] != "independent"
    temperature = f"{row['distill.temperature']:.2f}" if taught else "-"
    return [Text(word) for word in (row["distill.method"], how_fused(row), temperature)]


def _number(value: float | None) -> str:
    """Four decimals below a thousand, else whole with commas; a dash for what there is not."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}"


def members_table(rows: list[Row]) -> RenderableType:
    """The classifiers that one training gave, after its latest epoch."""
    table = Table(title="members, validation", title_justify="left", box=None)
    for name in ("member", "backbone"):
        table.add_column(name)
    timed = any(row["latency_ms"] is not None for row in rows)
    for name in ("accuracy", "top-5", "NLL", "ECE", "parameters", "MACs", *(["ms"] * timed)):
        table.add_column(name, justify="right")
    for row in map(printable_row, rows):
        if row["checkpoint"] == "latest":
            table.add_row(
                row["member"],
                Text(row["backbone"] or ""),
                *(f"{row[name]:.4f}" for name in ("accuracy", "top5", "nll", "ece")),
                f"{row['parameters']:,}",
                f"{row['macs']:,}",
                *([f"{row['latency_ms']:.2f}"] if timed else []),
            )
    return table


def where_text(location: str, trials: str) -> str:
    """Where the results are, and the two lines of pandas that open them."""
    return (
        f"results  {location}\n"
        f"         import pandas as pd\n"
        f'         trials = pd.read_parquet("{trials}")'
    )
