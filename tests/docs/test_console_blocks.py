"""Every command that README.md and docs/ show: run where cheap, else read as far as it can be.

Our own commands are read by the very parser, settings and space loader that they use; those of Ray
by Ray's, those of AWS by its models of the services; `make` says what it would do. `NOT_RUN` names
every program whose commands are not run, with the reason: another one fails a test.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
from documents import PAGES, Block, Command, blocks, commands, inline_commands
from helpers import ROOT

from ffl_ray.config import Config, SearchConfig
from ffl_ray.overrides import parse_assignments, with_overrides

NOT_RUN = {
    "python": "it trains, or needs Ray: its options, settings and space are read and checked",
    "ray": "it needs machines: read by Ray's own commands, and so is what it starts there",
    "make": "it installs, or takes minutes: make -n says that it could be made",
    "pip": "it installs: the files that it names are there",
    "uv": "it installs: the files that it names are there",
    "aws": "it needs an account: operation and parameters are held to botocore's models",
    "kubectl": "it needs a cluster: the files that it names are there",
    "helm": "it needs a cluster",
    "docker": "it needs a daemon: the files that it names are there",
    "gcloud": "it needs an account",
    "ssh": "it needs another machine",
    "git": "it needs a host",
    "tensorboard": "it serves until it is stopped",
    "mlflow": "it serves until it is stopped",
    **dict.fromkeys(
        ("cd", "chmod", "cp", "echo", "export", "mkdir", "source"),
        "the shell's own: its syntax is checked",
    ),
}
CHEAP = {"--help", "--settings", "--version", "--list"}
PLACEHOLDERS = {"STUDY": "tutorial"}
# What the AWS command line takes beside the parameters of an operation.
AWS_OWN = {"cidr", "output", "port", "profile", "protocol", "query", "region", "source-group"}


def console_blocks() -> list[Block]:
    return [b for page in PAGES for b in blocks(page) if b.language == "console"]


def shown_commands() -> list[Command]:
    """Those of blocks, and those that sentences and tables name."""
    in_blocks = [command for block in console_blocks() for command in commands(block)]
    return in_blocks + [command for page in PAGES for command in inline_commands(page)]


def is_ours(words: tuple[str, ...]) -> bool:
    return words[:2] == ("python", "-m") and words[2].startswith("ffl_ray.")


def is_run(command: Command) -> bool:
    """Whether it ends at once: it explains, it refuses, or it reads a study."""
    return any(
        is_ours(words)
        and (
            bool(CHEAP & set(words))
            or (words[2] == "ffl_ray.report" and "md" in words)
            or (bool(command.output) and command.output[0].startswith("error: "))
        )
        for words in command.simple
    )


def unique(found: list[Command]) -> list[Any]:
    """A test for each command line of a page, however often it is shown there."""
    tests: dict[str, Any] = {}
    for command in found:
        line = " ".join(command.line.partition(" #")[0].split())
        page = command.place.partition(":")[0]
        name = f"{page} {line}" if command.output else f"{page} {line} "
        tests.setdefault(name, pytest.param(command, id=name.rstrip()[:100]))
    return list(tests.values())


def refused(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> argparse.Namespace:
    """The options as the command's own parser reads them; what it refuses fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "error", lambda message: pytest.fail(f"{words}: {message}"))
        return parser.parse_args(list(words))


def check_ours(words: tuple[str, ...], folder: Path) -> None:
    module = importlib.import_module(words[2])
    if not words[3:]:  # a sentence names the command
        assert hasattr(module, "main") or "__main__" in Path(str(module.__file__)).read_text()
        return
    args = refused(module.parser(), words[3:])
    changes = parse_assignments(getattr(args, "set", []))
    if words[2] == "ffl_ray.tune":
        check_search(args, changes, folder)
        return
    searched = {n.removeprefix("search."): v for n, v in changes.items() if n.startswith("search.")}
    with_overrides(SearchConfig(), searched)
    config = with_overrides(Config(), {n: v for n, v in changes.items() if n not in searched})
    if words[2] == "ffl_ray.train":
        from ffl_ray.methods import resolved
        from ffl_ray.models.table import check_model

        check_model(resolved(config))


def check_search(args: argparse.Namespace, changes: dict[str, object], folder: Path) -> None:
    from ffl_ray.search.space import check_space, load_space, settle
    from ffl_ray.tune import FLAGS

    name = str(folder / args.space) if args.space.endswith(".py") else args.space
    space = load_space(name)
    settled = settle(space, changes, {flag: getattr(args, flag) for flag in FLAGS})
    check_space(space, settled.config, list(changes), settled.search)


