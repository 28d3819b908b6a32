"""The tutorial from top to bottom, its trainings shortened: every command and Python block."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import blocks, commands
from support.helpers import ROOT

SHORT = ("--set", "optim.epochs=2", "--set", "data.fraction=0.2")
SHORTER = {
    "ffl_ray.train": SHORT,
    "ffl_ray.tune": (*SHORT, "--num-samples", "3"),
}


def run_in(folder: Path, words: list[str]) -> str:
    """What a command prints that must succeed, in a home of its own."""
    environment = os.environ | {"HOME": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.ray
@pytest.mark.skipif(
    "FFL_RAY_TEST_SLOW" not in os.environ, reason="two minutes: FFL_RAY_TEST_SLOW=1 runs it"
)
def test_the_tutorial_runs_from_top_to_bottom(tmp_path: Path) -> None:
    said, python = {}, ""
    for block in blocks("docs/tutorial.md"):
        if block.language == "python":
            python += f"{block.text}\n"
            run_in(tmp_path, [sys.executable, "-c", python])
        elif block.language == "console":
            for command in commands(block):
                (words,) = command.simple
                options = SHORTER.get(words[2], ())
                said[words[2]] = run_in(tmp_path, [sys.executable, *words[1:], *options])

    assert "members, validation" in said["ffl_ray.train"]
    assert "best trials, validation" in said["ffl_ray.tune"]
    assert "the 1st look at this test split" in said["ffl_ray.confirm"].lower()
    assert len(said["ffl_ray.predict"].splitlines()) == 5
