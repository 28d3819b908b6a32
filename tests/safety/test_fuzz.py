"""A part of `python -m benchmarks.stress.fuzz`, and that it finds what there is to find."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from benchmarks.stress.fuzz import children, outcomes
from benchmarks.stress.fuzzing.outcome import LIMIT_S, WrongError, run_case
from ffl_ray.errors import StudyError

CASES = {"settings": 120, "spaces": 30, "studies": 6, "checkpoints": 20}
SEED = 1


@pytest.mark.parametrize("kind", CASES)
def test_every_case_is_refused_in_words_or_right(kind: str) -> None:
    run = children if kind == "settings" else outcomes  # a process of its own costs 3 s of CPU
    found = list(run(kind, SEED, 0, CASES[kind]))

    assert [outcome for outcome in found if outcome.is_finding] == []
    assert len(found) == CASES[kind]
    assert {outcome.what for outcome in found} == {"right", "refused"}


def wrong(rng: random.Random, folder: Path) -> None:
    raise WrongError("rows are lost")


def broken(rng: random.Random, folder: Path) -> None:
    raise KeyError("a traceback")


def silent(rng: random.Random, folder: Path) -> None:
    raise StudyError("no")


def endless(rng: random.Random, folder: Path) -> None:
    while True:
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("case", "what"),
    [(wrong, "WrongError"), (broken, "KeyError"), (silent, "says nothing"), (endless, "hang")],
)
def test_what_is_neither_is_a_finding(
    case: object, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case is endless:
        monkeypatch.setattr("benchmarks.stress.fuzzing.outcome.LIMIT_S", LIMIT_S / 50)
        monkeypatch.setattr("benchmarks.stress.fuzzing.outcome.WAITING", 1)

    outcome = run_case("made", case, SEED, 0, tmp_path)  # type: ignore[arg-type]

    assert outcome.what == what
    assert outcome.is_finding
