"""The command `show`: a study drawn from its tables, again and again, or asked for something."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from rich.console import Group
from rich.live import Live
from rich.text import Text

from ffl_ray.console.terminal import make_console, say
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.results.description import read_description
from ffl_ray.results.history import distributions_of
from ffl_ray.results.reader import find_study, read_rows
from ffl_ray.results.steering import ask_for, ask_to_stop
from ffl_ray.results.storage.access import open_for_writing
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.distributions import gathered
from ffl_ray.search.first_points import read_point
from ffl_ray.show.snapshot import snapshot

# A study that takes long to read is read less often: this share of the time, at most.
BUSY = 0.2
EVERY_S = 2.0
WAITING = Text("nobody goes on with it: waiting for who does, until Ctrl-C", "dim")


def show(args: argparse.Namespace) -> int:
    """The exit status of a look at a study, or of what it was asked for.

    Raises:
        StudyError: it can't be read, or written to.
        SettingError: a point that is asked for is none of its space.
    """
    every_s = EVERY_S if args.every is None else args.every
    if every_s <= 0:
        raise SettingError(f"--every must be above 0, not {every_s:g}")
    storage = find_study(args.study, args.storage_path)
    if args.enqueue or args.stop:
        steer(storage, args.enqueue, stop=args.stop)
        return 0
    console = make_console()
    if args.once or not console.is_terminal:
        console.print(snapshot(storage, console).drawn)
        return 0
    try:
        watch(storage, every_s, waits=args.every is not None)
    except KeyboardInterrupt:
        console.print()
    return 0


def watch(storage: Storage, every_s: float, *, waits: bool) -> None:
    """Draw a study until all of it has ended, or nobody goes on with it.

    Args:
        waits: where nobody does at first, for whoever will: a command takes a while to start.
    """
    console = make_console()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            began = time.monotonic()
            now = snapshot(storage, console)
            waits = waits and now.is_left
            live.update(Group(now.drawn, *([WAITING] if waits else [])), refresh=True)
            if now.has_ended or (now.is_left and not waits):
                return
            took = time.monotonic() - began
            time.sleep(max(every_s, took / BUSY))


def steer(storage: Storage, points: Sequence[str], *, stop: bool) -> None:
    """Ask a study's driver for points, or to stop.

    Raises:
        StudyError: points are asked of what is no search, or a training to stop, or its folder
            can't be written to.
        SettingError: a point is none of what was drawn so far.
    """
    console = make_console()
    if stop and read_description(storage)["kind"] == "train":
        raise StudyError(
            f"{storage.location} holds a training, which hears no --stop: Ctrl-C ends it"
        )
    if points:
        _check(storage, points)
    place = open_for_writing(storage.uri, probe=False)
    for point in points:
        ask_for(place, point)
        say(console, f"asked for {point}: its driver tries it next, or when the search goes on")
    if stop:
        ask_to_stop(place)
        name = read_description(storage)["study"]
        console.out(
            f"asked to stop: its driver ends within seconds, and what is finished is kept; the "
            f"same command with --name {name} goes on"
        )


def _check(storage: Storage, points: Sequence[str]) -> None:
    """Check points by what the search drew so far; its driver, which has the space, decides."""
    kind = read_description(storage)["kind"]
    if kind != "search":
        raise StudyError(f"{storage.location} is no search: it holds a {kind}, and draws no points")
    drawn = {row["distributions"] for row in read_rows(storage, "trials") if row["distributions"]}
    found = gathered(distributions_of(text) for text in drawn)
    for point in points if found else ():
        read_point(found, point)
