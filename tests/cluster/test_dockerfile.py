"""The image is Ray's pinned one with the locked versions and the package, and runs as no root.

Docker is not needed: the file is read as Docker reads it, instruction by instruction.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import ray

ROOT = Path(__file__).parents[2]
KNOWN = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "USER"}


def instructions() -> list[tuple[str, list[str]]]:
    """Name and words of each instruction; comments and joined lines are as Docker takes them."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    words = [shlex.split(line) for line in joined.splitlines() if line.strip()]
    return [(first, rest) for first, *rest in words]


def those(name: str) -> list[list[str]]:
    return [words for found, words in instructions() if found == name]


def copied() -> list[str]:
    sources = []
    for words in those("COPY"):
        *found, _ = [word for word in words if not word.startswith("--")]
        sources += found
    return sources


def test_every_instruction_is_one_of_dockers_and_the_base_is_named_first() -> None:
    names = [name for name, _ in instructions()]

    assert set(names) == KNOWN
    assert names[:2] == ["ARG", "FROM"]


def test_it_is_made_from_the_image_of_the_installed_ray_unless_told_otherwise() -> None:
    assert those("ARG") == [[f"RAY_IMAGE=rayproject/ray:{ray.__version__}-py312-gpu"]]
    assert those("FROM") == [["${RAY_IMAGE}"]]


def test_it_installs_the_locked_versions_by_their_hashes_and_then_the_package_alone() -> None:
    locked, package = those("RUN")

    assert {"--require-hashes", "requirements.txt"} <= set(locked)
    assert {"--no-deps", "--no-build-isolation", "."} <= set(package)


def test_it_runs_as_no_root_in_a_way_that_kubernetes_can_tell() -> None:
    (user,) = those("USER")

    assert instructions()[-1][0] == "USER"
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user[0])


def test_the_package_can_be_built_from_what_is_copied_alone(tmp_path: Path) -> None:
    for name in copied():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)

    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").iterdir()
    with zipfile.ZipFile(wheel) as opened:
        held = opened.namelist()
    assert {"ffl_ray/tune.py", "ffl_ray/spot.py", "ffl_ray/search_spaces/digits.py"} <= set(held)


@pytest.mark.parametrize("name", [".git", ".venv", "data", "results", "secret.pem", ".aws"])
def test_the_build_takes_nothing_else_along(name: str) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]

    assert rules[0] == "*"
    kept = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert sorted(kept) == sorted(copied())
    assert not any(fnmatch.fnmatch(name, rule) for rule in kept)
