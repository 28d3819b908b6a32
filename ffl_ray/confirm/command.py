"""The command `confirm`: what is missing is planned and trained, and all of it compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from ffl_ray.config.methods import holds_out
from ffl_ray.config.overrides import flatten
from ffl_ray.confirm.arms import config_of, plan_runs
from ffl_ray.confirm.compared import corrected, parity_words
from ffl_ray.confirm.confirmation import KIND, Confirmation, write_tables
from ffl_ray.confirm.look import look_words, record_look
from ffl_ray.confirm.plan import (
    following,
    new_configs,
    plan_confirmation,
    with_tuned_baselines,
)
from ffl_ray.confirm.plan_text import plan_words, tuning_words
from ffl_ray.confirm.race import every_round, given_words, still_waiting
from ffl_ray.confirm.request import Request
from ffl_ray.confirm.tables import Row, closed_words, failed_words, how_many_seeds
from ffl_ray.confirm.tuned import baseline_searches
from ffl_ray.confirm.tuning import tune_baselines
from ffl_ray.confirm.view import confirmed_tables, how_measured
from ffl_ray.console.data_text import data_text
from ffl_ray.console.json_object import tell
from ffl_ray.console.result_tables import where_text
from ffl_ray.console.terminal import make_console, say
from ffl_ray.data.facts import DataFacts, facts_in
from ffl_ray.errors import StudyError
from ffl_ray.models.registry import check_weights_here
from ffl_ray.orchestration.final_run import FinalRun, waiting_runs
from ffl_ray.orchestration.final_runs import run_final_runs
from ffl_ray.orchestration.ray_setup import own_ray
from ffl_ray.orchestration.start import start
from ffl_ray.planning.layout import Plan
from ffl_ray.results.description import (
    MOVES,
    check_same_data,
    describe_study,
    mend_description,
    read_description,
)
from ffl_ray.results.parts import Parts
from ffl_ray.results.predictions import TABLE as PREDICTIONS
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables


def confirm(request: Request) -> int:
    """The exit status of a confirmation: new, or one that goes on."""
    before = _earlier(request)
    if before is None:
        return _go_on(request, None)
    try:
        request = following(request, before, opened=_opened(request))
    except StudyError as error:
        if not request.dry_run:
            raise
        return _dry_run_anew(request, error)
    asked = before._replace(seeds=request.seeds, looks=request.looks)
    ended = _ended_tables(request, asked)
    if ended is None:
        return _go_on(request, asked)
    if asked != before:
        _keep_plan(request, asked)
    show_confirmed(asked, ended)
    return 0


def _dry_run_anew(request: Request, refused: StudyError) -> int:
    """Say what another plan than the registered one would take."""
    say(make_console(), f"Of a plan anew, for {refused}.\n")
    place = Storage(request.storage.parent).child("another")  # nothing is written in a dry run
    return _go_on(request._replace(storage=place), None)


def _earlier(request: Request) -> Confirmation | None:
    """The confirmation that was planned before, if one was."""
    if not request.storage.exists("study.json"):
        return None
    mend_description(request.storage)
    return Confirmation.load(read_description(request.storage), request.storage.location)


def _opened(request: Request) -> bool:
    """Whether the test split was opened for it: what a training makes of it is written somewhere.

    A kill may come between its predictions, its members, and its end.
    """
    held = {"trials": ("status", "completed"), "members": ("split", "test")}
    return bool(Parts(request.storage, PREDICTIONS).names()) or any(
        value in part[column].to_pylist()
        for table, (column, value) in held.items()
        for part in Parts(request.storage, table).read_all((column,))
    )


def _ended_tables(request: Request, before: Confirmation) -> StudyTables | None:
    """The tables, when nothing new is asked for and all that was planned has ended."""
    new_runs = plan_runs(before.arms, request.seeds, before.runs) != before.runs
    if request.dry_run or new_runs or new_configs(request, before):
        return None
    tables = StudyTables(request.storage, request.name)
    return None if still_waiting(before, tables) else tables


def _go_on(request: Request, before: Confirmation | None) -> int:
    """Search for the baselines that are to be, then train what is left; the exit status."""
    known = [] if before is None else [run.config for run in before.final_runs]
    for config in (*known, *(one.config for one in new_configs(request, before))):
        check_weights_here(config)
    if request.tune_baselines is not None and not request.dry_run:
        before = _before_tuning(request, before)
        classes = facts_in(read_description(request.storage)["data"]).num_classes
        status = tune_baselines(request, baseline_searches(before, request, classes))
        if status:
            return status
    return _train(request, before)


@own_ray()
def _planned(request: Request, before: Confirmation | None) -> Confirmation:
    """The plan before its baselines are searched for, kept: how long each trains is decided."""
    with make_console().status("starting Ray, opening the data and measuring epochs"):
        plan, facts = _started(request)
        confirmation = plan_confirmation(request, before, plan, facts)
    with closing(_tables(request, confirmation, plan, facts)):
        return confirmation


def _before_tuning(request: Request, before: Confirmation | None) -> Confirmation:
    """The same, of before where there is one and nothing new is asked for."""
    if before is None or new_configs(request, before):
        return _planned(request, before)
    return before


@own_ray()
def _train(request: Request, before: Confirmation | None) -> int:
    console = make_console()
    with console.status("starting Ray, opening the data and measuring epochs"):
        plan, facts = _started(request)
        confirmation = plan_confirmation(request, before, plan, facts)
        if not request.dry_run:
            confirmation = with_tuned_baselines(confirmation, request, plan, facts)
        if before is None or not _opened(request):
            confirmation = confirmation.as_registered()
    say(console, data_text(facts))
    say(console, plan_words(confirmation, _waiting(request, confirmation), plan))
    if request.dry_run:
        if request.tune_baselines is not None:
            searches = baseline_searches(confirmation, request, facts.num_classes)
            say(console, tuning_words(searches, request.tune_baselines, plan))
        return 0
    with closing(_tables(request, confirmation, plan, facts)) as tables:
        record_look(confirmation, request.storage)
        status = _run_all(request, confirmation, tables, plan)
        show_confirmed(confirmation, tables)
    return status


def _started(request: Request) -> tuple[Plan, DataFacts]:
    """Ray started and the data opened, those that were searched on."""
    first = request.chosen[0].config
    plan, facts = start(request.address, first, request.search, request.storage, final=True)
    _check_searched(request, facts)
    return plan, facts


def _run_all(request: Request, confirmation: Confirmation, tables: StudyTables, plan: Plan) -> int:
    """Train every round; the exit status."""

    def train(number: int, runs: Sequence[FinalRun]) -> int:
        which = f", round {number} of at most {confirmation.looks}" if confirmation.race else ""
        return run_final_runs(
            tables,
            runs,
            request.search,
            plan,
            title=f"{request.name}: {len(runs)} final trainings{which}",
            again="the same command",
            keep=confirmation.winners,
        )

    return every_round(confirmation, tables, train)


def _check_searched(request: Request, facts: DataFacts) -> None:
    """Check that the data are those that were searched on.

    Raises:
        StudyError: they differ.
    """
    settings, config = request.searched["settings"], flatten(request.chosen[0].config)
    same = all(settings.get(name) == config[name] for name in ("data.fraction", "data.split_seed"))
    alike = {"same_images": same, "same_split": False}
    check_same_data(request.storage.parent, request.searched, facts, kept="is confirmed", **alike)


def _waiting(request: Request, confirmation: Confirmation) -> list[FinalRun]:
    """The trainings that are not completed."""
    if not request.storage.exists("study.json"):
        return confirmation.final_runs
    return waiting_runs(StudyTables(request.storage, request.name), confirmation.final_runs)


def _tables(
    request: Request, confirmation: Confirmation, plan: Plan, facts: DataFacts
) -> StudyTables:
    """The tables, opened; study.json says what is planned, also where there was one."""
    goes_on = request.storage.exists("study.json")
    description = describe_study(
        KIND, request.settings, plan=plan._asdict(), data=facts._asdict(), **confirmation.dump()
    )
    tables = StudyTables.open(request.storage, request.name, description, [], may_change=MOVES)
    if goes_on:
        _keep_plan(request, confirmation)
    return tables


def _keep_plan(request: Request, confirmation: Confirmation) -> None:
    """Have study.json say what is planned now."""
    description = read_description(request.storage) | confirmation.dump()
    text = json.dumps(description, indent=2, default=str)
    request.storage.write("study.json", text.encode(), copied=True)


def race_words(confirmation: Confirmation, tables: StudyTables, waiting: int) -> str:
    """How far a race is, in words."""
    left = waiting_runs(tables, confirmation.final_runs, failed=False)
    done = len(confirmation.asked) - len(left)
    said = f"Seeds until decided: {done} of at most {len(confirmation.asked)} trainings"
    if waiting:
        return f"{said} so far, {waiting} of this round are still to be done."
    return f"{said}; tests and intervals hold at each of {confirmation.looks} looks."


def _state(confirmation: Confirmation, tables: StudyTables, waiting: int) -> dict[str, Any]:
    """How far it is, as fields of a JSON object."""
    return {
        "study": tables.name,
        "location": tables.storage.location,
        "trainings": {"asked": len(confirmation.asked), "waiting": waiting},
        "primary": confirmation.primary and confirmation.primary._asdict(),
    }


def _seeds_behind(confirmation: Confirmation, rows: Mapping[str, Sequence[Row]]) -> list[int]:
    """The seeds of that member's number which has the most of them."""
    count = max(row["n"] for row in rows["summary"])
    there = {row["seed"] for row in rows["runs"] if row["error_type"] is None}
    return [seed for seed in confirmation.seeds if seed in there][:count]


