"""The picture of a soak: docs/soak.svg."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd

from benchmarks.stress.soaking.leaks import MEGABYTE

COLOURS = ("#2471a3", "#c0392b", "#7d8b8c")
ROOM_FOR_LEGEND = 1.2


class Panel(NamedTuple):
    """Lines that share an axis.

    Attributes:
        unit: what a number is divided by to be drawn.
        lines: their labels, by column of the samples.
    """

    title: str
    unit: float
    lines: dict[str, str]


PANELS = (
    Panel(
        "memory (PSS), MB",
        MEGABYTE,
        {"driver_pss_bytes": "driver", "each_actor": "an actor", "ray_pss_bytes": "Ray, all"},
    ),
    Panel(
        "processes",
        1,
        {"processes": "all", "orphans": "of a killed driver", "groups": "placement groups"},
    ),
    Panel(
        "open files and threads",
        1,
        {
            "open_files": "open files, all",
            "threads": "threads, all",
            "driver_open_files": "open files, driver",
        },
    ),
    Panel(
        "disk, MB",
        MEGABYTE,
        {
            "study_bytes": "the study",
            "study_ray_bytes": "Tune's files in it",
            "sessions_bytes": "Ray's sessions",
        },
    ),
)


def draw(samples: pd.DataFrame, kills: pd.DataFrame, path: Path) -> None:
    """Everything over the trials that had ended, in four panels with the driver's deaths."""
    mpl.rcParams["svg.hashsalt"] = "ffl_ray"
    figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained", sharex=True)
    samples = samples.assign(each_actor=samples["actor_pss_bytes"] / samples["actors"])
    for axis, panel in zip(axes.flat, PANELS, strict=True):
        _draw_panel(axis, panel, samples)
    for axis in axes[1]:
        axis.set_xlabel("trials ended")
    trials = int(samples["trials_ended"].max())
    figure.suptitle(
        f"{trials} trials, {len(kills)} kills; grey: the command starts again", fontsize=10
    )
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _draw_panel(axis: Any, panel: Panel, samples: pd.DataFrame) -> None:
    ended = samples["trials_ended"]
    for colour, (column, label) in zip(COLOURS, panel.lines.items(), strict=True):
        values = samples[column] / panel.unit
        axis.plot(ended, values, color=colour, label=label, linewidth=0.9)
    for start in samples.groupby("generation")["trials_ended"].min()[1:]:
        axis.axvline(start, color="#d5d8dc", linewidth=0.8, zorder=0)
    axis.set_title(panel.title, loc="left", fontsize=10)
    axis.set_ylim(0, ROOM_FOR_LEGEND * axis.get_ylim()[1])
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="upper left", ncols=3, columnspacing=1)
