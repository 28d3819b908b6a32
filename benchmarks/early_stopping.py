"""The default sampler and scheduler against random search without early stopping.

Both search the bundled digits space for the fused classifier's NLL (accuracy is near its ceiling
there) for the same wall time. What counts is the best completed trial at equal seconds of
training and validation: the fewest that any of the ten searches spent. `--setting short` halves
images and epochs, so that more trials fit; `--setting full` is the space as it is; `--setting lr`
is the short one with the learning rate searched as well.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.common import ended, interval, new_parser, search, show
from ffl_ray.results.reader import Results

SEEDS = range(5)
SETTINGS = {
    "short": (
        "digits",
        "--set",
        "data.fraction=0.5",
        "--set",
        "optim.epochs=6",
        "--time-budget-s",
        "45",
    ),
    "full": ("digits", "--time-budget-s", "60"),
    "lr": (str(Path(__file__).with_name("five_dimensions.py")), "--time-budget-s", "40"),
}
COMMON = ("--objective", "fused.nll", "--num-samples", "1000")
SIDES = {
    "tpe and asha": ("--sampler", "tpe", "--scheduler", "asha"),
    "random, no stopping": ("--sampler", "random", "--scheduler", "none"),
}


def spent(results: Results) -> pd.DataFrame:
    """The epochs in order of time, with the study's seconds of training so far."""
    epochs = results.epochs.sort_values("time", ignore_index=True)
    return epochs.assign(spent_s=epochs["epoch_s"].cumsum())


def best_at(results: Results, seconds: float) -> tuple[float, int]:
    """Lowest NLL after the last epoch of a trial completed by then, and the trials begun."""
    planned = results.trials.set_index("trial_id")["epochs_planned"]
    epochs = spent(results)
    epochs = epochs[epochs["spent_s"] <= seconds]
    last = epochs[epochs["epoch"] == epochs["trial_id"].map(planned)]
    return float(last["objective_value"].min()), epochs["trial_id"].nunique()


def main() -> None:
    """Run both sides with every seed and print the comparison."""
    parser = new_parser(__doc__ or "")
    parser.add_argument("--setting", choices=SETTINGS, default="short")
    args = parser.parse_args()
    out, setting = Path(args.out), SETTINGS[args.setting]
    studies: dict[str, list[Results]] = {side: [] for side in SIDES}
    for seed in SEEDS:
        for side, options in SIDES.items():
            name = f"{args.setting}-{side.replace(' ', '-').replace(',', '')}-{seed}"
            seeded = ("--set", f"search.seed={seed}")
            studies[side].append(search(out, name, *setting, *COMMON, *options, *seeded))
    seconds = min(spent(r)["spent_s"].iloc[-1] for found in studies.values() for r in found)
    show(f"best fused NLL on validation after {seconds:.0f} s of training, {len(SEEDS)} seeds\n")
    show("| search | best fused NLL | trials begun |")
    show("|---|---|---|")
    values = {}
    for side, found in studies.items():
        points = [best_at(results, seconds) for results in found]
        values[side] = [value for value, _ in points]
        begun = sum(trials for _, trials in points) / len(points)
        show(f"| {side} | {interval(values[side])} | {begun:.1f} |")
    ours, theirs = values.values()
    gain = [b - a for a, b in zip(ours, theirs, strict=True)]
    show(f"\nper seed, random minus tpe and asha: {interval(gain)}  {[f'{g:.4f}' for g in gain]}")


if __name__ == "__main__":
    ended(main)
