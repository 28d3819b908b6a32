"""Data that are opened on a cluster's node: what is said where its memory does not do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import OutOfMemoryError

from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.data.facts import DataFacts
from ffl_ray.errors import PlanError
from ffl_ray.orchestration import budget, remote, start
from ffl_ray.orchestration.search_study import Search
from ffl_ray.planning.layout import Machines, Plan
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.space import load_space, settle

PLAN = Plan(2, 1, 1, 0)


@pytest.fixture(autouse=True)
def full_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ray whose tasks are all ended because their node's memory is full."""

    def get(task: object, timeout: float | None) -> None:
        raise OutOfMemoryError("the node ran low on memory")  # type: ignore[no-untyped-call]

    task = SimpleNamespace(remote=lambda *args: args)
    full = SimpleNamespace(remote=lambda **resources: lambda function: task, get=get)
    monkeypatch.setattr(remote, "ray", full)
    monkeypatch.setattr(start, "_start_ray", lambda *_: PLAN)


def started(place: str) -> None:
    """Join the cluster, and have the data opened there."""
    start.start("there:6379", Config(), SearchConfig(), Storage(place))


def laid_out(place: str) -> None:
    """Open the share of the data there that a budget has chosen."""
    search = folder_search(place)
    budget._laid_out(search, DataFacts(), Machines(2, 0), 0.5, joined=True)


def looked(place: str) -> None:
    """Look there at some images of a folder."""
    budget._looked(folder_search(place), joined=True)


def folder_search(place: str) -> Search:
    given: dict[str, object] = {"data.dir": place, "search.num_samples": 9}
    space = load_space("folder")
    return Search(
        "study", Storage(place), space, settle(space, given), overrides=given, started=0.0
    )


@pytest.mark.parametrize("asks", [started, laid_out, looked])
def test_memory_that_runs_out_where_the_data_are_opened_is_said(
    asks: Callable[[str], Any], tmp_path: Path
) -> None:
    with pytest.raises(PlanError, match="^memory ran out on the node that opened the data: use "):
        asks(str(tmp_path))
