"""A search of 100 trials over the four dimensions on the digits: wall time, and disk held.

The folder's size is read ten times a second while the search runs, against the bound that the
plan states before it starts.
"""

from __future__ import annotations

import re
import subprocess
import time

from benchmarks.common import ended, out_folder, show, size_of, tune_command
from ffl_ray.results import load


def main() -> None:
    """Run the search and print what it took."""
    out = out_folder(__doc__ or "")
    out.mkdir(parents=True, exist_ok=True)
    command = tune_command(out, "hundred", "digits", "--num-samples", "100")
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    largest = 0
    while process.poll() is None:
        largest = max(largest, size_of(out / "hundred"))
        time.sleep(0.1)
    elapsed_s = time.monotonic() - started
    (out / "hundred.done").touch()
    assert process.stdout is not None
    said = process.stdout.read()
    bound = re.search(r"disk at most ([\d.]+ .B)", said)
    trials = load("hundred", str(out)).trials
    show("\n".join(said.splitlines()[:3]))
    show(f"\n100 trials in {elapsed_s / 60:.1f} minutes with start-up")
    show(f"{trials['status'].value_counts().to_dict()}")
    show(f"largest size {largest / 1e6:.1f} MB, bound {bound and bound[1]}")
    best = trials.sort_values("objective_value").iloc[-1]
    show(f"best fused accuracy on validation {best['objective_value']:.4f}, {best['model.mix']}")


if __name__ == "__main__":
    ended(main)
