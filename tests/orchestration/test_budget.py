"""A budget measures this machine, chooses, and the study goes on with what it chose."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from PIL import Image

from ffl_ray.errors import PlanError
from ffl_ray.orchestration import budget
from ffl_ray.orchestration.budget import fitted
from ffl_ray.orchestration.search_study import Search
from ffl_ray.planning.budget import Fit, chosen_before, provisional
from ffl_ray.planning.budget_time import SearchTime
from ffl_ray.planning.data_check import data_facts
from ffl_ray.planning.layout import Machines, Plan
from ffl_ray.planning.nodes import ThisMachine
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.space import load_space, settle

HERE = ThisMachine(2), Machines(2, 0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, generator = tmp_path_factory.mktemp("photos"), random.Random(0)
    for name in ("ant", "bee"):
        (root / name).mkdir()
        for index in range(60):
            pixels = generator.randbytes(24 * 20 * 3)
            Image.frombytes("RGB", (24, 20), pixels).save(root / name / f"{index}.png")
    return root


def opened(photos: Path, budget_s: float, place: Path) -> Search:
    """A search of one backbone, as it is before its budget has chosen anything."""
    space = load_space("folder")
    given: dict[str, object] = {
        "data.dir": str(photos),
        "search.budget_s": budget_s,
        "search.backbones": "resnet8",
        "search.num_samples": 9,
    }
    search = Search(
        "study",
        Storage(str(place)),
        space,
        settle(space, given),
        overrides=given,
        started=time.monotonic(),
    )
    return search.settled(provisional(space, given))._replace(is_open=True)


def test_what_is_measured_and_chosen_is_kept_by_the_study(photos: Path, tmp_path: Path) -> None:
    search = opened(photos, 100_000.0, tmp_path)
    facts = data_facts(search.settings.training)

    found, plan, same = fitted(search, Plan(2, 1, 1, 0), facts, *HERE, joined=False)

    assert found.fit is not None
    assert found.fit.expected_s < 100_000.0
    assert found.fit.values == {  # images have 20 pixels, and 77 need many epochs
        "data.fraction": 1.0,
        "optim.epochs": 60,
        "data.image_size": 16,
        "optim.batch_size": 32,
    }
    assert (found.settings.optim.epochs, found.settings.search.num_samples) == (60, 9)
    assert found.settings.search.grace == 0.5
    assert (plan.max_concurrent_trials, same, found.is_open) == (2, facts, False)
    kept = json.loads(
        json.dumps({"settings": found.kept_settings, "budget": found.fit._asdict()}, default=str)
    )
    later = search.settled(chosen_before(kept, 100_000.0))
    assert later.kept_settings == found.kept_settings


def test_a_budget_that_is_shorter_than_its_start_is_refused(photos: Path, tmp_path: Path) -> None:
    search = opened(photos, 1.0, tmp_path)
    facts = data_facts(search.settings.training)

    with pytest.raises(PlanError, match=r"at least \S+ here with search.num_samples=9, .*not 1s"):
        fitted(search, Plan(2, 1, 1, 0), facts, *HERE, joined=False)


def test_the_facts_are_those_of_the_share_that_is_chosen_where_it_is_all(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = opened(photos, 100_000.0, tmp_path)
    space = search.space._replace(base={**search.space.base, "data.fraction": 0.5})
    half = search._replace(space=space).settled({})
    monkeypatch.setattr(SearchTime, "measure", lambda *_: True)
    monkeypatch.setattr(budget, "fit_budget", lambda *_: Fit({"data.fraction": 1.0}, 1.0, ()))

    before = data_facts(half.settings.training)
    found, _, facts = fitted(half, Plan(2, 1, 1, 0), before, *HERE, joined=False)

    assert facts == data_facts(found.settings.training)
    assert facts.num_train > before.num_train
