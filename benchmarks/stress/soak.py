"""A search of hundreds of one-second trials under fire, and what it leaves behind.

Every `--kill-every` seconds a process of the search is killed with -9: a trial's actor, a helper
of Ray, or the driver, after which the same command goes on. Every two seconds its processes,
placement groups, memory, open files, threads and disk are counted. In the end all trials have
ended, no epoch is lost or doubled, and nothing grows with the trials (`soaking.leaks` has the
limits); exit status 1 says that something does.

It goes on where it was stopped: `--for-s 600` runs ten minutes of it. The last `--quiet` trials
run without kills, so that processes grow old.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import psutil

from benchmarks.common import ended, new_parser, show
from benchmarks.stress.soaking.groups import GroupCounter
from benchmarks.stress.soaking.leaks import verdict
from benchmarks.stress.soaking.picture import draw
from benchmarks.stress.soaking.samples import HELPERS, Process, measured, progress, sample
from ffl_ray.bench import short_trials
from ffl_ray.bench.processes import MARK, Marked

NAME = "soak"
SAMPLE_EVERY_S = 2.0
SLOWEST_END_S = 120.0
ENDED_BY_ITSELF = "ended by itself"
# Of ten kills: five of an actor, four of a helper of Ray, one of the driver.
VICTIMS = (*["actor", "helper"] * 4, "actor", "driver")


class Soak(NamedTuple):
    """A soak and where it stands.

    Attributes:
        started: when its first piece began, in seconds since 1970.
        kills: before this piece.
        generation: the latest start of the command before this piece.
        seen: the epochs stored at the latest kill, with their losses.
    """

    args: argparse.Namespace
    out: Path
    started: float
    kills: int
    generation: int
    seen: dict[tuple[str, int], float]

    @property
    def study(self) -> Path:
        return self.out / NAME


def parser() -> argparse.ArgumentParser:
    """The benchmark's options."""
    made = new_parser((__doc__ or "").partition("\n")[0])
    made.add_argument("--trials", type=int, default=500, metavar="N", help="(default 500)")
    made.add_argument("--quiet", type=int, default=100, metavar="N", help="more, without kills")
    made.add_argument("--kill-every", type=float, default=20, metavar="S", help="(default 20)")
    made.add_argument("--epochs", type=int, default=5, metavar="N", help="of a trial")
    made.add_argument("--num-workers", type=int, default=1, metavar="N", help="of each trial")
    made.add_argument("--seed", type=int, default=0, help="of what is killed")
    made.add_argument("--for-s", type=float, metavar="S", help="stop after; the same goes on")
    made.add_argument("--plot", metavar="FILE", help="(default OUT/soak.svg)")
    return made


def main() -> int:
    """Run it, or what is left of it, and print what leaked; returns the exit status."""
    # A shell's background job ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    args = parser().parse_args()
    soak = open_soak(args)
    samples = Samples(soak)
    try:
        finished = run(soak, samples)
    finally:
        samples.groups.close()
        append(soak.out / "samples", samples.rows)
    if not finished:
        show(f"{progress(soak.study)} so far; the same command goes on")
        return 0
    rows = table(soak.out / "samples").sort_values("time", ignore_index=True)
    kills = table(soak.out / "kills")
    draw(rows, kills, Path(args.plot or soak.out / "soak.svg"))
    return verdict(rows, kills, soak.study, args.trials + args.quiet)


def open_soak(args: argparse.Namespace) -> Soak:
    """A new soak, or one that goes on."""
    out = Path(args.out)
    for name in ("samples", "kills"):
        (out / name).mkdir(parents=True, exist_ok=True)
    samples = table(out / "samples")
    started = time.time() if samples.empty else float(samples["time"].min())
    generation = 0 if samples.empty else int(samples["generation"].max())
    return Soak(args, out, started, len(table(out / "kills")), generation, stored(out / NAME))


class Samples:
    """What was seen of the study so far, a row a sample, and the groups that Ray holds."""

    def __init__(self, soak: Soak) -> None:
        self.rows: list[dict[str, Any]] = []
        self.groups = GroupCounter()
        self._soak = soak
        self._marked = Marked(str(soak.out.resolve()))

    def take(self, generation: int, *, noisy: bool) -> list[Process]:
        """The living processes of this start of the command; a row is added."""
        found, zombies = measured(self._marked)
        mine = [process for process in found if process.generation == generation]
        row = sample(found, zombies, self._soak.study, generation, self._soak.started)
        self.rows.append(row | {"groups": self.groups.count(mine), "noisy": noisy})
        return mine


def run(soak: Soak, samples: Samples) -> bool:
    """Run the command until all trials have ended or the piece is over; whether all have."""
    ends = time.time() + (soak.args.for_s or float("inf"))
    killer, generation = Killer(soak), soak.generation
    while True:
        generation += 1
        status = watch(soak, generation, ends, samples, killer)
        if status == 0:
            settle(generation, samples)
            ended = progress(soak.study)["trials_ended"]
            return bool(ended >= soak.args.trials + soak.args.quiet)
        if time.time() >= ends:
            return False
        if status > 0:
            killer.note(ENDED_BY_ITSELF, 0, f"exit status {status}")


