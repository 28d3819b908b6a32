"""The README's pictures, each drawn from a study's tables alone.

`python docs/pictures.py best STUDY OUT.svg` draws what `ffl_ray.tune` prints at its end.
`python docs/pictures.py front STUDY OUT.svg` draws every member of every completed trial, accuracy
against cost, and the front over them.
"""

import io
import re
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from rich.console import Console

import ffl_ray.results
from ffl_ray.console import best_table
from ffl_ray.results.history import study_objectives
from ffl_ray.results.reader import find_study, records

KINDS = {"fused": "#c0392b", "ensemble": "#2471a3", "branch": "#7d8b8c"}


def best(study: str, out: str) -> None:
    """The best trials, as the console shows them."""
    trials = ffl_ray.results.load(study).trials
    console = Console(record=True, width=128, file=io.StringIO(), force_terminal=True)
    counts = trials.status.value_counts()
    console.print(f"{len(trials)} trials: {', '.join(f'{n} {s}' for s, n in counts.items())}\n")
    objectives = study_objectives(find_study(study))
    console.print(best_table(records(trials), objectives, count=8))
    drawn = console.export_svg(title=f"python -m ffl_ray.tune {study.rpartition('/')[2]}")
    # The fonts that Rich would load from elsewhere: any monospaced one of the reader's does.
    Path(out).write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL))


def front(study: str, out: str) -> None:
    """All members of completed trials by MACs and accuracy, and the front's steps."""
    trials, _, members = ffl_ray.results.load(study)
    points = ffl_ray.results.front(study).sort_values("macs")
    completed = set(trials.trial_id[trials.status == "completed"])
    shown = members[members.trial_id.isin(completed) & (members.checkpoint == "latest")]
    mpl.rcParams["svg.hashsalt"] = "ffl_ray"
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for kind, colour in KINDS.items():
        rows = shown[shown.member.str.startswith(kind)]
        axes.scatter(rows.macs / 1e6, rows.accuracy, s=22, color=colour, label=kind, alpha=0.8)
    axes.step(points.macs / 1e6, points.accuracy, where="post", color="#2c3e50", linewidth=1)
    axes.set_xlabel("million MACs of one image, the member deployed alone")
    axes.set_ylabel("accuracy, validation")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    {"best": best, "front": front}[sys.argv[1]](*sys.argv[2:])
