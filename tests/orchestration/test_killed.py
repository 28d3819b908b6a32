"""Processes and nodes killed under a real search: nothing that was finished is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.stress.faults import ENDING, FAULTS, Scene, ended_by, scene, survived

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        "FFL_RAY_TEST_SLOW" not in os.environ, reason="ten minutes: FFL_RAY_TEST_SLOW=1 runs them"
    ),
]


@pytest.fixture(scope="module", params=sorted({fault.scene for fault in FAULTS.values()}))
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("killed"), request.param) as made:
        yield made


def test_a_search_lives_through_every_fault_of_its_parts(
    place: Scene, request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.params["place"]

    made = [survived(place, name, 0) for name in FAULTS if FAULTS[name].scene == kind]

    assert all(one.recover_s is not None for one in made), place.search.console()
    assert [(one.epochs_lost, one.epochs_again, one.trials_lost) for one in made] == [
        (0, 0, 0) for _ in made
    ]
    assert place.search.trials()["attempt"].max() >= 2


@pytest.mark.parametrize("name", ENDING)
def test_what_ends_the_command_is_said_and_the_same_command_goes_on(
    name: str, tmp_path: Path
) -> None:
    made = ended_by(tmp_path, name, 0)

    assert made.ended_s is not None
    assert made.ended_s < 90
    assert made.recover_s is not None
    assert (made.epochs_lost, made.epochs_again, made.trials_lost) == (0, 0, 0)
    assert (
        f"the same command with --name {name}-0 goes on" in (tmp_path / f"{name}-0.txt").read_text()
    )
