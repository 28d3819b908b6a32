"""Plans that are registered before the test split opens, and stay what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.confirmations import make_confirmation, planned

from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.look import look_words, record_look
from ffl_ray.confirm.pairs import Tuning
from ffl_ray.confirm.registered import check_unchanged
from ffl_ray.errors import StudyError


def described(confirmation: Confirmation) -> dict[str, Any]:
    """What study.json says of it."""
    stored = {"kind": "confirm", "settings": confirmation.settings, **confirmation.dump()}
    plain: dict[str, Any] = json.loads(json.dumps(stored))
    return plain


def test_a_registered_plan_comes_back_with_its_hash() -> None:
    plan = planned().as_registered()
    assert plan.registered is not None

    loaded = Confirmation.load(described(plan), "here")

    assert loaded.registered == plan.registered
    assert loaded.primary == plan.primary
    assert plan.registered.plan["primary"]["member"] == "branches"
    assert planned(seeds=(1000,)).as_registered().registered.hash != plan.registered.hash  # type: ignore[union-attr]


def test_data_that_moved_change_no_plan() -> None:
    plan = planned()
    moved = plan._replace(
        arms=[arm._replace(settings={**arm.settings, "data.dir": "/there"}) for arm in plan.arms]
    )

    hashes = {one.as_registered().registered.hash for one in (plan, moved)}  # type: ignore[union-attr]

    assert len(hashes) == 1


@pytest.mark.parametrize(
    "name", ["seeds", "chosen", "pairs", "arms", "arm", "tuned", "looks", "settings", "registered"]
)
def test_a_plan_that_was_changed_by_hand_is_refused(name: str) -> None:
    stored = described(planned().as_registered())
    if name == "looks":
        stored[name] = 5
    elif name == "arm":
        stored["arms"][-1]["settings"]["optim.lr"] = 0.7
    elif name == "tuned":
        tuning = Tuning("tuned/x", "00000", 20, 1.0, ("optim.lr",))
        stored["arms"][-1]["tuned"] = tuning._asdict()
    elif name == "settings":
        stored[name]["margin"] = 3.0
    elif name == "registered":
        stored[name]["plan"]["settings"]["margin"] = 3.0
    else:
        stored[name] = stored[name][:1]

    with pytest.raises(StudyError, match="the plan is not the one that was registered"):
        Confirmation.load(stored, "here")


def test_other_options_after_the_test_split_was_opened_are_refused() -> None:
    check_unchanged("there", {"--seeds": 5}, {"--seeds": 5}, "ab")

    with pytest.raises(
        StudyError, match="the plan ab, registered before .* --seeds was 5 and is 7"
    ):
        check_unchanged("there", {"--seeds": 5}, {"--seeds": 7}, "ab")


def test_a_confirmation_says_which_look_it_is(tmp_path: Path) -> None:
    words = []
    for name in ("first", "second"):
        plan = planned().as_registered()
        tables = make_confirmation(tmp_path / name, plan)
        record_look(plan, tables.storage)
        words.append(look_words(plan, tables.storage))
        old = planned()

    assert words[0].endswith(f"The 1st look at this test split from {tmp_path}.")
    assert words[1].endswith(f"The 2nd look at this test split from {tmp_path}.")
    assert "before the test split was opened" in words[0]
    assert look_words(old, tables.storage) == "Planned by a version that registered nothing."
