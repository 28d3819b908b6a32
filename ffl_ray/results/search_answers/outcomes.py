"""Outcomes of trials: what each reached, and what one that was stopped would have reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import spearmanr, theilslopes

from ffl_ray.config.objectives import VALUE

EPOCHS = "optim.epochs"
LEAST_CURVES = 5
LEAST_WEIGHT = 0.05
UNKNOWN_WEIGHT = 0.25


Values = Float[np.ndarray, "epochs"]


class Curve(NamedTuple):
    """The objective of one trial by the share of its training that was done.

    Attributes:
        shares: ascending, above 0 and at most 1.
        values: at each.
        completed: it was trained to its end.
    """

    shares: Values
    values: Values
    completed: bool

    def at(self, share: float) -> float:
        """The value after a share of the training, between epochs on a line."""
        return float(np.interp(share, self.shares, self.values))


def outcomes(trials: pd.DataFrame, epochs: pd.DataFrame, *, in_logs: bool = False) -> pd.DataFrame:
    """The final value of every trial that has one epoch at least and did not fail.

    That of one that was stopped is predicted from its latest value, by the line on which the
    completed trials' values at that moment and their final ones lie (Theil 1950 and Sen 1968,
    medians throughout: some trials fall far out). It weighs as much as the two orders agree, the
    square of their rank correlation. With fewer than five completed trials to learn from, the
    line has slope 1.

    Args:
        in_logs: of the objective's natural logarithm.

    Returns:
        Columns value, weight (1 where completed) and completed, by trial_id.
    """
    curves = _curves(trials, epochs, np.log if in_logs else np.asarray)
    ended = [curve for curve in curves.values() if curve.completed]
    rows = {
        trial_id: (curve.values[-1], 1.0) if curve.completed else _predicted(curve, ended)
        for trial_id, curve in curves.items()
    }
    found = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "weight"])
    found["completed"] = [curve.completed for curve in curves.values()]
    return found


def _curves(
    trials: pd.DataFrame, epochs: pd.DataFrame, scaled: Callable[[Values], Values]
) -> dict[str, Curve]:
    usable = trials[trials["status"] != "failed"].set_index("trial_id")
    lengths, states = usable[EPOCHS].astype(float).to_dict(), usable["status"].to_dict()
    known = epochs[epochs["trial_id"].isin(usable.index)].dropna(subset=[VALUE])
    known = known[np.isfinite(known[VALUE].astype(float))].sort_values("epoch")
    return {
        str(trial_id): Curve(
            rows["epoch"].to_numpy(float) / lengths[trial_id],
            scaled(rows[VALUE].to_numpy(float)),
            states[trial_id] == "completed",
        )
        for trial_id, rows in known.groupby("trial_id", sort=True)
    }


def _predicted(curve: Curve, ended: list[Curve]) -> tuple[float, float]:
    """The final value that a stopped trial is given, and its weight."""
    share, value = float(curve.shares[-1]), float(curve.values[-1])
    then = np.array([other.at(share) for other in ended])
    final = np.array([other.values[-1] for other in ended])
    if len(ended) < LEAST_CURVES or np.ptp(then) == 0 or np.ptp(final) == 0:
        shift = float(np.median(final - then)) if len(ended) else 0.0
        return value + shift, UNKNOWN_WEIGHT
    slope, intercept, *_ = theilslopes(final, then)
    agreement = float(spearmanr(then, final).statistic)
    return intercept + slope * value, max(LEAST_WEIGHT, max(0.0, agreement) ** 2)
