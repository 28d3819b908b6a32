"""First trials of a search that another study taught, against those of a cold start.

The teacher is the search of 100 trials of `benchmarks.hundred` (run if it is not there); the
pupils search another split of half the images with shorter trainings for another objective,
without early stopping, once taught and once cold, with the same seeds.
"""

from __future__ import annotations

import statistics

from benchmarks.common import ended, interval, out_folder, search, show

SEEDS = range(5)
FIRST = 6
PUPIL = (
    "digits", "--objective", "fused.nll", "--num-samples", str(FIRST), "--scheduler", "none",
    "--set", "data.fraction=0.5", "--set", "data.split_seed=7", "--set", "optim.epochs=6",
)  # fmt: skip


def main() -> None:
    """Run teacher and pupils and print the comparison."""
    out = out_folder(__doc__ or "")
    search(out, "hundred", "digits", "--num-samples", "100")
    show(f"fused NLL on validation of the first {FIRST} trials, {len(SEEDS)} seeds\n")
    show("| start | mean | best | the first |")
    show("|---|---|---|---|")
    means = {}
    for side, more in (("cold", ()), ("warm", ("--warm-start", "hundred"))):
        found = [
            search(out, f"{side}-{seed}", *PUPIL, *more, "--set", f"search.seed={seed}").trials
            for seed in SEEDS
        ]
        values = [[float(v) for v in trials["objective_value"]] for trials in found]
        means[side] = [statistics.mean(row) for row in values]
        best = interval([min(row) for row in values])
        first = interval([row[0] for row in values])
        show(f"| {side} | {interval(means[side])} | {best} | {first} |")
    gain = [cold - warm for cold, warm in zip(means["cold"], means["warm"], strict=True)]
    show(f"\nper seed, cold minus warm: {interval(gain)}  {[f'{g:.4f}' for g in gain]}")


if __name__ == "__main__":
    ended(main)
