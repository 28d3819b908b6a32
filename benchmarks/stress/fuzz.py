"""Random settings, spaces, studies, checkpoints and exports: a clear error or a right result.

Each case runs in a child process, so that a crash of it is seen, and has ten seconds of CPU. What
is neither refused in words nor right is a finding; `--replay KIND NUMBER` runs its case again.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common import ended
from benchmarks.stress.fuzzing.outcome import LIMIT_S, WAITING, Outcome, run_case

KINDS = {
    "settings": "benchmarks.stress.fuzzing.settings:case",
    "spaces": "benchmarks.stress.fuzzing.spaces:case",
    "studies": "benchmarks.stress.fuzzing.studies:case",
    "readers": "benchmarks.stress.fuzzing.readers:case",
    "checkpoints": "benchmarks.stress.fuzzing.checkpoints:case",
    "exports": "benchmarks.stress.fuzzing.exports:case",
    "commands": "benchmarks.stress.fuzzing.settings:command_case",
}
BATCH = 250
SILENT_S = WAITING * LIMIT_S + 60
COMMANDS = 24


def main() -> int:
    """Run all cases, or one again; 1 when there is a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="as many of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, help="only this one")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--replay", nargs=2, metavar=("KIND", "NUMBER"), help="one case again")
    parser.add_argument("--out", type=Path, default=Path("fuzz.jsonl"), help="findings")
    parser.add_argument("--batch", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.batch:
        kind, first, count = args.batch[0], int(args.batch[1]), int(args.batch[2])
        return run_batch(kind, args.seed, first, count)
    if args.replay:
        (outcome,) = children(args.replay[0], args.seed, int(args.replay[1]), 1)
        sys.stdout.write(f"{outcome.what}\n{outcome.detail}\n")
        return int(outcome.is_finding)
    return fuzz(args)


def fuzz(args: argparse.Namespace) -> int:
    """Run each kind to its number of cases, and print what came out."""
    counts = dict.fromkeys(KINDS, args.cases // (len(KINDS) - 1))
    counts["commands"] = COMMANDS * (args.cases >= 1000)
    if args.kind:
        counts = {args.kind: args.cases}
    findings = 0
    for kind, count in counts.items():
        started = time.monotonic()
        seen: Counter[str] = Counter()
        for first in range(args.first, args.first + count, BATCH):
            size = min(BATCH, args.first + count - first)
            for outcome in children(kind, args.seed, first, size):
                seen["finding" if outcome.is_finding else outcome.what] += 1
                if outcome.is_finding:
                    with args.out.open("a") as file:
                        file.write(json.dumps(outcome._asdict() | {"seed": args.seed}) + "\n")
        findings += seen["finding"]
        words = ", ".join(f"{number:,} {what}" for what, number in sorted(seen.items()))
        sys.stdout.write(f"{kind}: {words}; {time.monotonic() - started:.0f} s\n")
        sys.stdout.flush()
    return int(bool(findings))


def children(kind: str, seed: int, first: int, count: int) -> Iterator[Outcome]:
    """The outcomes of cases that run in a child; after a crash another one goes on behind it."""
    done = first
    while done < first + count:
        command = [sys.executable, "-m", "benchmarks.stress.fuzz", "--seed", str(seed)]
        command += ["--batch", kind, str(done), str(first + count - done)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as child:
            for line in _lines(child):
                done += 1
                yield Outcome(**json.loads(line))
        if done < first + count:
            yield Outcome(kind, done, "crash", f"the process ended with status {child.returncode}")
            done += 1


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    """What a child prints, as it comes; one that says nothing for long is ended."""
    assert child.stdout is not None, "it is a pipe"
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while selector.select(SILENT_S):
            line = child.stdout.readline()
            if not line:
                return
            yield line
    child.kill()


def run_batch(kind: str, seed: int, first: int, count: int) -> int:
    """The child: a line of JSON for each case."""
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        for outcome in outcomes(kind, seed, first, count):
            out.write(json.dumps(outcome._asdict()) + "\n")
            out.flush()
    return 0


def outcomes(kind: str, seed: int, first: int, count: int) -> Iterator[Outcome]:
    """The outcomes of cases that run in this process."""
    name, _, case = KINDS[kind].partition(":")
    module = importlib.import_module(name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "case"
        folder.mkdir()
        getattr(module, "prepare", lambda place: None)(Path(place))
        for number in range(first, first + count):
            yield run_case(kind, getattr(module, case), seed, number, folder)


if __name__ == "__main__":
    ended(main)
