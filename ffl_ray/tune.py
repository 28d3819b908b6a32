"""Search: `python -m ffl_ray.tune [SPACE.py]`; --help lists the options."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ffl_ray import cli
from ffl_ray.config.flags import add_flags, flag_values

if TYPE_CHECKING:
    from ffl_ray.config.settings import StudyConfig
    from ffl_ray.orchestration.search_run import Order
    from ffl_ray.planning.layout import Plan
    from ffl_ray.planning.preflight import Preflight
    from ffl_ray.results.storage.storage import Storage
    from ffl_ray.search.mirror import Mirror
    from ffl_ray.search.space import SearchSpace
    from ffl_ray.search.warm_start import WarmStart

DESCRIPTION = """Search for the best way to fuse and distil branches on your data.

SPACE is a Python file with BASE and search_space(trial), or the name of a bundled space
(digits, cifar10, cifar100, cifar100_short, tiny, imagenet; branch_count, mix, fusion and
temperature ask one question each; methods, methods_short and ablations try every point with
three seeds). The default, digits, needs no download.
A search space is Python code and runs as such: open only those that you trust.

The same command with the same --name goes on: ended trials stay, interrupted ones continue after
their last epoch, and a larger --num-samples adds trials."""


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("tune", DESCRIPTION)
    made.add_argument("space", nargs="?", default="digits", metavar="SPACE")
    cli.add_common_options(made)
    search = made.add_argument_group("search")
    add_flags(search, lambda one: one.name.startswith("search.") and not one.marks.resource)
    search.add_argument(
        "--optuna-storage", metavar="URL", help="mirror the study there, such as sqlite:///x.db"
    )
    before = made.add_argument_group("before a search")
    before.add_argument(
        "--check", action="store_true", help="build every network that SPACE can propose, and stop"
    )
    before.add_argument(
        "--dry-run", action="store_true", help="show the plan and what it will take, and stop"
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _search(args))


def _search(args: argparse.Namespace) -> int:
    from ffl_ray.config.overrides import with_overrides
    from ffl_ray.console.terminal import make_console
    from ffl_ray.orchestration.search_run import (
        MAY_CHANGE,
        Order,
        nothing_left,
        run_search,
        settings_of,
    )
    from ffl_ray.orchestration.start import start
    from ffl_ray.planning.data_check import absolute_data_dir
    from ffl_ray.results.storage.access import study_storage
    from ffl_ray.results.study import StudyTables, check_goes_on, check_name, default_name
    from ffl_ray.search.space import check_space, load_space, settle

    space = load_space(args.space)
    overrides = cli.overrides_of(args) | flag_values(args)
    settings = settle(space, overrides)
    if settings.search.track:
        from ffl_ray.trackers.trackers import check_trackers

        check_trackers(settings.search.track)
    check_space(space, settings.training, list(overrides), settings.search)
    if args.check:
        return _check(space, settings)
    if args.address is None:
        settings = with_overrides(settings, absolute_data_dir(settings))
    name = check_name(args.name or default_name(space.name))
    storage = study_storage(args.storage_path, name)
    goes_on = check_goes_on(storage, "search", settings_of(space, settings), MAY_CHANGE)
    if goes_on and not args.dry_run:
        status = nothing_left(StudyTables(storage, name, settings.objectives), settings.search)
        if status is not None:
            return status
    warm_start = _warm_start(storage, space, settings)
    mirror = None if args.dry_run else _mirror(args.optuna_storage, name, settings)
    with make_console().status("starting Ray and opening the data"):
        plan, facts = start(args.address, settings.training, settings.search)
    order = Order(name, storage, space, settings, plan, facts, warm_start, mirror)
    preflight = _preflight(order, joined=args.address is not None)
    order = order._replace(plan=preflight.plan)
    if args.dry_run:
        from ffl_ray.console.plan_view import plan_table

        make_console().print(plan_table(preflight))
        return 0
    return run_search(order, preflight)


def _check(space: SearchSpace, settings: StudyConfig) -> int:
    from ffl_ray.console.plan_view import check_table
    from ffl_ray.console.terminal import make_console
    from ffl_ray.planning.space_check import check_networks

    with make_console().status("building networks"):
        checked = check_networks(space, settings.training)
    make_console().print(check_table(space.name, checked))
    return 0


def _preflight(order: Order, *, joined: bool) -> Preflight:
    from ffl_ray.console.terminal import make_console
    from ffl_ray.orchestration.ray_setup import cluster_machines
    from ffl_ray.orchestration.remote import call_together, trial_cluster
    from ffl_ray.planning.gpu_sharing import shared_plan
    from ffl_ray.planning.preflight import run_preflight

    settings = order.settings

    def check(plan: Plan) -> Preflight:
        cluster = trial_cluster(plan, joined=joined)
        study = (order.space, settings.training, settings.search)
        return run_preflight(*study, plan, order.facts, order.storage, cluster)

    with make_console().status("measuring what a trial takes"):
        preflight = check(order.plan)
        plan = shared_plan(preflight, settings.search, cluster_machines, call_together)
        return preflight if plan == order.plan else check(plan)


def _warm_start(storage: Storage, space: SearchSpace, settings: StudyConfig) -> WarmStart | None:
    """The warm start from the study named by search.warm_start."""
    from ffl_ray.results.history import optuna_study
    from ffl_ray.search.warm_start import warm_start_from, warm_start_of

    def make(name: str) -> WarmStart:
        return warm_start_from(optuna_study(name, storage.parent), space.suggest, name)

    return warm_start_of(storage, settings.search, make)


def _mirror(url: str | None, name: str, settings: StudyConfig) -> Mirror | None:
    """The Optuna storage that is told of the search, if one is named."""
    from ffl_ray.search.mirror import Mirror

    return None if url is None else Mirror(url, name, settings.objectives)


if __name__ == "__main__":
    sys.exit(main())
