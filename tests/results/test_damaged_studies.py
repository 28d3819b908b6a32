"""Every command that opens a study: one that can't be read gives one line, and exit status 2."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.studies import make_study

from ffl_ray import cli
from ffl_ray.results.schema import SCHEMA_VERSION
from ffl_ray.results.storage.storage import COPIES


def newer(folder: Path) -> None:
    file = folder / "study.json"
    described = json.loads(file.read_text()) | {"schema_version": SCHEMA_VERSION + 1}
    file.write_text(json.dumps(described))


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "no study here"),
    "empty": (empty, "no study here"),
    "half-written": (lambda f: cut(f / "study.json"), "study.json is damaged"),
    "a part cut off": (lambda f: cut(next((f / "trials").iterdir())), "part-00000.parquet"),
    "newer": (newer, "upgrade ffl_ray"),
}
COMMANDS: dict[str, list[str]] = {
    "report": ["STUDY"],
    "report --format md": ["STUDY", "--format", "md"],
    "confirm": ["STUDY"],
    "replay": ["STUDY"],
    "export": ["STUDY"],
    "tune --warm-start": ["digits", "--warm-start", "STUDY", "--storage-path", "HERE"],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_study_that_can_not_be_read_is_one_line(
    command: str, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    make_study(folder)
    break_it, message = DAMAGE[damage]
    break_it(folder)
    words = {"STUDY": str(folder), "HERE": str(tmp_path / "new")}
    name = command.partition(" ")[0]
    main = importlib.import_module(cli.COMMANDS[name].module).main

    status = main([words.get(word, word) for word in COMMANDS[command]])

    lines = capsys.readouterr().err.splitlines()
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert str(folder) in lines[0]


@pytest.mark.parametrize("damage", ["half-written", "newer"])
def test_a_search_that_should_go_on_and_can_not_be_read_is_one_line(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ffl_ray.tune import main

    make_study(tmp_path / "study")
    shutil.rmtree(tmp_path / "study" / COPIES)  # else it is mended, and goes on
    break_it, message = DAMAGE[damage]
    break_it(tmp_path / "study")

    status = main(["digits", "--name", "study", "--storage-path", str(tmp_path)])

    lines = capsys.readouterr().err.splitlines()
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith("error: ")
    assert message in lines[0]
