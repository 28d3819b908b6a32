"""A request for a confirmation: the command's options, checked against the study."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ffl_ray import cli
from ffl_ray.config.method_checks import check_method
from ffl_ray.config.methods import resolved
from ffl_ray.config.objectives import Objective
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig, SearchConfig
from ffl_ray.confirm.arms import Baselines, new_seeds
from ffl_ray.confirm.chosen import confirmed_form, distinct_configs, named, picked
from ffl_ray.confirm.opponents import DEFAULT, Kind
from ffl_ray.confirm.options import check_begun, check_options, first_look, most_seeds
from ffl_ray.confirm.pairs import Chosen
from ffl_ray.confirm.tables import FOLDER
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.planning.data_dir import absolute_data_dir
from ffl_ray.results.columns import BASELINE, num_ended
from ffl_ray.results.columns import DEFAULT as DEFAULT_POINT
from ffl_ray.results.description import MOVES, read_description
from ffl_ray.results.guard import understood
from ffl_ray.results.history import study_objectives
from ffl_ray.results.looks import FIRST_LOOK, MOST_READ
from ffl_ray.results.reader import find_study, load_tables, records
from ffl_ray.results.schema import row_config
from ffl_ray.results.storage.access import open_for_writing
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.part_space import searched_kinds

TOP, SEEDS = 3, 5
SEEDS_OF_FIRST_LOOK = "seeds_at_first_look"


class Request(NamedTuple):
    """A request: which configs are to be confirmed, and how.

    Attributes:
        storage: the confirmation's own folder.
        name: of its study.
        top: how many configs are to be confirmed.
        baselines: which.
        chosen: all configs of completed trials, the best first.
        seeds: of every training; of a race the most.
        settings: what may not change as long as the confirmation goes on.
        search: resources of the trainings.
        ranked_by: the search's objectives.
        searched: what the search's study.json says.
        address: of a Ray cluster, if one is to be joined.
        dry_run: the plan is to be shown only.
        looks: how often verdicts are looked at: once, or in a race after each seed.
        kinds: of baselines.
        default: the search's default point, where it is one of them.
        named: the configs are those of trials that were named, and no others.
        tune_baselines: trials of each baseline's search; none: they inherit the config's settings.
        dimensions: what the search varied, with Optuna's distributions.
        search_trials: that ended, of the search.
        search_s: accelerator-seconds of all of them.
    """

    storage: Storage
    name: str
    top: int
    baselines: Baselines
    chosen: list[Chosen]
    seeds: list[int]
    settings: dict[str, Any]
    search: SearchConfig
    ranked_by: str
    searched: dict[str, Any]
    address: str | None
    dry_run: bool
    looks: int = 1
    kinds: Sequence[Kind] = DEFAULT.kinds
    default: ResolvedConfig | None = None
    named: bool = False
    tune_baselines: int | None = None
    dimensions: Mapping[str, Any] = {}
    search_trials: int = 0
    search_s: float = 0.0


def request_of(args: argparse.Namespace) -> Request:
    """The request that the options make.

    Raises:
        SettingError: an option can't be, or a config that an older version trained.
        StudyError: no such study, it is no search, or it has no completed trial.
    """
    check_options(args, MOST_READ)
    request = _request(args)
    _check_default(request)
    return request


def _request(args: argparse.Namespace) -> Request:
    changes = _changes(args)
    source = find_study(args.study, args.storage_path)
    check_begun(args, source.child(FOLDER))
    searched, objectives = read_description(source), study_objectives(source)
    rows = records(load_tables(source).trials)
    ranked = _ranked(source, rows, objectives, args)
    top = args.top or (len(ranked) if args.trial or args.pick == "front" else TOP)
    for one in ranked[:top]:
        check_method(one.config)
    seeds = most_seeds(args) if args.until_decided else args.seeds or SEEDS
    search = cli.resources_of(args, top * seeds)
    return Request(
        storage=open_for_writing(source.location).child(FOLDER),
        name=f"{searched['study']}/{FOLDER}",
        top=top,
        baselines=args.baselines,
        chosen=[one._replace(config=with_overrides(one.config, changes)) for one in ranked],
        seeds=new_seeds({row["seed"] for row in rows}, seeds),
        settings={**_kept(args), "search.num_workers": search.num_workers, **changes},
        search=search,
        ranked_by=", ".join(objective.name for objective in objectives),
        searched=searched,
        address=args.address,
        dry_run=args.dry_run,
        kinds=tuple(args.arms),
        default=_default(source, rows, changes) if "default" in args.arms else None,
        named=bool(args.trial),
        looks=seeds - first_look(args) + 1 if args.until_decided else 1,
        tune_baselines=args.tune_baselines,
        dimensions={} if args.tune_baselines is None else _dimensions(source, rows),
        search_trials=num_ended(rows),
        search_s=sum(row["accelerator_s"] or 0.0 for row in rows),
    )


def _kept(args: argparse.Namespace) -> dict[str, Any]:
    """The options that a confirmation goes on with alone; unset ones are those of before."""
    kept: dict[str, Any] = {"baselines": args.baselines, "margin": args.margin}
    if args.until_decided:
        kept["until_decided"] = True
        first = first_look(args)
        kept |= {SEEDS_OF_FIRST_LOOK: first} if first != FIRST_LOOK else {}
    kept |= {"arms": sorted(set(args.arms))} if set(args.arms) != set(DEFAULT.kinds) else {}
    tuned = args.tune_baselines
    return kept if tuned is None else {**kept, "tune_baselines": tuned}


def as_options(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What a confirmation keeps by the names of the options that it was given with."""
    return {"seeds" if name == SEEDS_OF_FIRST_LOOK else name: kept[name] for name in kept}


