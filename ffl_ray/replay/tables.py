"""The tables of a replay: a row a candidate, and the curve of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ffl_ray.replay.candidates import REFERENCE
from ffl_ray.replay.regret import Array, seconds_ratio
from ffl_ray.results.statistics import summary

HALF = 0.5
ENDS = ("", ".low", ".high")


def leaderboard(
    curves: Mapping[str, Array],
    trials: Mapping[str, Sequence[int]],
    cpu_s: Mapping[str, Sequence[float]],
    times: Array,
) -> pd.DataFrame:
    """Of each candidate its regret at half of the budget and at all of it, and its speed.

    Args:
        curves: regret of each repeat at each time, by candidate; the reference is among them.
        trials: how many trials each repeat ended.
        cpu_s: CPU seconds of each repeat, which trains nothing.
        times: accelerator-seconds; the last one is the budget.
    """
    reference = curves[REFERENCE.name]
    half = int(np.searchsorted(times, HALF * times[-1]))
    rows = []
    for name, curve in curves.items():
        row: dict[str, Any] = {
            "candidate": name,
            "repeats": len(curve),
            "trials": float(np.mean(trials[name])),
            "cpu_share": float(np.mean(cpu_s[name]) / times[-1]),
        }
        row |= _interval("regret_at_half", curve[:, half])
        row |= _interval("regret", curve[:, -1])
        row |= _interval("gain_at_half", reference[:, half] - curve[:, half])
        row |= _interval("gain_on_twice", reference[:, -1] - curve[:, half])
        found = seconds_ratio(curve, reference, times, HALF * times[-1])
        row |= {f"seconds_ratio{end}": value for end, value in zip(ENDS, found, strict=True)}
        rows.append(row)
    return pd.DataFrame(rows)


def _interval(name: str, values: Array) -> dict[str, float | None]:
    """Mean and interval of a column over the repeats."""
    found = summary(values.tolist())
    return dict(
        zip((f"{name}{end}" for end in ENDS), (found.mean, found.low, found.high), strict=True)
    )


def curves_table(curves: Mapping[str, Array], times: Array) -> pd.DataFrame:
    """Mean regret with its 95% interval, a row a candidate and time."""
    rows = [
        {"candidate": name, "accelerator_s": float(time)} | _interval("regret", curve[:, place])
        for name, curve in curves.items()
        for place, time in enumerate(times)
    ]
    return pd.DataFrame(rows)


def repeats_table(curves: Mapping[str, Array], times: Array) -> pd.DataFrame:
    """The regret of every repeat, a row a candidate, repeat and time: what others analyse."""
    frames = [
        pd.DataFrame(
            {
                "candidate": name,
                "repeat": np.repeat(np.arange(len(curve)), len(times)),
                "accelerator_s": np.tile(times, len(curve)),
                "regret": curve.ravel(),
            }
        )
        for name, curve in curves.items()
    ]
    return pd.concat(frames, ignore_index=True)


def shown_board(board: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard to read: means with half intervals."""
    frame = pd.DataFrame({"candidate": board["candidate"], "trials": board["trials"].round(1)})
    for name, title in (
        ("regret_at_half", "regret at half"),
        ("regret", "regret at the end"),
        ("gain_at_half", "gain on random"),
        ("gain_on_twice", "gain on random of twice the seconds"),
    ):
        half = (board[f"{name}.high"] - board[f"{name}.low"]) / 2
        frame[title] = [f"{m:.4f} ± {h:.4f}" for m, h in zip(board[name], half, strict=True)]
    frame["own CPU, of training"] = [f"{share:.2%}" for share in board["cpu_share"]]
    ends = zip(*(board[f"seconds_ratio{end}"] for end in ENDS), strict=True)
    frame["seconds to random's regret at half, of random's"] = [_ratio(*one) for one in ends]
    return frame


def _ratio(value: float, low: float, high: float) -> str:
    texts = ["never" if np.isinf(one) else f"{one:.2f}" for one in (value, low, high)]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"
