"""The view of a running search: live on a terminal, one line per event in a pipe."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ffl_ray.config.objectives import VALUE, Objective
from ffl_ray.config.settings import Config
from ffl_ray.console.plain_text import printable_line
from ffl_ray.console.terminal import duration
from ffl_ray.console.trial_text import STATUS_STYLES, Row, row_words, trial_words
from ffl_ray.results.columns import ENDED

MOST_RUNNING = 20  # more fit no terminal, and a thousand rows take seconds to draw


class StudyView:
    """The live view of a search; a context manager around it.

    Args:
        title: what is being searched, in a line.
        planned: trials in all.
        objective: what trials are pruned by; its value is shown.
        past: rows of an earlier run's trials: those that ended count as done, others go on.
        words: what each trial is, by its id; one that has none is named by its config.
        elapsed_s: how long it has run already.
        most_s: gives the seconds until it ends whatever is done by then; none: it never does.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        planned: int,
        objective: Objective,
        past: Iterable[Row] = (),
        words: Mapping[str, str] | None = None,
        elapsed_s: float = 0.0,
        most_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._console = console
        self._title = title
        self._planned = planned
        self._objective = objective
        self._started = time.monotonic() - elapsed_s
        self._most_s = most_s
        self._counts: Counter[str] = Counter()
        self._words: dict[str, str] = {**(words or {})}
        self._running: dict[str, Row] = {}
        self._epochs: dict[str, int] = {}
        self._latest: dict[str, float] = {}
        self._before: dict[str, int] = {}
        for row in past:
            self._remember(row)
        self._reached = {**self._before}
        self._ended_before = self._done
        self._ahead = planned - self._done - sum(map(self._share_before, self._before))
        self._trained = 0.0
        self._live = Live(
            get_renderable=self.__rich__,
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
        self._running[trial_id] = {"epoch": self._reached.get(trial_id, 0)}

    def seen(self, trial: Row, epoch: Row) -> None:
        """A trial is running, by its row of the trials table and that of its latest epoch."""
        trial_id = trial["trial_id"]
        self._words.setdefault(trial_id, row_words(trial))
        self._epochs[trial_id] = trial["epochs_planned"]
        self.epoch_finished(trial_id, epoch)

    def epoch_finished(self, trial_id: str, row: Row) -> None:
        self._running[trial_id] = row
        self._reached[trial_id] = row.get("epoch", 0)
        if row.get(VALUE) is not None:
            self._latest[trial_id] = row[VALUE]

    def trial_ended(self, trial_id: str, status: str, row: Row) -> None:
        self._running.pop(trial_id, None)
        if status in ENDED:  # one that was interrupted is still to go
            self._counts[status] += 1
            self._trained += 1 - self._share_before(trial_id)
        if self._console.is_terminal:
            return
        value = row.get(VALUE)
        reached = "" if value is None else f"{self._objective.name} {value:.4f}  "
        error = ""
        if status == "failed":
            error = "  " + printable_line(f"{row.get('error_type')}: {row.get('error')}")
        self._console.out(
            f"{self._done}/{self._planned} {trial_id} {status} after {row['epochs_done']} of "
            f"{row['epochs_planned']} epochs  {reached}{self._words[trial_id]}{error}"
        )

    def _remember(self, row: Row) -> None:
        trial_id = row["trial_id"]
        if row["status"] not in ENDED:
            self._before[trial_id] = row["epochs_done"] or 0
            self._epochs[trial_id] = row["epochs_planned"]
            return
        self._counts[row["status"]] += 1
        self._words.setdefault(trial_id, row_words(row))
        if row[VALUE] is not None:
            self._latest[trial_id] = row[VALUE]

    @property
    def _done(self) -> int:
        return self._counts.total()

    def _share_before(self, trial_id: str) -> float:
        """The share of a trial's epochs that an earlier run trained."""
        before = self._before.get(trial_id, 0)
        return before / self._epochs[trial_id] if before else 0.0

    def _remaining_s(self) -> float | None:
        """From the pace of this run, and no more than it has; None before a trial has ended."""
        if self._done == self._ended_before:
            return None
        begun: float = sum(
            max(row.get("epoch", 0) / self._epochs[trial_id] - self._share_before(trial_id), 0)
            for trial_id, row in self._running.items()
        )
        trained, elapsed = self._trained + begun, time.monotonic() - self._started
        if not trained:
            return None
        most_s, by_pace_s = self._most_s(), elapsed / trained * (self._ahead - trained)
        return by_pace_s if most_s is None else min(by_pace_s, max(most_s, 0.0))

    def __rich__(self) -> RenderableType:
        summary = Table.grid(padding=(0, 2))
        summary.add_row(Text("trials", "dim"), self._progress())
        summary.add_row("", self._states())
        if self._latest:
            # Of trials within one standard error the cheapest is called best, and at the end.
            name = "highest so far" if self._objective.maximised else "lowest so far"
            summary.add_row(Text(name, "dim"), self._first())
        left = self._remaining_s()
        elapsed = duration(time.monotonic() - self._started)
        ahead = "" if left is None else f", about {duration(left)} left"
        summary.add_row(Text("time", "dim"), f"{elapsed}{ahead}")
        return Group(Text(self._title, style="bold"), summary, self._running_table())

    def _progress(self) -> RenderableType:
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=self._planned, completed=self._done, width=30),
            f"{self._done} of {self._planned} trials",
        )
        return bar

    def _states(self) -> Text:
        states = Text()
        for status in ("running", "completed", "pruned", "failed"):
            count = len(self._running) if status == "running" else self._counts[status]
            states.append(f"{count} {status}  ", style=STATUS_STYLES[status] if count else "dim")
        return states

    def _first(self) -> Text:
        trial_id = max(self._latest, key=lambda name: self._objective.score(self._latest[name]))
        return Text.assemble(
            (f"{self._latest[trial_id]:.4f}", "bold"),
            f" {self._objective.name}  {trial_id}  {self._words[trial_id]}",
        )

    def _running_table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        running = list(self._running.items())
        for trial_id, row in running[:MOST_RUNNING]:
            epochs = self._epochs[trial_id]
            value = row.get(VALUE)
            table.add_row(
                Text(trial_id, "cyan"),
                f"{row.get('epoch', 0)}/{epochs}",
                ProgressBar(total=epochs, completed=row.get("epoch", 0), width=12),
                "" if value is None else f"{value:.4f}",
                Text(self._words[trial_id]),
            )
        if len(running) > MOST_RUNNING:
            table.add_row("", "", Text(f"and {len(running) - MOST_RUNNING:,} more", "dim"))
        return table