def command(soak: Soak, trials: int) -> list[str]:
    """The search of so many trials."""
    args = soak.args
    return [
        *(sys.executable, "-m", "ffl_ray.tune", short_trials.__file__, "--name", NAME),
        *("--storage-path", str(soak.out), "--num-samples", str(trials)),
        *("--set", f"optim.epochs={args.epochs}", "--set", "compute.device=cpu"),
        *("--num-workers", str(args.num_workers), "--cpus-per-trial", str(args.num_workers)),
        *("--sampler", "random"),
    ]


def start(soak: Soak, generation: int, trials: int) -> subprocess.Popen[bytes]:
    """The search's process, marked with its generation."""
    mark = {MARK: f"{soak.out.resolve()}:{generation}"}
    with (soak.out / "driver.log").open("a") as log:
        return subprocess.Popen(
            command(soak, trials), stdout=log, stderr=log, env=os.environ | mark
        )


def watch(soak: Soak, generation: int, ends: float, samples: Samples, killer: Killer) -> int:
    """The exit status of the command, started once, sampled and killed in until it ends."""
    noisy = progress(soak.study)["trials_ended"] < soak.args.trials
    driver = start(soak, generation, soak.args.trials + (0 if noisy else soak.args.quiet))
    killer.began(time.time())
    try:
        while driver.poll() is None and time.time() < ends:
            due = time.time() + SAMPLE_EVERY_S
            mine = samples.take(generation, noisy=noisy)
            if noisy and time.time() >= killer.due:
                killer.kill(driver, mine)
            time.sleep(max(0.0, due - time.time()))
        if driver.poll() is None:
            driver.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                driver.wait(SLOWEST_END_S)
    finally:
        driver.kill()
    status = driver.wait()
    if status == 0 and noisy and soak.args.quiet and time.time() < ends:
        show(f"{soak.args.trials} trials after {killer.count} kills; now without")
        return watch(soak, generation, ends, samples, killer)
    return status


def settle(generation: int, samples: Samples) -> None:
    """Take samples until every process has gone, a minute at most."""
    samples.groups.close()
    until = time.time() + 60
    while time.time() < until:
        samples.take(generation, noisy=False)
        if not samples.rows[-1]["processes"] and not samples.rows[-1]["zombies"]:
            return
        time.sleep(1)


class Killer:
    """The kills in a search: one now and then, each written down."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak
        self._seen = soak.seen
        self.count = soak.kills
        self.due = 0.0

    def began(self, now: float) -> None:
        """Take note that the command was started: the next kill comes a period later."""
        self.due = now + self._soak.args.kill_every

    def kill(self, driver: subprocess.Popen[bytes], processes: list[Process]) -> None:
        """Kill one process of the kind whose turn it is, if there is any."""
        generator = random.Random(f"{self._soak.args.seed} {self.count}")
        turn = VICTIMS[self.count % len(VICTIMS)]
        if turn == "driver":
            driver.kill()
            driver.wait()
            self.note(turn, driver.pid)
            return
        helpers = [process for process in processes if process.kind in HELPERS]
        trained = [process for process in processes if process.kind in ("actor", "worker")]
        victims = helpers if turn == "helper" and helpers else trained
        if not victims:
            return  # all are starting: tried again in a moment
        victim = generator.choice(victims)
        try:
            victim.process.kill()
        except psutil.NoSuchProcess:
            return
        self.note(victim.kind, victim.process.pid)

    def note(self, kind: str, pid: int, more: str = "") -> None:
        """Store what was killed, and whether an epoch that was stored before is gone."""
        now = stored(self._soak.study)
        lost = sum(now.get(key) != loss for key, loss in self._seen.items())
        self._seen = now
        row = {"time": time.time(), "kind": kind, "pid": pid, "lost": lost, "more": more}
        append(self._soak.out / "kills", [row | {"epochs": len(now)}])
        self.count += 1
        self.due = time.time() + self._soak.args.kill_every
        show(f"kill {self.count}: {kind} {more} {progress(self._soak.study)}, {lost} epochs lost")


def stored(study: Path) -> dict[tuple[str, int], float]:
    """Every stored epoch's training loss."""
    if not (study / "epochs").is_dir():
        return {}
    rows = pd.read_parquet(study / "epochs", columns=["trial_id", "epoch", "loss.total"])
    keys = zip(rows["trial_id"], rows["epoch"], strict=True)
    found = dict(zip(keys, rows["loss.total"], strict=True))
    assert len(found) == len(rows), "an epoch is stored twice"
    return found


def table(folder: Path) -> pd.DataFrame:
    """All parts of a table; none is an empty one."""
    parts = [pd.read_parquet(part) for part in sorted(folder.iterdir())]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def append(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Store rows as one more part of a table."""
    if rows:
        part = folder / f"part-{len(list(folder.iterdir())):05d}.parquet"
        pd.DataFrame(rows).to_parquet(part, index=False)


if __name__ == "__main__":
    ended(main)
