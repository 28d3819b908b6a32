"""The process that writes one run to W&B: a program beside the driver, told by lines of JSON.

It is run by its path, and imports nothing of ours. So the driver keeps its output, its arguments
out of the run's metadata, and its end to itself: W&B waits at exit for a server that is gone.
"""

from __future__ import annotations

import json
import signal
import sys
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
        else:
            run.log(words["numbers"], step=words["epoch"])
    signal.alarm(END_S)
    run.finish(exit_code=1 if status is None else 0)


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
