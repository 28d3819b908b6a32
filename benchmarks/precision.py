"""Learning curves in float32 and bfloat16, seed by seed: `python -m benchmarks.precision`."""

from __future__ import annotations

import argparse
import statistics

from benchmarks.common import ended, interval, show
from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import parse_assignments, with_overrides
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.planning.throughput import StepTimer
from ffl_ray.training.session import Report
from ffl_ray.training.worker import run_worker

MEMBERS = ("fused", "ensemble", "mean_branch")


class Curve(StepTimer):
    """A session that keeps every epoch's row."""

    def __init__(self, num_threads: int) -> None:
        super().__init__(num_threads, None)
        self.rows: list[dict[str, float]] = []

    def report(self, report: Report) -> None:
        self.rows.append(report.row)


def curve(
    config: ResolvedConfig, precision: str, seed: int, threads: int
) -> list[dict[str, float]]:
    """Rows of the epochs table of one training."""
    session = Curve(threads)
    run_worker(with_overrides(config, {"compute.precision": precision, "seed": seed}), session)
    return session.rows


def main() -> None:
    """Train both ways with the same seeds, and print each epoch's paired difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    config = resolved_from(parse_assignments(args.set))
    pairs = []
    for seed in range(args.seeds):
        both = [curve(config, kind, seed, args.threads) for kind in ("float32", "bfloat16")]
        pairs.append(both)
        rates = [statistics.median(row["images_per_s"] for row in rows) for rows in both]
        show(f"seed {seed}: bfloat16 {rates[1] / rates[0]:.2f} times as fast")
    show("validation accuracy, float32 | bfloat16 | difference with 95% interval, by epoch")
    for epoch in range(config.optim.epochs):
        for member in MEMBERS:
            name = f"val.{member}.accuracy"
            values = [[rows[epoch][name] for rows in both] for both in pairs]
            plain, quick = (statistics.mean(v[i] for v in values) for i in (0, 1))
            gained = interval([b - a for a, b in values])
            show(f"epoch {epoch + 1} {member:11} {plain:.4f} | {quick:.4f} | {gained}")


if __name__ == "__main__":
    ended(main)
