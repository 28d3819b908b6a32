"""The figures of docs/verdicts.md: `python -m benchmarks.verdicts`, all or those that are named."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pandas as pd

from benchmarks.common import ended
from benchmarks.verdicts.coverage import coverage, verdict_shares
from benchmarks.verdicts.racing import errors, most, savings
from benchmarks.verdicts.shapes import peeking, shapes

FIGURES: dict[str, Callable[[int], pd.DataFrame]] = {
    "coverage": coverage,
    "verdicts": verdict_shares,
    "errors": errors,
    "most": most,
    "savings": savings,
    "shapes": shapes,
    "peeking": peeking,
}


def main() -> None:
    """Print each figure's table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}")
    parser.add_argument("--repeats", type=int, default=1000, help="drawn experiments of each row")
    args = parser.parse_args()
    for name in args.figures or FIGURES:
        table = FIGURES[name](args.repeats).to_string(index=False)
        print(f"{name}, {args.repeats} repeats\n{table}\n")  # noqa: T201


if __name__ == "__main__":
    ended(main)
