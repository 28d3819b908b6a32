"""The configs of a search that are confirmed: the best, a trial by its number, the knee, the front.

Trials of one config that differ by their seed alone count as one, with the mean of their values:
what one seed was lucky with does not choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, Literal, NamedTuple

from ffl_ray.config.independent import independent
from ffl_ray.config.methods import holds_out, resolved
from ffl_ray.config.objectives import Objective, parse_objectives
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.confirm.pairs import Chosen
from ffl_ray.errors import StudyError
from ffl_ray.results.best import called_best, members_by_trial, ranked
from ffl_ray.results.pareto import front, knee
from ffl_ray.results.schema import row_config

Row = dict[str, Any]
Pick = Literal["best", "knee", "front"]
QUALITIES = ("accuracy", "top5", "nll", "ece")
ACCURACY, MACS = parse_objectives(["ensemble.accuracy", "ensemble.macs"])


class Found(NamedTuple):
    """A distinct config of a search.

    Attributes:
        row: of the trials table: of its best trial, with the mean objective values of all.
        trial_ids: of all its completed trials.
    """

    chosen: Chosen
    row: Row
    trial_ids: list[str]


def distinct_configs(rows: Iterable[Row], objectives: Sequence[Objective]) -> list[Found]:
    """The distinct configs of completed trials, that of the best mean objective values first."""
    by_config: dict[ResolvedConfig, list[Row]] = {}
    for row in ranked(rows, objectives):
        by_config.setdefault(confirmed_form(resolved(row_config(row))), []).append(row)
    found = {}
    for config, trials in by_config.items():
        values = zip(*(row["objective_values"] for row in trials), strict=True)
        row = trials[0] | {"objective_values": [fmean(some) for some in values]}
        ids = [trial["trial_id"] for trial in trials]
        found[row["trial_id"]] = Found(Chosen(row["trial_id"], config), row, ids)
    order = ranked([one.row for one in found.values()], objectives)
    return [found[row["trial_id"]] for row in order]


def picked(
    found: Sequence[Found],
    members: Iterable[Row],
    objectives: Sequence[Objective],
    pick: Pick,
) -> list[Chosen]:
    """The configs that a rule leaves, the best first.

    Args:
        found: all of them.
        members: rows of the search's members table, on validation data.
        pick: best: all, first the one that the search calls best; front: those with a member that
            no other beats in every objective's metric, or in accuracy and MACs where there is one
            objective; knee: the one config at that front's knee.
    """
    if pick == "best":
        return [one.chosen for one in _called_first(found, members, objectives)]
    of_trial = {trial_id: one for one in found for trial_id in one.trial_ids}
    metrics = {objective.metric: objective for objective in objectives}
    if pick == "knee" or len(metrics) < 2:
        metrics = {one.metric: one for one in (ACCURACY, MACS)}
    points = front([one.row for one in found], _means(members, of_trial), list(metrics.values()))
    if pick == "knee":
        points = [points[knee([(one["accuracy"], float(one["macs"])) for one in points])]]
    ids = {point["trial_id"] for point in points}
    return [one.chosen for one in found if one.chosen.trial_id in ids]


def _called_first(
    found: Sequence[Found], members: Iterable[Row], objectives: Sequence[Objective]
) -> list[Found]:
    """The same, before all others the one that console, report and export call best."""
    best = called_best([one.row for one in found], objectives, members_by_trial(members))
    called = None if best is None else best.trial_id
    return sorted(found, key=lambda one: one.chosen.trial_id != called)


def _means(members: Iterable[Row], of_trial: dict[str, Found]) -> list[Row]:
    """Rows of the members after the last epoch, one of each config, with means over its trials."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in members:
        if row["checkpoint"] == "latest" and row["trial_id"] in of_trial:
            key = (of_trial[row["trial_id"]].chosen.trial_id, row["member"])
            grouped.setdefault(key, []).append(row)
    return [
        rows[0]
        | {"trial_id": trial_id}
        | {
            name: fmean(row[name] for row in rows)
            for name in QUALITIES
            if all(row[name] is not None for row in rows)
        }
        for (trial_id, _), rows in grouped.items()
    ]


def named(found: Sequence[Found], trial_ids: Sequence[str]) -> list[Chosen]:
    """The configs of these trials, in this order.

    Raises:
        StudyError: one is no completed trial.
    """
    of_trial = {trial_id: one for one in found for trial_id in one.trial_ids}
    chosen: dict[str, Chosen] = {}
    for trial_id in trial_ids:
        name = trial_id.zfill(5)
        if name not in of_trial:
            known = ", ".join(sorted(of_trial))
            raise StudyError(f"--trial must be a completed trial, one of {known}, not {trial_id!r}")
        one = of_trial[name].chosen
        chosen[one.trial_id] = one._replace(trial_id=name)
    return list(chosen.values())


def confirmed_form(config: ResolvedConfig) -> ResolvedConfig:
    """The config as it is trained, its seed aside; of `independent` only what has an effect."""
    if config.distill.method == "independent":
        form = independent(config, config.model.mix, config.model.trunk_stages)
        kept = {
            name: getattr(config.distill, name)
            for name in ("views", "view_policies", "own_batches")
        }
        return with_overrides(form, {f"distill.{name}": value for name, value in kept.items()})
    return with_overrides(config, {"seed": 0, "data.hold_out": holds_out(config)})
