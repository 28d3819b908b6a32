"""kill -9 of the driver of a 20-trial search at ten random moments, then 20 trials more.

Each time the same command goes on. Shown: every trial ended, none run twice, no finished epoch
lost or doubled, the folder within the bound that the plan stated, and proposals equal to those of
a search that was never killed: by random sampling without stopping, where nothing depends on what
two trials at once finish first. With `--sampler tpe --scheduler asha` it does.
"""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.common import ended, new_parser, search, show, size_of, tune_command
from ffl_ray.results import load

KILLS = 10
OPTIONS = ("digits", "--set", "data.fraction=0.5", "--set", "optim.epochs=8")


def epochs_of(out: Path, name: str) -> dict[tuple[str, int], float]:
    """Every stored epoch's training loss."""
    folder = out / name / "epochs"
    if not folder.is_dir():
        return {}
    rows = pd.read_parquet(folder)
    keys = zip(rows["trial_id"], rows["epoch"], strict=True)
    found = dict(zip(keys, rows["loss.total"], strict=True))
    assert len(found) == len(rows), "an epoch is stored twice"
    return found


class Search(NamedTuple):
    """A search of 20 trials, or more.

    Attributes:
        out: folder of the studies.
        options: of its command.
    """

    out: Path
    options: tuple[str, ...]

    def command(self, name: str, trials: int = 20) -> list[str]:
        """Of the search under a name."""
        return tune_command(self.out, name, *self.options, "--num-samples", str(trials))

    def kill_once(self, name: str, delay_s: float) -> tuple[bool, int]:
        """Start it and kill its driver some seconds after the first new epoch.

        Returns:
            Whether it lived, and the bytes of its folder at most.
        """
        before, most = len(epochs_of(self.out, name)), 0
        with (self.out / f"{name}.log").open("a") as log:
            process = subprocess.Popen(self.command(name), stdout=log)
        ends = float("inf")
        while process.poll() is None and time.monotonic() < ends:
            time.sleep(0.1)
            most = max(most, size_of(self.out / name))
            if ends == float("inf") and len(epochs_of(self.out, name)) > before:
                ends = time.monotonic() + delay_s
        alive = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        return alive, most


def kill_ten_times(search: Search) -> dict[tuple[str, int], float]:
    """The losses of all epochs that were stored when it was killed for the last time."""
    generator = random.Random(0)
    seen: dict[tuple[str, int], float] = {}
    kills = largest = 0
    for _ in range(KILLS):
        alive, most = search.kill_once("killed", generator.uniform(0, 4))
        kills, largest = kills + alive, max(largest, most)
        now = epochs_of(search.out, "killed")
        lost = [key for key, loss in seen.items() if now.get(key) != loss]
        show(f"kill {kills}: {len(now)} epochs stored, {len(lost)} lost or changed")
        seen = now
    stated = re.search("disk at most ([0-9.]+ .B)", (search.out / "killed.log").read_text())
    assert stated, "the plan states a bound"
    show(f"its folder: {largest / 1e6:.1f} MB at most, and the plan's bound {stated[1]}")
    return seen


def main() -> None:
    """Run the killed and the quiet search and print what became of both."""
    parser = new_parser(__doc__ or "")
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--scheduler", default="none")
    args = parser.parse_args()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    ways = ("--sampler", args.sampler, "--scheduler", args.scheduler)
    asked = Search(out, (*OPTIONS, *ways))
    seen = kill_ten_times(asked)
    twenty = (*asked.options, "--num-samples", "20")
    killed, quiet = (search(out, name, *twenty).trials for name in ("killed", "quiet"))
    after = epochs_of(out, "killed")
    lost = [key for key, loss in seen.items() if after.get(key) != loss]
    show(f"\nafter {KILLS} kills: {killed['status'].value_counts().to_dict()}")
    show(f"trials {len(killed)}, ids in order: {list(killed['trial_id']) == ids(20)}")
    total = killed["epochs_done"].sum()
    show(f"epochs: {len(after)} stored, {total} by the trials' rows, {len(lost)} lost")
    show(f"same proposals as the quiet search: {list(killed['params']) == list(quiet['params'])}")
    subprocess.run(asked.command("killed", 40), check=True, stdout=subprocess.DEVNULL)
    more = load("killed", str(out)).trials
    same = list(more["params"][:20]) == list(killed["params"])
    show(
        f"extended to 40: {more['status'].value_counts().to_dict()}, first 20 as they were: {same}"
    )


def ids(count: int) -> list[str]:
    """The first trial ids of a study."""
    return [f"{number:05d}" for number in range(count)]


if __name__ == "__main__":
    ended(main)
