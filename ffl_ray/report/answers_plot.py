"""The answers of a search in pictures: effects with intervals, importance against chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from ffl_ray.report.answers import judged_by
from ffl_ray.report.blocks import Block, Missing, Plot
from ffl_ray.report.source import Study
from ffl_ray.report.style import BLUE, GREY, LABEL_LENGTH, ORANGE, broken, styled
from ffl_ray.results.search_answers.effects import Answer, Level
from ffl_ray.results.search_answers.models import left_out_r2
from ffl_ray.results.search_answers.table import LEAST_TRIALS, compared, factor


def effects_plot(study: Study, answers: Sequence[Answer]) -> list[Block]:
    """Every level's effect with its interval, those of dimensions that were told in colour."""
    if not answers:
        return []
    objective, in_logs = judged_by(study), answers[0].in_logs
    scaled = factor if in_logs else float
    figure = go.Figure()
    labels = [_label(a, one) for a in answers for one in a.levels]
    for told, colour, name in ((True, BLUE, "told"), (False, GREY, "not told apart")):
        rows = [(a, one) for a in answers if a.told == told for one in a.levels]
        figure.add_scatter(
            x=[scaled(one.effect) for _, one in rows],
            y=[_label(a, one) for a, one in rows],
            error_x={
                "type": "data", "symmetric": False, "thickness": 1.5, "width": 5,
                "array": [scaled(one.effect + _half(one)) - scaled(one.effect) for _, one in rows],
                "arrayminus": [
                    scaled(one.effect) - scaled(one.effect - _half(one)) for _, one in rows
                ],
            },
            mode="markers", name=name, marker={"color": colour, "size": 9},
        )  # fmt: skip
    figure.add_vline(x=scaled(0.0), line={"color": ORANGE, "dash": "dot"})
    what = "as a factor of" if in_logs else "in"
    figure.update_xaxes(
        title=f"against the other levels,<br>{what} {objective.name}",
        type="log" if in_logs else None,
    )
    figure.update_yaxes(categoryorder="array", categoryarray=labels[::-1])
    better = "right" if objective.maximised else "left"
    return [
        Plot(
            f"What each level does to {objective.name}, against the mean of the other levels, with "
            f"95% intervals; better is to the {better}. {study.measured}",
            styled(figure, 120 + 30 * len(labels)),
        )
    ]


def _half(level: Level) -> float:
    """Half the interval; no bar where it is not known."""
    return level.half if math.isfinite(level.half) else 0.0


def _label(answer: Answer, level: Level) -> str:
    if len(answer.levels) == 1:
        return broken(level.name, 2 * LABEL_LENGTH)
    return f"{broken(answer.dimension)}: {broken(level.name)}"


def importance_plot(study: Study, answers: Sequence[Answer]) -> list[Block]:
    """The dimensions that explain more than chance would have them."""
    objective = judged_by(study)
    if not answers:
        return [
            Missing(
                f"No importance for {objective.name}: it compares {LEAST_TRIALS} trials with an "
                f"epoch, at least, in which something differs."
            )
        ]
    r2 = left_out_r2(*compared(study.trials, study.epochs, objective)[:3])
    told = sorted((a for a in answers if a.share > a.by_chance), key=lambda a: -a.share)
    hidden = [a.dimension for a in answers if a not in told]
    fits = f"Of a trial left out all dimensions together predict {max(0.0, r2):.0%}."
    left = f"No more than by chance, and not shown: {', '.join(hidden)}." if hidden else ""
    if not told:
        return [Missing(f"No importance for {objective.name}: no dimension has any. {fits} {left}")]
    figure, names = go.Figure(), [broken(a.dimension) for a in told]
    figure.add_bar(
        y=names, x=[a.share for a in told], orientation="h", name="share", marker_color=BLUE
    )
    figure.add_scatter(
        y=names, x=[a.by_chance for a in told], mode="markers", name="by chance, in 95 of 100",
        marker={"color": ORANGE, "size": 12, "symbol": "line-ns-open"},
    )  # fmt: skip
    figure.update_xaxes(title=f"share of the differences in {objective.name}")
    figure.update_yaxes(autorange="reversed")
    return [
        Plot(
            f"Share of the differences in {objective.name} (as ranks) that each dimension explains "
            f"over {answers[0].n} trials, beside what one without effect would. {fits} {left} "
            f"{study.measured}",
            styled(figure, 140 + 36 * len(told)),
        )
    ]
