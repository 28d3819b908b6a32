"""The start of a search, from what was asked for: the body of `python -m ffl_ray.tune`.

What can be refused without torch and Ray is refused before they are loaded: within a second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import StudyConfig
from ffl_ray.console.terminal import make_console
from ffl_ray.orchestration.search_study import MAY_CHANGE, Search, nothing_left
from ffl_ray.planning.budget import chosen_before, provisional
from ffl_ray.planning.data_dir import absolute_data_dir
from ffl_ray.results.description import (
    DESCRIPTION,
    check_goes_on,
    check_name,
    default_name,
    read_description,
)
from ffl_ray.results.history import optuna_study
from ffl_ray.results.storage.access import study_storage
from ffl_ray.search.mirror import Mirror
from ffl_ray.search.points import check_space
from ffl_ray.search.space import SearchSpace, load_space, settle
from ffl_ray.search.warm_start import WarmStart, warm_start_named, warm_start_of
from ffl_ray.trackers.trackers import check_trackers


def start_search(
    args: argparse.Namespace, overrides: Mapping[str, object], *, fixed: Sequence[str]
) -> int:
    """Run a search, or go on with it, or only say what it would be; returns the exit status.

    Args:
        args: of the command line.
        overrides: settings that it changes, by dotted names.
        fixed: those that the space must not search as well.
    """
    search = _search_of(args, overrides)
    space, settings = search.space, search.settings
    check_trackers(settings.search.track)
    # What a version before let pass goes on: its trials train as it is read.
    chosen = None if search.storage.exists(DESCRIPTION) else overrides
    check_space(space, settings.training, fixed, settings.search, chosen)
    if args.check:
        return _show_networks(space, settings)
    if args.address is None:
        place = absolute_data_dir(settings)
        search = search._replace(settings=with_overrides(settings, place))
    goes_on = check_goes_on(search.storage, "search", search.kept_settings, MAY_CHANGE)
    if goes_on and not args.dry_run:
        status = nothing_left(search)
        if status is not None:
            return status
    search = search._replace(warm_start=_warm_start(search))
    if not args.dry_run and args.optuna_storage is not None:
        mirror = Mirror(args.optuna_storage, search.name, settings.objectives)
        known = optuna_study(search.name, search.storage.parent).trials if goes_on else None
        mirror.check(known)
        search = search._replace(mirror=mirror)
    return _run(search, args.address, dry_run=args.dry_run)


def _search_of(args: argparse.Namespace, overrides: Mapping[str, object]) -> Search:
    """The search under its name, in its place; with what its budget chose when it began."""
    started = time.monotonic()
    space = load_space(args.space)
    name = check_name(args.name or default_name(space.name))
    storage = study_storage(args.storage_path, name)
    search = Search(
        name, storage, space, settle(space, overrides), overrides=overrides, started=started
    )
    budget_s = search.settings.search.budget_s
    if budget_s is None:
        return search.settled({})
    if storage.exists(DESCRIPTION):
        return search.settled(chosen_before(read_description(storage), budget_s))
    return search.settled(provisional(space, overrides))._replace(is_open=True)


def _warm_start(search: Search) -> WarmStart | None:
    """The warm start from the studies named by search.warm_start."""
    return warm_start_of(
        search.storage,
        search.settings.search,
        lambda names: warm_start_named(names, search.storage, search.space.suggest),
    )


def _show_networks(space: SearchSpace, settings: StudyConfig) -> int:
    from ffl_ray.console.plan_view import check_table
    from ffl_ray.planning.space_check import check_networks

    with make_console().status("building networks"):
        checked = check_networks(space, settings.training)
    make_console().print(check_table(space.name, checked))
    return 0


def _run(search: Search, address: str | None, *, dry_run: bool) -> int:
    from ffl_ray.orchestration.search_run import run_search

    return run_search(search, address, dry_run=dry_run)
