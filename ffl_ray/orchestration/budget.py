"""A search's budget: what it chooses by measured speed, and what it chose when the study began."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import StudyConfig
from ffl_ray.data.facts import DataFacts
from ffl_ray.errors import PlanError
from ffl_ray.orchestration.remote import with_data
from ffl_ray.orchestration.search_study import Search
from ffl_ray.orchestration.start import facts_of
from ffl_ray.planning.budget import (
    BATCH_SIZE,
    FRACTION,
    Chosen,
    Fit,
    Ladders,
    Values,
    batch_size,
    fit_budget,
    ladders_for,
)
from ffl_ray.planning.budget_time import SearchTime, Spent
from ffl_ray.planning.cost import DataSize
from ffl_ray.planning.data_check import folder_look
from ffl_ray.planning.layout import Machines, Plan, make_plan
from ffl_ray.planning.nodes import Cluster
from ffl_ray.search.points import check_space, points


def fitted(
    search: Search,
    plan: Plan,
    facts: DataFacts,
    cluster: Cluster,
    machines: Machines,
    *,
    joined: bool,
) -> tuple[Search, Plan, DataFacts]:
    """The search with the settings that its budget chooses, laid out, and the facts of its data.

    Args:
        search: with provisional settings.
        plan: of these.
        facts: of the data under these.
        cluster: where a trial's speed is measured.
        machines: that Ray has.
        joined: Ray was joined at an address.

    Raises:
        PlanError: the budget is too short, no machine was free to measure on, or the data do not
            fit the memory of the one that opens them.
    """
    whole = _whole(facts, search.settings.data.fraction)
    side, decode_s = _looked(search, joined=joined)
    named = {*search.overrides, *_proposed(search)}
    sets = {*search.space.base, *named}
    ladders = ladders_for(search.space, search.settings, named, whole.num_train, side)

    completed = _completed(search, sets, whole)
    cpus = plan.max_concurrent_trials * plan.num_workers * plan.cpus_per_worker
    spent = Spent(time.monotonic() - search.started, decode_s / cpus)
    needed_s = SearchTime(
        search.space, lambda values: search.settled(completed(values)).settings, plan, whole, spent
    )
    fit = _measured_fit(needed_s, ladders, cluster, search.settings)
    fit = _with_batch(fit, completed(fit.values), is_own=BATCH_SIZE not in sets)
    found = search.settled(fit.values)._replace(fit=fit, is_open=False)
    spare = machines._replace(spare_cpus=None if joined else cpus)
    return _laid_out(found, facts, spare, search.settings.data.fraction, joined=joined)


def _completed(
    search: Search, sets: Collection[str], whole: DataSize
) -> Callable[[Values], dict[str, Any]]:
    """What adds the batch size to settings that are chosen: that of so many images."""

    def completed(values: Values) -> dict[str, Any]:
        images = whole.num_train * values.get(FRACTION, search.settings.data.fraction)
        return {**values, BATCH_SIZE: batch_size(search.settings, sets, images)}

    return completed


def _measured_fit(
    needed_s: SearchTime, ladders: Ladders, cluster: Cluster, study: StudyConfig
) -> Fit:
    if not needed_s.measure(ladders, cluster):
        raise PlanError("--budget needs a machine to measure speed on, and none was free")
    return fit_budget(ladders, needed_s, study)


def _with_batch(fit: Fit, values: Values, *, is_own: bool) -> Fit:
    """What was chosen with the batch size, which is listed where it was chosen as well."""
    listed = [Chosen(BATCH_SIZE, str(values[BATCH_SIZE]))] if is_own else []
    return fit._replace(values=dict(values), chosen=(*fit.chosen, *listed))


def _laid_out(
    search: Search, facts: DataFacts, machines: Machines, looked_at: float, *, joined: bool
) -> tuple[Search, Plan, DataFacts]:
    """The chosen search with its plan, and the facts of the share of the data that it takes.

    Args:
        facts: of the share that was looked at.
    """
    settings = search.settings
    check_space(search.space, settings.training, search=settings.search, chosen=None)
    plan = make_plan(settings.search, machines, device=settings.compute.device, elastic=joined)
    if settings.data.fraction != looked_at:
        flat = flatten(settings.training)
        facts = with_data(facts_of, flat, False) if joined else facts_of(flat, False)
    return search, plan, facts


def _whole(facts: DataFacts, fraction: float) -> DataSize:
    """The sizes of the data if no share were taken of it."""
    sizes = (round(count / fraction) for count in (facts.num_train, facts.num_val))
    return DataSize(facts.num_classes, *sizes)


def _looked(search: Search, *, joined: bool) -> tuple[int | None, float]:
    """The images' own side, and seconds to decode one; none where they are no files."""
    if search.settings.data.name != "folder":
        return None, 0.0
    flat = flatten(search.settings.training)
    return with_data(folder_look, flat) if joined else folder_look(flat)


def _proposed(search: Search) -> set[str]:
    """The settings that the space proposes."""
    found: set[str] = set()
    for point in points(search.space, search.settings.training, 1):
        found |= point.params.keys()
    return found
