"""The searches for baselines on Ray, one after the other, each a study like any other."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from ffl_ray.config.older import of_today
from ffl_ray.config.overrides import settings as settings_of
from ffl_ray.config.settings import StudyConfig
from ffl_ray.confirm.request import Request
from ffl_ray.confirm.tuned import FOLDER, BaselineSearch
from ffl_ray.console.terminal import make_console, say
from ffl_ray.orchestration.search_run import run_search
from ffl_ray.orchestration.search_study import MAY_CHANGE, Search
from ffl_ray.results.columns import num_ended
from ffl_ray.results.description import MOVES, check_goes_on, read_description
from ffl_ray.results.reader import read_rows
from ffl_ray.results.spent import used_s
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.grid import num_points
from ffl_ray.search.points import check_space
from ffl_ray.search.space import SearchSpace, load_space, settle

# What both searches have in common, beside the number of trials.
BUDGET = [
    f"search.{name}"
    for name in (
        *("sampler", "startup_trials", "scheduler", "grace", "reduction_factor", "rung_unit"),
        *("audit_trials", "seed", "max_failures"),
    )
]
TIMES = ("search.time_budget_s", "search.budget_s")  # a budget is a limit where nothing is chosen
ALONE: dict[str, object] = {"search.plain_baseline": False}
RESOURCES = [
    one.name.removeprefix("search.") for one in settings_of(StudyConfig) if one.marks.resource
]


def tune_baselines(request: Request, searches: Mapping[str, BaselineSearch]) -> int:
    """Search for each baseline, or go on with it; the exit status of the first that did not end.

    Args:
        searches: by arm; those of one folder are one.
    """
    distinct: dict[str, BaselineSearch] = {}
    for one in searches.values():
        distinct.setdefault(one.folder, one)
    for number, one in enumerate(distinct.values(), start=1):
        storage = request.storage.child(FOLDER).child(one.folder)
        if has_ended(storage):
            continue
        say(
            make_console(),
            f"\nBaseline {number} of {len(distinct)}, {one.arm.name}: a search over "
            f"{', '.join(one.searched)}, as the config had one.\n",
        )
        status = _searched(one, request, storage)
        if status:
            return status
    return 0


def has_ended(storage: Storage) -> bool:
    """Whether all trials of a search have ended, or its time, which other starts used up."""
    if not (storage.exists("study.json") and storage.exists("trials")):
        return False
    settings, rows = read_description(storage)["settings"], read_rows(storage, "trials")
    limit_s = settings.get(TIMES[0])
    ended = num_ended(rows)
    return ended >= int(settings["search.num_samples"]) or (
        limit_s is not None and used_s(storage) >= limit_s
    )


def _searched(one: BaselineSearch, request: Request, storage: Storage) -> int:
    with tempfile.TemporaryDirectory(prefix="ffl_ray-") as folder:
        path = Path(folder) / "baseline.py"
        path.write_text(one.text, encoding="utf-8")
        search = search_of(load_space(str(path)), one, request, storage)
        check_goes_on(storage, "search", search.kept_settings, MAY_CHANGE)
        return run_search(search, request.address, dry_run=False)


def search_of(
    space: SearchSpace, one: BaselineSearch, request: Request, storage: Storage
) -> Search:
    """The search for a baseline: its space, with the budget and the sampler of the config's.

    Raises:
        SettingError: the search's own settings break a rule of today.
        SpaceError: the space can propose what can't be trained.
    """
    found = of_today(request.searched["settings"])
    budget = {name: found[name] for name in BUDGET if name in found}
    times = [found[name] for name in TIMES if found.get(name) is not None]
    # The first one that the search was given; it may have had more, by other starts.
    had_s = used_s(Storage(request.storage.parent))
    budget[TIMES[0]] = max(min(times), had_s) if times else None
    # The place that the study had, unless there is a new one.
    given = {**one.arm.settings, **request.settings}
    places = {name: given[name] for name in MOVES & given.keys()}
    settings = settle(space, budget | places | ALONE | _sampled(one, request.tune_baselines or 1))
    own = {name: getattr(request.search, name) for name in RESOURCES} | {"keep_checkpoints": 0}
    settings = settings.model_copy(update={"search": settings.search.model_copy(update=own)})
    check_space(space, settings.training, (), settings.search, chosen=None)
    started = time.monotonic()
    return Search(one.folder, storage, space, settings, started=started, again="the same command")


def _sampled(one: BaselineSearch, wanted: int) -> dict[str, object]:
    """How many points are tried, and by what; where there are no more than that, each once."""
    points = num_points(one.kinds)
    if points is None or points > wanted:
        return {"search.num_samples": wanted}
    return {"search.num_samples": points, "search.sampler": "grid"}
