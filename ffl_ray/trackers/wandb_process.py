"""The process that writes one run to W&B: a program beside the driver, told by lines of JSON.

It is run by its path, and imports nothing of ours. So the driver keeps its output, its arguments
out of the run's metadata, and its end to itself: W&B waits at exit for a server that is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterable

import wandb

END_S = 30


def write_run(lines: Iterable[str]) -> None:
    """Write a run: a line with what `wandb.init` takes, one for each epoch, one for the end."""
    told = iter(lines)
    settings = wandb.Settings(silent=True, console="off")
    run = wandb.init(**json.loads(next(told)), settings=settings)
    status = None
    for line in told:
        words = json.loads(line)
        if "status" in words:
            status = words["status"]
            run.config["status"] = status
            break
        run.log(words["numbers"], step=words["epoch"])
    threading.Thread(target=_end_with_driver, daemon=True).start()
    run.finish(exit_code=1 if status is None else 0)


def _end_with_driver() -> None:
    """Once the driver has ended its search, or died, leave half a minute to what is to be sent."""
    os.read(sys.stdin.fileno(), 1)
    signal.alarm(END_S)


def main() -> int:
    """Write what standard input says; an error is one line on standard output."""
    try:
        write_run(sys.stdin)
    except Exception as error:
        sys.stdout.write(f"{type(error).__name__}: {' '.join(str(error).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