def show_confirmed(confirmation: Confirmation, tables: StudyTables) -> None:
    """Write and show what the completed runs say; of the pairs those that are complete once."""
    rows = write_tables(confirmation, tables)
    summary, compared = rows["summary"], [row for row in rows["comparisons"] if row["n"]]
    waiting = len(still_waiting(confirmation, tables, failed=False))
    tell(summary=summary, comparisons=compared, **_state(confirmation, tables, waiting))
    if not summary:
        return
    console = make_console()
    for table in confirmed_tables(summary, compared, tables.storage.location):
        console.print(table)
        console.print()
    num_train = read_description(tables.storage)["data"]["num_train"]
    images = summary[0]["images"]
    if confirmation.race:
        say(console, race_words(confirmation, tables, waiting))
    elif waiting:
        say(
            console,
            f"Not all yet: {waiting} of {len(confirmation.asked)} trainings are still to be done. "
            f"n says how many seeds a number has so far; a pair that has none is not shown.",
        )
    words = how_measured(
        _seeds_behind(confirmation, rows),
        how_many_seeds(summary, "training"),
        num_train,
        images,
        " ".join(filter(None, [parity_words(compared), corrected(compared)])),
        confirmation.ranked_by,
        summary[0]["over"],
        [arm.name for arm in confirmation.arms if holds_out(config_of(arm))],
    )
    fails = (failed_words(rows["runs"]), given_words(confirmation, tables))
    closed = closed_words(rows["comparisons"])
    for said in filter(None, (words, *fails, closed, *confirmation.merged)):
        say(console, said)
    say(console, look_words(confirmation, tables.storage))
    place = tables.storage.child("comparisons").location
    console.out(f"\n{where_text(tables.storage.location, place, 'verdicts')}")
