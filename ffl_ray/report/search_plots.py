"""Optuna's own plots of a search; one that can't be made is a sentence that says why."""

from __future__ import annotations

from collections.abc import Iterator

import optuna
from optuna.trial import TrialState
from optuna.visualization import (
    plot_intermediate_values,
    plot_optimization_history,
    plot_pareto_front,
    plot_slice,
)

from ffl_ray.report.blocks import Missing, Plot
from ffl_ray.report.source import Study
from ffl_ray.report.style import GREY, ORANGE, styled
from ffl_ray.report.table_plots import (
    MOST_CURVES,
    curves,
    quality_curves,
    whole_step,
)

NO_TRIAL = "no trial has completed yet"


def history(study: Study, search: optuna.Study) -> Plot | Missing:
    """The value of each completed trial, and the best so far."""
    if len(study.completed) < 2:
        return Missing(f"No history of the search: it needs 2 completed trials; {_count(study)}.")
    position = study.objectives.index(study.quality)
    if len(study.objectives) == 1:
        figure = plot_optimization_history(search, target_name=study.quality.name)
    else:
        figure = plot_optimization_history(
            search, target=lambda trial: trial.values[position], target_name=study.quality.name
        )
    figure.update_xaxes(title="trial", dtick=whole_step(len(study.trials)))
    return Plot(
        f"{study.quality.name} of each completed trial in the order of their numbers. "
        f"{study.measured}",
        styled(figure),
    )


def learning_curves(study: Study, search: optuna.Study) -> Plot | Missing:
    """The quality after every epoch of every trial, a line a trial."""
    if (
        len(study.objectives) > 1
        or len(study.trials) > MOST_CURVES
        or not any(
            trial.intermediate_values and trial.state != TrialState.FAIL
            for trial in search.get_trials(deepcopy=False)
        )
    ):
        return quality_curves(study)
    return curves(study, plot_intermediate_values(search))


def slices(study: Study, search: optuna.Study, name: str) -> Plot | Missing:
    """The quality against one numeric parameter, a point a completed trial."""
    done = [t for t in search.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
    values = {trial.params[name] for trial in done if name in trial.params}
    if len(values) < 2:
        return Missing(
            f"No slice for {name}: it needs 2 values in completed trials; {_count(study)}, with "
            f"{len(values)} of its values."
        )
    position = study.objectives.index(study.quality)
    figure = plot_slice(
        search,
        params=[name],
        target=lambda trial: trial.values[position],
        target_name=study.quality.name,
    )
    figure.update_traces(marker={"size": 8, "colorbar": {"title": "trial", "thickness": 12}})
    figure.update_xaxes(nticks=8)
    return Plot(
        f"{study.quality.name} against {name}, a point for each of {len(done)} completed trials; "
        f"darker trials are later ones. {study.measured}",
        styled(figure),
    )


def objectives(study: Study, search: optuna.Study) -> Iterator[Plot | Missing]:
    """The quality against each of the study's other objectives, a point a completed trial."""
    quality = study.objectives.index(study.quality)
    for other, objective in enumerate(study.objectives):
        if other != quality:
            yield _against(study, search, (other, quality), (objective.name, study.quality.name))


def _against(
    study: Study, search: optuna.Study, positions: tuple[int, int], names: tuple[str, str]
) -> Plot | Missing:
    if study.completed.empty:
        return Missing(f"No plot of {names[1]} against {names[0]}: {NO_TRIAL}.")
    figure = plot_pareto_front(
        search,
        target_names=list(names),
        targets=lambda trial: [trial.values[position] for position in positions],
    )
    for trace in figure.data:
        best = "Best Trial" in trace.hovertemplate
        trace.marker = {"color": ORANGE if best else GREY, "size": 9}
        trace.name = "best" if best else "others"
        trace.showlegend = len(trace.x) > 0
    among = "both" if len(study.objectives) == 2 else f"all {len(study.objectives)} objectives"
    return Plot(
        f"{names[1]} against {names[0]} of {len(study.completed)} completed trials; best: no "
        f"other trial is better in {among}. {study.measured}",
        styled(figure),
    )


def _count(study: Study) -> str:
    count = len(study.completed)
    return f"{count} {'has' if count == 1 else 'have'} completed" if count else NO_TRIAL