def _default(
    source: Storage, rows: list[dict[str, Any]], changes: Mapping[str, object]
) -> ResolvedConfig:
    """The config of the search's default point, however its trial ended.

    Raises:
        StudyError: it had none.
    """
    with understood(source.location):
        found = [resolved(row_config(row)) for row in rows if row.get(BASELINE) == DEFAULT_POINT]
    if not found:
        raise StudyError(
            f"--arms default must be of a search that tried its default point, and no trial of "
            f"{source.location} has baseline {DEFAULT_POINT}"
        )
    check_method(found[0])
    return with_overrides(confirmed_form(found[0]), changes)


def _check_default(request: Request) -> None:
    """Check that the default point is held against another config.

    Raises:
        SettingError: it is the only config, or its own arm would be searched for.
    """
    configs = [one.config for one in request.chosen[: request.top]]
    if request.default not in configs:
        return
    if request.kinds == ("default",) and set(configs) == {request.default}:
        raise SettingError(
            "--arms default must be of another config than the search's default point, and that "
            "is the best one: see the next with --top 2, or name a --trial"
        )
    if request.tune_baselines is not None:
        raise SettingError(
            "--tune-baselines must search for baselines alone, and the search's default point, of "
            "--arms default, is among the configs: give fewer with --top, or name others by --trial"
        )


def _dimensions(source: Storage, rows: list[dict[str, Any]]) -> dict[str, Any]:
    with understood(source.location):
        return searched_kinds(rows)


def _ranked(
    source: Storage,
    rows: list[dict[str, Any]],
    objectives: Sequence[Objective],
    args: argparse.Namespace,
) -> list[Chosen]:
    """The configs of completed trials that the options leave, the best first.

    Raises:
        StudyError: there is none, or one that is named is no completed trial.
    """
    with understood(source.location):
        found = distinct_configs(rows, objectives)
        members = [] if args.trial else records(load_tables(source).members)
        ranked = (
            named(found, args.trial)
            if args.trial and found
            else picked(found, members, objectives, args.pick)
        )
    if not ranked:
        raise StudyError(
            f"{source.location} has no completed trial to confirm: search on, with the command "
            f"that began it, --name {source.name} --storage-path {shlex.quote(source.parent)}"
        )
    return ranked


def _changes(args: argparse.Namespace) -> dict[str, object]:
    """The settings that may be changed on the way from search to confirmation."""
    changes = cli.overrides_of(args)
    for name in changes:
        if not name.startswith("compute.") and name not in MOVES:
            raise SettingError(
                f"confirm takes the study's settings as they are, apart from compute.* and "
                f"{', '.join(sorted(MOVES))}; not --set {name}"
            )
    config = with_overrides(Config(), changes)
    return changes if args.address is not None else changes | absolute_data_dir(config)
