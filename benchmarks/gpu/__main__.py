"""What a GPU does with ffl_ray, against what was predicted: `python -m benchmarks.gpu`, 8 minutes.

It needs torch and torchvision, no data and no network, and writes OUT/gpu.json after every part:
send that. `--plan` says what it would do. Each part has a process of its own on a GPU, so that one
which breaks it takes no other along. `--device cpu --rounds 1` goes through all that a CPU can do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.plan import PARTS, Part, plan_lines, verdicts
from benchmarks.gpu.stand_in import on_path

STARTUP_S = 60.0
NAMES = [part.name for part in PARTS]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--plan", action="store_true", help="say what it does, and stop")
    made.add_argument("--out", default="benchmarks/out/gpu", help="folder of gpu.json")
    made.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    made.add_argument("--rounds", type=int, default=3, help="of which the best is taken")
    made.add_argument("--minutes", type=float, default=8.0, help="in all, at most")
    made.add_argument("--parts", default=",".join(NAMES), help="some of them, with commas between")
    made.add_argument("--here", action="store_true", help="all parts in this process")
    return made


def main() -> int:
    """Measure one part after the other; each is written as soon as it is there."""
    args = parser().parse_args()
    total = sum(part.seconds for part in PARTS)
    scale = args.minutes * 60 / total
    if args.plan:
        show("\n".join(plan_lines(scale)))
        return 0
    wanted = args.parts.split(",")
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        parser().error(f"--parts must be of {','.join(NAMES)}, not {','.join(unknown)}")
    if args.device == "cuda" and not has_gpu():
        parser().error("there is no GPU here: --device cpu goes through what a CPU can do")
    results = run([part for part in PARTS if part.name in wanted], args, scale)
    for one in results["verdicts"]:
        show(f"{one['verdict']:8} {one['what']}: predicted {one['predicted']}, {one['measured']}")
    return int(any("error" in found for found in results["parts"].values()))


def has_gpu() -> bool:
    """Whether torch sees one; no context is made on it."""
    import torch

    return torch.cuda.is_available()


def run(parts: list[Part], args: argparse.Namespace, scale: float) -> dict[str, Any]:
    """The figures of the parts, and what they make of the predictions."""
    Path(args.out).mkdir(parents=True, exist_ok=True)
    measure = in_this_process if args.here or args.device == "cpu" else in_its_own_process
    results: dict[str, Any] = {"device": args.device, "stand_ins": on_path(), "parts": {}}
    begun = time.perf_counter()
    for part in parts:
        started = time.perf_counter()
        budget = min(part.seconds * scale, args.minutes * 60 - (started - begun))
        if budget > 0:
            found = measure(part, args, budget)
        else:
            found = {"note": "no time was left"}
        found["took_s"] = time.perf_counter() - started
        results["parts"][part.name] = found
        results["verdicts"] = verdicts(results["parts"], comparable=args.device == "cuda")
        write(Path(args.out) / "gpu.json", results)
        show(f"{part.name}: {json.dumps(found, default=str)}")
    return results


def in_this_process(part: Part, args: argparse.Namespace, budget_s: float) -> dict[str, Any]:
    """A part's figures as they come, until its time is over."""
    found: dict[str, Any] = {"figures": {}}
    file = Path(args.out) / f"{part.name}.json"
    if part.needs_gpu and args.device == "cpu":
        return found | {"note": "needs CUDA: not run on a CPU"}
    ends = time.perf_counter() + budget_s
    try:
        for name, value in figures_of(part.name, args):
            found["figures"][name] = value
            write(file, found)
            if time.perf_counter() > ends:
                found["note"] = f"ended after {budget_s:.0f} s"
                break
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}"
        found["traceback"] = traceback.format_exc().splitlines()[-12:]
    write(file, found)
    return found


def figures_of(name: str, args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """What a part measures; torch is imported here."""
    on_path()
    from benchmarks.gpu import fast, right
    from benchmarks.gpu.trainings import Bench

    bench = Bench.of(args.device, args.rounds)
    measure: Callable[[Bench], Iterator[tuple[str, Any]]]
    measure = getattr(right, name, None) or getattr(fast, name)
    return measure(bench)


def in_its_own_process(part: Part, args: argparse.Namespace, budget_s: float) -> dict[str, Any]:
    """A part in a fresh process, which is killed when it outlasts its time by far."""
    folder = Path(args.out) / part.name
    file = folder / f"{part.name}.json"
    file.unlink(missing_ok=True)
    place = ["--here", "--parts", part.name, "--device", args.device, "--out", str(folder)]
    command = [*place, "--rounds", str(args.rounds), "--minutes", str(args.minutes)]
    error = ""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.gpu", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=budget_s + STARTUP_S,
        )
        if done.returncode:
            error = f"ended with {done.returncode}: {done.stderr[-2000:]}"
    except subprocess.TimeoutExpired:
        error = f"killed after {budget_s + STARTUP_S:.0f} s"
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {"figures": {}}
    if error and "error" not in found:
        found["error"] = error
    return found


def write(file: Path, found: dict[str, Any]) -> None:
    """Write JSON so that a reader never sees half of it."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(found, indent=1, default=str))
    new.replace(file)


def show(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"error: {error}")
