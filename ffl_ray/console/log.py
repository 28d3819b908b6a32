"""The study's log: what libraries print while a command shows something better."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from ffl_ray.console.plain_text import printable
from ffl_ray.files import opened
from ffl_ray.results.storage.storage import Storage


def log_file(storage: Storage) -> Path:
    """The study's log; in the working folder when the study is not on this file tree."""
    if storage.is_local:
        return storage.path("log.txt")
    return Path(f"{storage.name}.log.txt")


class LogFile(io.TextIOBase):
    """A file for what nobody needs: a full disk costs its lines, and never the study."""

    def __init__(self, path: Path) -> None:
        descriptor = opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._file = os.fdopen(descriptor, "a", buffering=1)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._file.write(printable(text))
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def everything_else_to(path: Path) -> Iterator[None]:
    """Send what libraries print, warn and log to a file."""
    with contextlib.closing(LogFile(path)) as log:
        handler = logging.StreamHandler(log)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        logging.getLogger().addHandler(handler)
        logging.captureWarnings(True)
        try:
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                yield
        finally:
            logging.captureWarnings(False)
            logging.getLogger().removeHandler(handler)
