"""A request for a confirmation: the command's options, checked against the study."""

from __future__ import annotations

import argparse
import shlex
from typing import Any, NamedTuple

from ffl_ray import cli
from ffl_ray.config.method_checks import check_method
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.confirm.arms import Baselines, Chosen, best_configs, new_seeds
from ffl_ray.confirm.tables import FOLDER
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.planning.data_dir import absolute_data_dir
from ffl_ray.results.description import MOVES, read_description
from ffl_ray.results.guard import understood
from ffl_ray.results.history import study_objectives
from ffl_ray.results.reader import find_study, load_tables, records
from ffl_ray.results.storage.access import open_for_writing
from ffl_ray.results.storage.storage import Storage


class Request(NamedTuple):
    """A request: which configs are to be confirmed, and how.

    Attributes:
        storage: the confirmation's own folder.
        name: of its study.
        top: how many configs are to be confirmed.
        baselines: which.
        chosen: all configs of completed trials, the best first.
        seeds: of every training.
        settings: what may not change as long as the confirmation goes on.
        search: resources of the trainings.
        ranked_by: the search's objectives.
        searched: what the search's study.json says.
        address: of a Ray cluster, if one is to be joined.
        dry_run: the plan is to be shown only.
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


def request_of(args: argparse.Namespace) -> Request:
    """The request that the options make.

    Raises:
        SettingError: an option can't be, or a config that an older version trained.
        StudyError: no such study, it is no search, or it has no completed trial.
    """
    _check_options(args)
    changes = _changes(args)
    source = find_study(args.study, args.storage_path)
    searched, objectives = read_description(source), study_objectives(source)
    study = searched["study"]
    rows = records(load_tables(source).trials)
    with understood(source.location):
        ranked = best_configs(rows, objectives, len(rows))
    if not ranked:
        raise StudyError(
            f"{source.location} has no completed trial to confirm: search on, with the command "
            f"that began it, --name {source.name} --storage-path {shlex.quote(source.parent)}"
        )
    for one in ranked[: args.top]:
        check_method(one.config)
    search = cli.resources_of(args, args.top * args.seeds)
    kept = {"baselines": args.baselines, "search.num_workers": search.num_workers}
    return Request(
        storage=open_for_writing(source.location).child(FOLDER),
        name=f"{study}/{FOLDER}",
        top=args.top,
        baselines=args.baselines,
        chosen=[one._replace(config=with_overrides(one.config, changes)) for one in ranked],
        seeds=new_seeds({row["seed"] for row in rows}, args.seeds),
        settings={**kept, **changes},
        search=search,
        ranked_by=", ".join(objective.name for objective in objectives),
        searched=searched,
        address=args.address,
        dry_run=args.dry_run,
    )


def _check_options(args: argparse.Namespace) -> None:
    if args.study is None:
        raise SettingError("STUDY must name a search, by its name or folder")
    for option, value in (("--top", args.top), ("--seeds", args.seeds)):
        if value < 1:
            raise SettingError(f"{option} must be at least 1, not {value}")
    for option in ("seed", "name"):
        if getattr(args, option) is not None:
            raise SettingError(
                f"--{option} is not for confirm: seeds and place follow from the study"
            )


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
