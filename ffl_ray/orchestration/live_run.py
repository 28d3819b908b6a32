"""The surroundings of a live run: its exit message, its log, and news of its storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ffl_ray.console.exit_message import exit_message, killed_text
from ffl_ray.console.log import everything_else_to, log_file
from ffl_ray.console.terminal import make_console, storage_news
from ffl_ray.results.steering import forget_stop
from ffl_ray.results.storage.storage import Storage


@contextmanager
def live_run(storage: Storage, command: str) -> Iterator[None]:
    """A line if the process is ended from outside; other output in the log; the storage's news.

    Args:
        storage: of the study.
        command: how the study goes on.
    """
    forget_stop(storage)
    message = exit_message(killed_text(command))
    logged = everything_else_to(log_file(storage))
    with message, logged, storage_news(make_console()):
        yield
