"""Plots of the study's tables that Optuna has none for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import pandas as pd
import plotly.graph_objects as go

from ffl_ray.report.blocks import Missing, Plot
from ffl_ray.report.source import MIX, Study, best_first
from ffl_ray.report.style import BLUE, GREY, MEMBER, STATUS, broken, styled
from ffl_ray.report.tables import candidates, cost_front, how_taught
from ffl_ray.results.reader import records

MOST_VALUES = 20
LEAST_FOR_BOX = 5
CROWD = 20
MOST_CURVES = 200
MOST_DRAWN = 500
Value = TypeVar("Value")
CLEAR = "rgba(0,0,0,0)"


def branch_curves(study: Study, trial_id: str) -> Plot | Missing:
    """The accuracy of every member of one trial after each epoch."""
    epochs = study.epochs[study.epochs["trial_id"] == trial_id]
    if epochs.empty:
        return Missing(f"No learning curves of trial {trial_id}: it has no finished epoch.")
    figure = go.Figure()
    branches = pd.DataFrame(list(epochs["val.branches.accuracy"].map(list)))
    lines: dict[str, pd.Series[float]] = {f"branch{i}": branches[i] for i in branches.columns}
    for member in ("ensemble", "fused"):
        if epochs[f"val.{member}.accuracy"].notna().any():
            lines[member] = epochs[f"val.{member}.accuracy"]
    dashes = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
    for place, (member, values) in enumerate(lines.items()):
        kind = member.rstrip("0123456789")
        dash = dashes[place % len(dashes)] if kind == "branch" else "solid"
        figure.add_scatter(
            x=epochs["epoch"], y=values, name=member, mode="lines+markers",
            line={"color": MEMBER[kind], "width": 1.5 if kind == "branch" else 2.5, "dash": dash},
            hovertemplate=f"{member}, epoch %{{x}}: %{{y:.4f}}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="epoch", dtick=whole_step(int(epochs["epoch"].max())))
    figure.update_yaxes(title="accuracy")
    mixes = dict(zip(study.trials["trial_id"], study.trials[MIX], strict=True))
    return Plot(
        f"Accuracy of each member of trial {trial_id} ({mixes[trial_id]}) after every epoch. "
        f"{study.measured}",
        styled(figure),
    )


def quality_curves(study: Study) -> Plot | Missing:
    """Learning curves of all trials where Optuna has none: for several objectives."""
    known = study.epochs.dropna(subset=["objective_value"])
    known = known[known["trial_id"].isin(trials_with_curves(study))]
    if known.empty:
        return Missing("No learning curves of all trials: none has finished an epoch.")
    figure = go.Figure()
    for trial_id, group in known.groupby("trial_id"):
        figure.add_scatter(
            x=group["epoch"], y=group["objective_value"], mode="lines+markers",
            name=f"Trial{int(str(trial_id))}",
        )  # fmt: skip
    return curves(study, figure)


def trials_with_curves(study: Study) -> list[str]:
    """The trials whose curves are drawn: all, or of many the best half and others at even steps."""
    ids = best_first(study.trials, study.quality)["trial_id"].tolist()
    if len(ids) <= MOST_CURVES:
        return ids
    best, others = ids[: MOST_CURVES // 2], sorted(ids[MOST_CURVES // 2 :])
    return [*best, *evenly(others, MOST_CURVES - len(best))]


def evenly(values: Sequence[Value], most: int) -> list[Value]:
    """All values, or as many as `most` of them at even steps."""
    count = min(most, len(values))
    return [values[place * len(values) // count] for place in range(count)]


def curves(study: Study, figure: go.Figure) -> Plot:
    """Lines named Trial0, Trial1, ... coloured by how the trial ended, with one legend for all."""
    trials = {row["trial_id"]: row for row in records(study.trials[["trial_id", "status", MIX]])}
    lines = list(figure.data)
    crowded = len(lines) > CROWD
    for line in lines:
        trial_id = f"{int(line.name.removeprefix('Trial')):05d}"
        status, mix = trials[trial_id]["status"], trials[trial_id][MIX]
        line.update(
            line={"color": STATUS[status], "width": 1.3},
            marker={"color": STATUS[status], "size": 4 if crowded else 7},
            opacity=0.35 if crowded and status == "pruned" else 0.8,
            name=trial_id,
            legendgroup=status,
            showlegend=False,
            hovertemplate=f"trial {trial_id}, {mix}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
        )
    for status in (s for s in STATUS if any(line.legendgroup == s for line in lines)):
        figure.add_scatter(
            x=[None], y=[None], mode="lines", name=status, legendgroup=status, showlegend=True,
            line={"color": STATUS[status]},
        )  # fmt: skip
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title="epoch", dtick=whole_step(max(max(line.x) for line in lines)))
    name = study.description["settings"].get("objective", study.quality.name)
    figure.update_yaxes(title=name)
    total = len(study.trials)
    which = (
        f" of {total:,}, the best {MOST_CURVES // 2} and others at even steps"
        if total > MOST_CURVES
        else ""
    )
    return Plot(
        f"{name} after every epoch of {len(lines)} trial{'s' * (len(lines) > 1)}{which}, a line "
        f"each; point at one to see which. {study.measured}",
        styled(figure, 440),
    )


def whole_step(last: int, ticks: int = 10) -> int:
    """A round step between whole numbers that gives no more than so many ticks."""
    least = math.ceil(last / ticks)
    tens = [int(10**power) for power in range(9)]
    return next(step for ten in tens for step in (ten, 2 * ten, 5 * ten) if step >= least)


def accuracy_against_cost(study: Study) -> Plot | Missing:
    """Every member of every completed trial, and the front that no other member beats."""
    members = candidates(study)
    if members.empty:
        return Missing(
            "No front of accuracy against cost: it is drawn from completed trials, whose members "
            "are fully trained, and there is none yet."
        )
    figure = go.Figure()
    trials = members["trial_id"].nunique()
    front = cost_front(study).sort_values("macs")
    shown = [*study.completed["trial_id"].head(MOST_DRAWN), *front["trial_id"]]
    members = members[members["trial_id"].isin(shown)]
    kinds = members["member"].str.rstrip("0123456789")
    for kind, colour in MEMBER.items():
        group = members[kinds == kind]
        if not group.empty:
            figure.add_scatter(
                x=group["macs"] / 1e6, y=group["accuracy"], mode="markers", name=kind,
                marker={"color": colour, "size": 7, "opacity": 0.6},
                customdata=[_about(row) for row in group.to_dict("records")],
                hovertemplate="%{customdata}<extra></extra>",
            )  # fmt: skip
    figure.add_scatter(
        x=front["macs"] / 1e6, y=front["accuracy"], mode="lines", name="front",
        line={"color": "#222222", "width": 1.5, "shape": "hv"}, hoverinfo="skip",
    )  # fmt: skip
    figure.update_xaxes(title="million MACs for one image", type="log", **_log_ticks(members))
    figure.update_yaxes(title="accuracy")
    which = f"{trials} completed trial{'s' * (trials > 1)}"
    if trials > MOST_DRAWN:
        which = f"the best {MOST_DRAWN} of {trials:,} completed trials and those of the front"
    return Plot(
        f"Accuracy against inference cost of {len(members)} members of {which}, each deployed "
        f"alone; the line is the front. Point at one to see which. {study.measured}",
        styled(figure, 460),
    )


def _log_ticks(members: pd.DataFrame) -> dict[str, Any]:
    """Round ticks between the least cost and the most, more of them where these are near."""
    low, high = members["macs"].min() / 1e6, members["macs"].max() / 1e6
    digits = (1, 2, 3, 4, 5, 6, 8) if high < 8 * low else (1, 2, 5) if high < 100 * low else (1,)
    steps = [digit * 10.0**power for power in range(-4, 7) for digit in digits]
    found = [step for step in steps if low / 2 <= step <= high * 2]
    return {"tickvals": found, "ticktext": [f"{step:g}" for step in found]}


def _about(row: dict[Any, Any]) -> str:
    backbone = f" ({row['backbone']})" if isinstance(row["backbone"], str) else ""
    return (
        f"trial {row['trial_id']}, {row['member']}{backbone}<br>accuracy {row['accuracy']:.4f}, "
        f"{row['macs'] / 1e6:.2f} million MACs, {row['parameters'] / 1e6:.3f} million parameters"
        f"<br>{how_taught(row)}"
    )


def groups(study: Study, name: str) -> Plot | Missing:
    """The quality of the completed trials of each value of a setting, a point a trial."""
    done = study.completed.dropna(subset=[study.quality.name])
    values = done[name].dropna().unique()
    if len(values) < 2:
        return Missing(
            f"No slice for {name}: it needs 2 values in completed trials, and there "
            f"{'is' if len(values) == 1 else 'are'} {len(values)}."
        )
    counts, tried = done[name].value_counts(), study.trials[name].value_counts()
    medians = done.groupby(name)[study.quality.name].median()
    order = medians.sort_values(ascending=study.quality.maximised).index
    if pd.api.types.is_numeric_dtype(done[name]):
        order = medians.sort_index(ascending=False).index
    kept = list(order) if len(order) <= MOST_VALUES else _most_tried(list(order), counts)
    figure = go.Figure()
    labels = [f"{broken(str(v))}<br><i>{counts[v]} of {tried[v]}</i>" for v in kept]
    for place, value in enumerate(kept):
        group = done[done[name] == value]
        boxed = len(group) >= LEAST_FOR_BOX
        figure.add_box(
            x=group[study.quality.name], y=[place] * len(group), orientation="h", name=str(value),
            boxpoints="all", jitter=0.6, pointpos=0,
            fillcolor="rgba(0,114,178,0.12)" if boxed else CLEAR,
            line={"color": GREY if boxed else CLEAR, "width": 1.2},
            marker={"color": BLUE, "size": 6, "opacity": 0.7},
            customdata=[_trial(row) for row in group.to_dict("records")], showlegend=False,
            hovertemplate="%{customdata}: %{x:.4f}<extra></extra>", hoveron="points",
        )  # fmt: skip
    figure.update_xaxes(title=study.quality.name)
    ticks = {"tickvals": list(range(len(kept))), "ticktext": labels}
    figure.update_yaxes(**ticks, zeroline=False, showgrid=False)
    left = f" The {MOST_VALUES} of {len(order)} most tried are shown." * (len(kept) < len(order))
    return Plot(
        f"{study.quality.name} by {name}, a point for each of {len(done)} completed trials, a box "
        f"(quartiles) from {LEAST_FOR_BOX} up; under each value, how many of its trials "
        f"completed: the others, most of them pruned for being weak, are not drawn.{left} "
        f"{study.measured}",
        styled(figure, 110 + sum(28 + 17 * (1 + label.count("<br>")) for label in labels)),
    )


def _most_tried(values: list[Any], counts: pd.Series[int]) -> list[Any]:
    chosen = set(counts.head(MOST_VALUES).index)
    return [value for value in values if value in chosen]


def _trial(row: dict[Any, Any]) -> str:
    return f"trial {row['trial_id']}<br>{how_taught(row)}<br>"
