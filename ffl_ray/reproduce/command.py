"""The command `reproduce`: published rows are trained, and ours are held against them."""

from __future__ import annotations

import argparse
from contextlib import closing

from ffl_ray import cli
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import SearchConfig
from ffl_ray.console.data_text import data_text
from ffl_ray.console.result_tables import where_text
from ffl_ray.console.terminal import make_console, say
from ffl_ray.orchestration.final_run import FinalRun, completed_tables
from ffl_ray.orchestration.final_runs import run_final_runs
from ffl_ray.orchestration.ray_setup import own_ray
from ffl_ray.orchestration.start import start
from ffl_ray.reproduce.cost import expected_seconds, plan_words
from ffl_ray.reproduce.reproduction import Reproduction, final_runs, held_against
from ffl_ray.reproduce.table import FOLDER, write_reproduced
from ffl_ray.reproduce.view import reproduced_table
from ffl_ray.results.columns import ENDED
from ffl_ray.results.description import (
    MOVES,
    check_goes_on,
    check_name,
    default_name,
    describe_study,
    read_description,
)
from ffl_ray.results.openings import (
    Opening,
    digest,
    look_at,
    named_test_split,
    now,
    nth,
    record_opening,
)
from ffl_ray.results.storage.access import study_storage
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables

KIND = "reproduce"
MAY_CHANGE = frozenset(("reproduce.rows", "reproduce.seeds")) | MOVES


def reproduce(asked: Reproduction, args: argparse.Namespace) -> int:
    """The exit status of a reproduction: new, or one that goes on.

    Args:
        args: the command's options, for resources, name and place.
    """
    runs = final_runs(asked)
    search = cli.resources_of(args, len(runs))
    name = check_name(args.name or default_name(f"{KIND}-{asked.name}"))
    storage = study_storage(args.storage_path, name)
    goes_on = check_goes_on(storage, KIND, asked.settings(), MAY_CHANGE)
    if args.dry_run:
        return _dry_run(args.address, asked, runs, search, storage)
    ended = completed_tables(storage, name, runs) if goes_on else None
    if ended is None:
        return _train(args.address, asked, runs, search, storage, name)
    say(make_console(), f"{name}: all {len(runs)} trainings ended before")
    _finish(ended, asked, runs)
    return 0


@own_ray()
def _dry_run(
    address: str | None,
    asked: Reproduction,
    runs: list[FinalRun],
    search: SearchConfig,
    storage: Storage,
) -> int:
    with make_console().status("starting Ray, opening the data and measuring"):
        plan, facts = start(address, runs[0].config, search, storage, final=True)
        configs = [run.config for run in runs]
        seconds = expected_seconds(configs, plan, facts, cluster=address is not None)
    say(make_console(), plan_words(asked.name, configs, plan, facts, seconds))
    if asked.departures.words:
        say(make_console(), f"{asked.departures.words}: not comparable with the published value")
    return 0


@own_ray()
def _train(
    address: str | None,
    asked: Reproduction,
    runs: list[FinalRun],
    search: SearchConfig,
    storage: Storage,
    name: str,
) -> int:
    with make_console().status("starting Ray and opening the data"):
        plan, facts = start(address, runs[0].config, search, storage, final=True)
    description = describe_study(KIND, asked.settings(), plan=plan._asdict(), data=facts._asdict())
    opened = StudyTables.open(storage, name, description, (), may_change=MAY_CHANGE)
    say(make_console(), data_text(facts))
    title = (
        f"{name}: {len(runs)} trainings of {asked.name}, {plan.max_concurrent_trials} at once, "
        f"{facts.num_train:,} images to train on"
    )
    with closing(opened) as tables:
        place, split = Storage(storage.parent), named_test_split(flatten(runs[0].config), facts)
        registered, begun = _registered(asked, runs), read_description(storage)["created"]
        opening = Opening(name, KIND, registered, len(runs), now(), begun)
        record_opening(place, split, opening)
        number = look_at(place, split, opening) or 1
        say(make_console(), f"the {nth(number)} look at this test split from {place.location}")
        status = run_final_runs(
            tables, runs, search, plan, title=title, again=f"the same command with --name {name}"
        )
        _finish(tables, asked, runs)
    return status


def _registered(asked: Reproduction, runs: list[FinalRun]) -> str:
    """A hash of what is to be trained, wherever its data are."""
    fixed = {name: value for name, value in asked.settings().items() if name not in MOVES}
    return digest([fixed, len(runs)])


def _finish(tables: StudyTables, asked: Reproduction, runs: list[FinalRun]) -> None:
    """Hold what is completed against what is published: in the study's table, and in print."""
    ended = [row["trial_id"] for row in tables.trials.rows if row["status"] in ENDED]
    found = held_against(asked, runs, tested_accuracies(tables), ended)
    departures, configs = asked.departures, {row.name: asked.config(row) for row in asked.rows}
    write_reproduced(
        tables.storage, tables.name, asked.name, asked.table, found, configs, departures
    )
    console = make_console()
    console.print(reproduced_table(asked.name, asked.table, found, departures))
    place = tables.storage.child(FOLDER).location
    console.out(f"\n{where_text(tables.storage.location, place, 'reproduced')}")


def tested_accuracies(tables: StudyTables) -> dict[str, dict[str, float]]:
    """Accuracies on the test split of the members of each run that was measured there."""
    found: dict[str, dict[str, float]] = {}
    for row in tables.member_rows():
        if row["split"] == "test":
            found.setdefault(row["trial_id"], {})[row["member"]] = row["accuracy"]
    return found
