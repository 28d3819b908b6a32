"""Every command that README.md and docs/ show is run where that is cheap, and read elsewhere."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.documents import PAGES, Command, commands_of, inline_commands
from support.helpers import ROOT
from support.reading_commands import Here, check_line, is_ours

from ffl_ray.cli import COMMANDS

CHEAP = {"--help", "--settings", "--version", "--list"}
PLACEHOLDERS = {"STUDY": "tutorial"}
IN_BLOCKS = [command for page in PAGES for command in commands_of(page)]
SHOWN = IN_BLOCKS + [command for page in PAGES for command in inline_commands(page)]


def refuses(command: Command) -> bool:
    """Whether the page shows that it is refused."""
    return bool(command.output) and command.output[0].startswith("error: ")


def is_run(command: Command) -> bool:
    """Whether it ends at once: it explains, it refuses, or it prints a study's tables."""
    return any(
        is_ours(words)
        and (
            bool(CHEAP & set(words))
            or (words[2] == "ffl_ray.report" and "md" in words)
            or refuses(command)
        )
        for words in command.simple
    )


def unique(found: list[Command]) -> list[Any]:
    """A test for each command line of a page, however often it is shown there."""
    tests: dict[str, Any] = {}
    for command in found:
        line = " ".join(command.line.partition(" #")[0].split())
        name = f"{command.place.partition(':')[0]} {line}"
        if name not in tests or command.output:
            tests[name] = pytest.param(command, id=name[:100])
    return list(tests.values())


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize("command", unique([c for c in SHOWN if not is_run(c)]))
def test_a_command_that_is_not_run_is_read_by_what_would_run_it(
    command: Command, spaces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(ROOT / command.folder, spaces / command.place.partition(":")[0])
    monkeypatch.chdir(here.folder)

    check_line(command.line, here)


@pytest.mark.parametrize("command", unique([c for c in SHOWN if is_run(c)]))
def test_a_cheap_command_says_what_the_page_shows(
    command: Command, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = next(words for words in command.simple if is_ours(words))
    main = importlib.import_module(COMMANDS[words[2].removeprefix("ffl_ray.")].module).main

    try:
        status = main([PLACEHOLDERS.get(word, word) for word in words[3:]])
    except SystemExit as ended:
        status = ended.code

    captured = capsys.readouterr()
    said = (captured.out + captured.err).replace(str(prepared), "/home/you")
    assert status == (2 if refuses(command) else 0), said
    lines = [" ".join(line.split()) for line in said.splitlines()]
    for shown in command.output:
        pattern = ".*".join(map(re.escape, " ".join(shown.split()).split("...")))
        assert any(re.fullmatch(pattern, line) for line in lines), f"{shown!r} is not in\n{said}"


def test_every_command_is_one_that_bash_takes(tmp_path: Path) -> None:
    script = tmp_path / "commands"
    script.write_text("".join(f"{command.line}\n" for command in IN_BLOCKS))

    read = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)

    assert read.stderr == ""
    assert len(IN_BLOCKS) > 40


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_could_make_every_target_that_is_named() -> None:
    words = [words for command in SHOWN for words in command.simple if words[0] == "make"]
    targets = sorted({word for one in words for word in one[1:] if "=" not in word})

    tried = subprocess.run(
        ["make", "-n", *targets], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert tried.returncode == 0, tried.stderr
    assert {"tune", "test"} <= set(targets)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("python -m ffl_ray.tune --no-such-option", "unrecognized arguments: --no-such-option"),
        ("python -m ffl_ray.tune --set optim.epoch=3", "unknown setting 'optim.epoch'"),
        ("python -m ffl_ray.tune no_such_space.py", "a search space is a Python file"),
        ("python -m ffl_ray.train --set model.mix=2*resnet21", "depth is 6n"),
        ("python -m benchmarks.stress.kills --no-such-option", "has no --no-such-option"),
        ("ray up cluster.yaml --no-such-option", "--no-such-option"),
        ("ray exec cluster.yaml 'python -m ffl_ray.tune --sed 1'", "unrecognized arguments: --sed"),
        ("ray up no_such_cluster.yaml", "no_such_cluster.yaml is not in the repository"),
        ("aws ec2 create-security-groups", "has no create-security-groups"),
        ("aws ec2 create-security-group --vpc-ids x", "has no --vpc-ids"),
        ("pip install -r no_such_file.txt", "no_such_file.txt is not in the repository"),
        ("rm -rf studies", "does not say why rm is not run"),
    ],
)
def test_a_wrong_command_would_be_found(line: str, rule: str, tmp_path: Path) -> None:
    with pytest.raises((Exception, pytest.fail.Exception), match=re.escape(rule)):
        check_line(line, Here(ROOT, tmp_path))
