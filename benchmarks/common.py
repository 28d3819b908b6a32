"""What the benchmarks share: their end, running a search, and a mean with its 95% interval."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from ffl_ray import cli
from ffl_ray.errors import StudyError
from ffl_ray.results import load
from ffl_ray.results.reader import Results
from ffl_ray.results.statistics import shown


def new_parser(description: str) -> argparse.ArgumentParser:
    """The command line that all benchmarks have: where their studies go."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", default="benchmarks/out", help="folder of the studies")
    return parser


def out_folder(description: str) -> Path:
    """Where the studies go, for a benchmark without options of its own."""
    return Path(new_parser(description).parse_args().out)


def size_of(folder: Path) -> int:
    """Bytes of all files below; one that vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def ended(command: Callable[[], int | None]) -> NoReturn:
    """End this process with what a benchmark gives; what it can't do becomes one line."""

    def ran() -> int:
        try:
            return command() or 0
        except subprocess.CalledProcessError as error:
            said = f"{shlex.join(map(str, error.cmd))} ended with exit status {error.returncode}"
            raise StudyError(said) from error

    sys.exit(cli.refusing(argparse.Namespace(), ran))


def tune_command(out: Path, name: str, *options: str) -> list[str]:
    """A search of this name under a folder, of points of its space alone."""
    places = ["--storage-path", str(out), "--name", name, "--set", "search.plain_baseline=false"]
    return [sys.executable, "-m", "ffl_ray.tune", *places, *options]


def search(out: Path, name: str, *options: str) -> Results:
    """The tables of a search, which is run unless it has run before."""
    done = out / f"{name}.done"
    if not done.exists():
        out.mkdir(parents=True, exist_ok=True)
        subprocess.run(tune_command(out, name, *options), check=True, stdout=subprocess.DEVNULL)
        done.touch()
    return load(name, str(out))


def interval(values: Sequence[float]) -> str:
    """Mean and half the width of its 95% interval by Student's t."""
    return shown(values, digits=4)


def show(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