def check_benchmark(words: tuple[str, ...]) -> None:
    """A benchmark's parser is made in its main: its options stand in its file."""
    found = importlib.util.find_spec(words[2])
    assert found is not None, f"there is no {words[2]}"
    assert found.origin is not None
    text = Path(found.origin).read_text(encoding="utf-8")
    for option in (word for word in words[3:] if word.startswith("--")):
        assert f'"{option}"' in text, f"{words[2]} has no {option}"


def check_ray(words: tuple[str, ...], folder: Path) -> None:
    import click

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.scripts.scripts import cli

    command, rest, names = cli, list(words[1:]), []
    while isinstance(command, click.Group):
        context = command.make_context(command.name, rest)
        name, found, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert found is not None, f"ray has no {name}"
        names.append(name)
        command = found
    params = command.make_context(command.name, rest).params
    for file in (word for word in words if word.endswith((".yaml", ".py"))):
        assert (ROOT / file).is_file(), f"{file} is not in the repository"
    if names == ["exec"]:
        check(params["cmd"], folder)
    elif names == ["submit"]:
        module = params["script"].removesuffix(".py").replace("/", ".")
        check_words(("python", "-m", module, *params["script_args"]), folder)
    elif names == ["job", "submit"]:
        check_words(tuple(params["entrypoint"]), folder)


def check_aws(words: tuple[str, ...]) -> None:
    """Held to the models that boto3 has of AWS; `aws s3` alone is the command line's own."""
    import botocore.session
    from botocore import xform_name

    service, operation = words[1:3]
    if service == "s3":
        return
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in names, f"aws {service} has no {operation}"
    taken = {
        xform_name(name, "-")
        for name in model.operation_model(names[operation]).input_shape.members
    }
    for option in (word.removeprefix("--") for word in words if word.startswith("--")):
        assert option in taken | AWS_OWN, f"aws {service} {operation} has no --{option}"


def check_files(words: tuple[str, ...]) -> None:
    """The files of the repository that a command names."""
    for word in words:
        if word.endswith((".txt", ".yaml")) and "://" not in word:
            assert (ROOT / word).is_file(), f"{word} is not in the repository"


def check_words(words: tuple[str, ...], folder: Path) -> None:
    """One program's command line, as far as it can be read without running it."""
    if words[:2] == ("bash", "-c"):
        check(words[2], folder)
        return
    assert words[0] in NOT_RUN, f"NOT_RUN does not say why {words[0]} is not run"
    if is_ours(words):
        check_ours(words, folder)
    elif words[:2] == ("python", "-m") and words[2].startswith("benchmarks."):
        check_benchmark(words)
    elif words[:2] == ("python", "-m"):
        assert importlib.util.find_spec(words[2]) is not None, f"there is no {words[2]}"
    elif words[0] == "ray":
        check_ray(words, folder)
    elif words[0] == "aws":
        check_aws(words)
    else:
        check_files(words)


def check(line: str, folder: Path) -> None:
    for words in Command("", line).simple:
        check_words(words, folder)


@pytest.mark.parametrize("command", unique([c for c in shown_commands() if not is_run(c)]))
def test_a_command_that_is_not_run_is_read_by_what_would_run_it(
    command: Command, spaces: Path
) -> None:
    check(command.line, spaces / command.place.partition(":")[0])


@pytest.mark.parametrize("command", unique([c for c in shown_commands() if is_run(c)]))
def test_a_cheap_command_says_what_the_page_shows(
    command: Command, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = next(words for words in command.simple if is_ours(words))
    main = importlib.import_module(words[2]).main

    try:
        status = main([PLACEHOLDERS.get(word, word) for word in words[3:]])
    except SystemExit as ended:
        status = ended.code

    captured = capsys.readouterr()
    said = (captured.out + captured.err).replace(str(prepared), "/home/you")
    refuses = bool(command.output) and command.output[0].startswith("error: ")
    assert status == (2 if refuses else 0), said
    lines = [" ".join(line.split()) for line in said.splitlines()]
    for shown in command.output:
        pattern = ".*".join(map(re.escape, " ".join(shown.split()).split("...")))
        assert any(re.fullmatch(pattern, line) for line in lines), f"{shown!r} is not in\n{said}"


def test_every_command_is_one_that_bash_takes(tmp_path: Path) -> None:
    script = tmp_path / "commands"
    found = [command for block in console_blocks() for command in commands(block)]
    script.write_text("".join(f"{command.line}\n" for command in found))

    read = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)

    assert read.stderr == ""
    assert len(found) > 40


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_could_make_every_target_that_is_named() -> None:
    words = [w for c in shown_commands() for w in c.simple if w[0] == "make"]
    targets = sorted({word for one in words for word in one[1:] if "=" not in word})

    tried = subprocess.run(
        ["make", "-n", *targets], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert tried.returncode == 0, tried.stderr
    assert {"tune", "test"} <= set(targets)
