"""Style, types and the walls of the rooms: the same as `make lint`, beside the other tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.helpers import ROOT

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
)


@pytest.mark.parametrize("check", CHECKS, ids=" ".join)
def test_a_check_finds_nothing(check: tuple[str, ...]) -> None:
    program = Path(sys.executable).with_name(check[0])

    done = subprocess.run(
        [program, *check[1:]], check=False, cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_these_are_the_checks_of_make_lint() -> None:
    rule = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlint: ")[2]
    lines = rule.partition("\n\n")[0].splitlines()[1:]

    assert [line.strip().removeprefix("$(BIN)/") for line in lines] == [*map(" ".join, CHECKS)]
