"""The process that writes one run to W&B or Trackio: a program beside the driver, told by JSON.

It is run by its path, and imports nothing of ours. So the driver keeps its output, its arguments
out of the run's metadata, and its end to itself: W&B waits at exit for a server that is gone; and
each has a run of its own, where both know one at a time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

END_S = 30
Words = dict[str, Any]


class Told(NamedTuple):
    """What the driver says: the run's options, then each epoch, and its status at the end."""

    options: Words
    epochs: Iterator[Words]


def told(lines: Iterable[str]) -> Told:
    """The driver's lines, read as they come."""
    words = map(json.loads, lines)
    return Told(next(words), words)


def write_wandb(options: Words, epochs: Iterator[Words]) -> None:
    """Write a run of W&B: options are those of `wandb.init`."""
    import wandb

    run = wandb.init(**options, settings=wandb.Settings(silent=True, console="off"))
    status = None
    for words in epochs:
        if "status" in words:
            status = words["status"]
            run.config["status"] = status
            break
        run.log(words["numbers"], step=words["epoch"])
    threading.Thread(target=_end_with_driver, daemon=True).start()
    run.finish(exit_code=1 if status is None else 0)


def write_trackio(options: Words, epochs: Iterator[Words]) -> None:
    """Write a run of Trackio: options are those of `trackio.init`."""
    import trackio

    run = trackio.init(**options, embed=False, auto_log_gpu=False, auto_log_cpu=False)
    for words in epochs:
        if "status" in words:
            break
        run.log(words["numbers"], step=words["epoch"])
    threading.Thread(target=_end_with_driver, daemon=True).start()
    run.finish()


WRITERS = {"wandb": write_wandb, "trackio": write_trackio}


def _end_with_driver() -> None:
    """Once the driver has ended its search, or died, leave half a minute to what is to be sent."""
    os.read(sys.stdin.fileno(), 1)
    signal.alarm(END_S)


def main() -> int:
    """Write what standard input says; an error is one line on standard output, and all there is."""
    said, sys.stdout = sys.stdout, sys.stderr
    try:
        WRITERS[sys.argv[1]](*told(sys.stdin))
    except Exception as error:
        said.write(f"{type(error).__name__}: {' '.join(str(error).split())}\n")
        said.flush()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
