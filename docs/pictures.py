"""The README's pictures, each drawn from a study's tables alone.

`python docs/pictures.py best STUDY OUT.svg` draws what `ffl_ray.tune` prints at its end.
`python docs/pictures.py front STUDY OUT.svg` draws every member of every completed trial, accuracy
against cost, and the front over them.
`python docs/pictures.py profile BENCH OUT.svg` draws where the time of a training step and the CPU
time of the default study went, from the latest rows of `ffl_ray.bench train` and `study`.
"""

import io
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import PercentFormatter
from rich.console import Console

import ffl_ray.results
from ffl_ray.console.result_tables import best_table
from ffl_ray.results.best import called_best, ranked
from ffl_ray.results.history import study_objectives
from ffl_ray.results.plain import held_against_plain
from ffl_ray.results.reader import find_study, records
from ffl_ray.results.search_answers.table import sentences, study_answers

COLOURS = ("#7d8b8c", "#2471a3", "#c0392b", "#e59866")
KINDS = {"fused": "#c0392b", "ensemble": "#2471a3", "branch": "#7d8b8c"}


def best(study: str, out: str) -> None:
    """The best trials and the answers, as the console shows them."""
    trials, epochs, members = ffl_ray.results.load(study)[:3]
    console = Console(record=True, width=128, file=io.StringIO(), force_terminal=True)
    counts = trials.status.value_counts()
    console.print(f"{len(trials)} trials: {', '.join(f'{n} {s}' for s, n in counts.items())}\n")
    objectives = study_objectives(find_study(study))
    rows, of_trial = records(trials), members.groupby("trial_id")

    def members_of(name: str) -> list[dict[str, Any]]:
        return records(of_trial.get_group(name))

    found = called_best(ranked(rows, objectives), objectives, members_of)
    console.print(best_table(rows, objectives, found))
    answers = study_answers(trials, epochs, objectives[0])
    console.print(f"\nanswers, from {answers[0].n} trials, on {objectives[0].name}")
    for line in sentences(answers, objectives[0]):
        console.print(f"  {line}", highlight=False)
    plain = held_against_plain(rows, objectives, members_of)
    if plain is not None:
        console.print(f"\n{plain.words}", highlight=False)
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


def profile(bench: str, out: str) -> None:
    """A step's parts, and the default study's CPU time, as two bars."""
    step, study = (
        pd.read_parquet(Path(bench) / subject).sort_values("time").iloc[-1]
        for subject in ("train", "study")
    )
    parts = {p: step[f"{p}_s"] for p in ("input", "forward", "backward", "optimizer")}
    in_steps = study["default.cpu_share_in_steps"]
    shares = {"training steps": in_steps, "everything else": 1 - in_steps}
    mpl.rcParams["svg.hashsalt"] = "ffl_ray"
    figure, axes = plt.subplots(2, 1, figsize=(7, 3), layout="constrained")
    for axis, title, bars in (
        (axes[0], f"a training step, {1000 * sum(parts.values()):.0f} ms", parts),
        (axes[1], "CPU time of the default study, after start-up", shares),
    ):
        left = 0.0
        for index, (name, value) in enumerate(bars.items()):
            share = value / sum(bars.values())
            axis.barh(0, share, left=left, color=COLOURS[index], label=f"{name} {share:.1%}")
            left += share
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_yticks([])
        axis.set_xlim(0, 1)
        axis.xaxis.set_major_formatter(PercentFormatter(1))
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.legend(frameon=False, ncols=4, loc="upper left", bbox_to_anchor=(0, -0.35), fontsize=8)
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    {"best": best, "front": front, "profile": profile}[sys.argv[1]](*sys.argv[2:])
