"""The view of a single training: a line for each epoch."""

from __future__ import annotations

import time

from rich.console import Console
from rich.text import Text

from ffl_ray.console.terminal import duration
from ffl_ray.console.trial_text import Row


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
        line = (
            f"epoch {epoch:>3}/{self._epochs}  loss {row['loss.total']:8.4f}  "
            f"{'' if fused is None else f'fused [b]{fused:.4f}[/b]  '}"
            f"ensemble {row['val.ensemble.accuracy']:.4f}  "
            f"branches {branches}  {row['images_per_s']:.0f} images/s  "
            f"{duration(left)} left"
        )
        self._console.print(Text.from_markup(line))
