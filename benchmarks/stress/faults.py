"""Processes and nodes killed under a running search, many times: what is lost, and for how long.

Every injection is one row of OUT/faults.csv, written when it is over; the same command goes on
where it stopped. Moments are random, from a seed. A fault is over when the killed trial has a new
epoch of another attempt (after a lost head or driver: when the same command has brought it), and
then it is looked up whether every epoch that was stored is there as it was, whether a finished
epoch was trained again, and whether a trial failed or vanished.
"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.common import ended, new_parser, show
from benchmarks.stress.fault_table import Injection, append, read, table
from benchmarks.stress.object_store import object_store
from benchmarks.stress.running import RunningSearch
from benchmarks.stress.victims import Nodes, kill, marked, new_mark, nodes, titled

WITHIN_S = 240.0
WARNING_S = 5.0
# A command that has lost its head waits a minute for it, and computes nothing.
AT_ONCE = 3
ONE = ("--num-workers", "1", "--cpus-per-trial", "1")
TWO = ("--num-workers", "2", "--cpus-per-trial", "2")


class Scene(NamedTuple):
    """The place of a fault: a search, the sign of its processes, and its cluster if it has one."""

    search: RunningSearch
    mark: str
    cluster: Nodes | None = None


def kill_worker(scene: Scene) -> float:
    """The moment at which a training process of a trial of two was killed."""
    kill([random.choice(titled(scene.mark, "RayTrainWorker"))])
    return time.time()


def kill_actor(scene: Scene) -> float:
    """The moment at which the Tune actor was killed, which trains or waits for those that do."""
    kill([titled(scene.mark, "ImplicitFunc")[0]])
    return time.time()


def kill_node(scene: Scene) -> float:
    """The moment at which a node that trains was killed; another one comes in its place."""
    assert scene.cluster is not None
    scene.cluster.kill(scene.cluster.trainers()[0])
    at = time.time()
    scene.cluster.add()
    return at


def preempt_node(scene: Scene) -> float:
    """The moment at which a node that trains ended, after its warning."""
    assert scene.cluster is not None
    node = scene.cluster.trainers()[0]
    scene.cluster.drain(node, WARNING_S)
    time.sleep(WARNING_S)
    scene.cluster.kill(node)
    at = time.time()
    scene.cluster.add()
    return at


class Fault(NamedTuple):
    """A fault: what is killed, and under which search.

    Attributes:
        what: in words.
        inflict: does it, and says when.
        scene: name of the search it is done to.
    """

    what: str
    inflict: Callable[[Scene], float]
    scene: str


FAULTS = {
    "actor": Fault("Tune actor of a one-worker trial", kill_actor, "one"),
    "worker": Fault("one training worker of a two-worker trial", kill_worker, "two"),
    "trial-driver": Fault("Tune actor that drives a two-worker trial", kill_actor, "two"),
    "node": Fault("node of a two-worker trial", kill_node, "nodes"),
    "spot": Fault("spot node of a two-worker trial, 5 s after its warning", preempt_node, "nodes"),
}
ENDING = {
    "head": "all processes of Ray's head; then the same command on a new one",
    "driver": "the search's own command; then the same command",
    "driver-of-two": "the same, of a search of two-worker trials",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Inflict what is still to be inflicted, and print the table."""
    parser = new_parser(__doc__ or "")
    everything = [*FAULTS, *ENDING]
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(everything))
    parser.add_argument("--times", type=int, default=20, help="injections of each (default 20)")
    parser.add_argument("--for-s", type=float, default=840, help="stop after this (default 840)")
    parser.add_argument("--table", action="store_true", help="print the table and stop")
    args = parser.parse_args(arguments)
    # A shell starts what runs behind it with Ctrl-C ignored, and commands would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    out = Path(args.out) / "faults"
    out.mkdir(parents=True, exist_ok=True)
    if not args.table:
        until = time.monotonic() + args.for_s
        for group in groups(args.faults or everything):
            inflict(out, group, args.times, until)
    show(table(read(out), {name: fault.what for name, fault in FAULTS.items()} | ENDING))


def groups(faults: Sequence[str]) -> list[list[str]]:
    """Faults that are done to one and the same search, together."""
    unknown = [name for name in faults if name not in FAULTS and name not in ENDING]
    if unknown:
        sys.exit(f"no such fault: {unknown[0]}; there are {', '.join([*FAULTS, *ENDING])}")
    made = [[name for name in faults if name in FAULTS and FAULTS[name].scene == scene]
            for scene in ("one", "two", "nodes")]  # fmt: skip
    return [group for group in [*made, *([name] for name in faults if name in ENDING)] if group]


def inflict(out: Path, faults: list[str], times: int, until: float) -> None:
    """Each of these so many times, in turns, as long as there is time."""
    todo = [(name, number) for number in range(times) for name in faults]
    done = {(row.fault, row.number) for row in read(out)}
    todo = [one for one in todo if one not in done]
    if not todo or time.monotonic() > until:
        return
    if faults[0] in ENDING:
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            for made in pool.map(lambda one: ended_in_time(out, one[0], one[1], until), todo):
                if made is not None:
                    append(out, made)
        return
    with scene(out, FAULTS[faults[0]].scene) as place:
        for name, number in todo:
            if time.monotonic() > until:
                return
            made = survived(place, name, number)
            append(out, made)
            if made.recover_s is None:
                return


@contextlib.contextmanager
def scene(out: Path, kind: str) -> Iterator[Scene]:
    """A search that trains: on this machine, or on a cluster of nodes and S3."""
    with contextlib.ExitStack() as stack:
        mark = new_mark()
        if kind != "nodes":
            options = ONE if kind == "one" else TWO
            search = stack.enter_context(RunningSearch(out, str(out), kind, *options, mark=mark))
            yield Scene(search, mark)
            return
        store = stack.enter_context(object_store())
        cluster = stack.enter_context(nodes(0, 3, mark=mark))
        joined = (*TWO, "--address", cluster.address)
        search = stack.enter_context(RunningSearch(out, store, kind, *joined, mark=mark))
        yield Scene(search, mark, cluster)


def moment(name: str, number: int) -> float:
    """Seconds after a finished epoch: equal in every run."""
    return random.Random(f"{name} {number}").uniform(0, 2)


def survived(place: Scene, name: str, number: int) -> Injection:
    """The injection of a fault that a search lives through."""
    search, delay_s = place.search, moment(name, number)
    search.wait_for_epoch(WITHIN_S)
    time.sleep(delay_s)
    before = search.epochs()
    at = FAULTS[name].inflict(place)
    stored = search.stored_epochs()
    recovered = search.recovered(at, WITHIN_S)
    return found(search, name, number, delay_s, before, stored, None, recovered)


def ended_in_time(out: Path, name: str, number: int, until: float) -> Injection | None:
    """The injection of `ended_by`; None when it is too late to begin."""
    return ended_by(out, name, number) if time.monotonic() < until else None


def ended_by(out: Path, name: str, number: int) -> Injection:
    """The injection of a fault that ends the command, which is then given again."""
    study, delay_s = f"{name}-{number}", moment(name, number)
    mark, options = new_mark(), TWO if name == "driver-of-two" else ONE
    with RunningSearch(out, str(out), study, *options, mark=mark) as search:
        search.wait_for_epoch(WITHIN_S)
        time.sleep(delay_s)
        before, stored = search.epochs(), search.stored_epochs()
        at = time.time()
        if name == "head":
            own = search.process.pid
            kill(one for one in titled(mark, "/ray/", "ray::") if one.pid != own)
        else:
            search.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            search.process.wait(WITHIN_S)
        ended_s = time.time() - at
    at = time.time()
    with RunningSearch(out, str(out), study, *options, mark=new_mark()) as search:
        recovered = search.recovered(at, WITHIN_S)
        made = found(search, name, number, delay_s, before, stored, ended_s, recovered)
    kill(one.process for one in marked(mark))
    return made


def found(
    search: RunningSearch,
    name: str,
    number: int,
    delay_s: float,
    before: pd.DataFrame,
    stored: dict[str, int],
    ended_s: float | None,
    recovered: tuple[float | None, dict[str, int]],
) -> Injection:
    """The injection as the tables have it when it is over."""
    recover_s, least = recovered
    after = search.epochs()
    kept = before.merge(after, on=["trial_id", "epoch", "loss.total"])
    trials = search.trials()
    missing = len(set(before["trial_id"]) - set(trials["trial_id"]))
    made = Injection(
        fault=name,
        number=number,
        delay_s=round(delay_s, 2),
        epochs_before=len(before),
        epochs_lost=len(before) - len(kept),
        epochs_again=sum(max(0, stored[trial] - least.get(trial, 0)) for trial in stored),
        trials_lost=int((trials["status"] == "failed").sum()) + missing,
        ended_s=None if ended_s is None else round(ended_s, 1),
        recover_s=None if recover_s is None else round(recover_s, 1),
    )
    show(str(made))
    return made


if __name__ == "__main__":
    ended(main)
