"""A command line read as far as it can be without running it, by what would run it.

Our own commands are read by the very parser, settings and space loader that they use; those of Ray
by Ray's, those of AWS by botocore's models of the services. `NOT_RUN` names every program that
tests of the pages do not run, with the reason; a program that it does not name fails.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest

from ffl_ray.cli import COMMANDS
from ffl_ray.config.flags import flag_values
from ffl_ray.config.methods import resolved
from ffl_ray.config.overrides import parse_assignments, with_overrides
from ffl_ray.config.settings import StudyConfig
from ffl_ray.models.registry import check_model
from ffl_ray.search.points import check_space
from ffl_ray.search.space import load_space, settle
from support.documents import Command
from support.helpers import ROOT

MODULES = {f"ffl_ray.{name}": command.module for name, command in COMMANDS.items()}
NOT_RUN = {
    "python": "it trains, or needs Ray: its options, settings and space are read and checked",
    "ray": "it needs machines: read by Ray's own commands, and so is what it starts there",
    "make": "it installs, or takes minutes: make -n says that it could be made",
    "pip": "it installs: the files that it names are there",
    "uv": "it installs: the files that it names are there",
    "aws": "it needs an account: operation and parameters are held to botocore's models",
    "kubectl": "it needs a cluster: the files that it names are there",
    "helm": "it needs a cluster: the files that it names are there",
    "docker": "it needs a daemon: the files that it names are there",
    "gcloud": "it needs an account",
    "ssh": "it needs another machine",
    "python3": "it makes an environment before anything is installed",
    "$EDITOR": "a person writes",
    "git": "it needs a host",
    "tensorboard": "it serves until it is stopped",
    "mlflow": "it serves until it is stopped",
    **dict.fromkeys(
        ("cd", "chmod", "cp", "echo", "export", "mkdir", "source", "wait"),
        "the shell's own: its syntax is checked",
    ),
}
# What the AWS command line takes beside the parameters of an operation.
AWS_OWN = {"cidr", "output", "port", "profile", "protocol", "query", "region", "source-group"}
Words = tuple[str, ...]
SEARCHES: set[tuple[str, ...]] = set()  # those that were checked already


class Here(NamedTuple):
    """Where a command is given.

    Attributes:
        folder: its current folder.
        spaces: where the search spaces lie that its page shows.
    """

    folder: Path
    spaces: Path

    def file(self, name: str) -> Path:
        """A file as the command names it."""
        return self.folder / name if (self.folder / name).is_file() else self.spaces / name


def is_ours(words: Words) -> bool:
    """Whether it is a command of the package."""
    return words[:2] == ("python", "-m") and words[2].startswith("ffl_ray.")


def check_line(line: str, here: Here) -> None:
    """Check every program's part of a command line."""
    for words in Command("", line).simple:
        check_words(words, here)


def check_words(words: Words, here: Here) -> None:
    """Check one program's command line."""
    if words[:2] == ("bash", "-c"):
        check_line(words[2], here)
        return
    program = words[0].rpartition("/")[2]
    assert program in NOT_RUN, f"NOT_RUN does not say why {program} is not run"
    if is_ours(words):
        _check_ours(words, here)
    elif words[:2] == ("python", "-m"):
        _check_module(words)
    elif words[:2] == ("python", "-c"):
        compile(words[2], "python -c", "exec")
    elif words[0] == "ray":
        _check_ray(words, here)
    elif words[0] == "aws":
        _check_aws(words)
    else:
        _check_files(words)


def _check_ours(words: Words, here: Here) -> None:
    module = importlib.import_module(MODULES.get(words[2], words[2]))
    if not words[3:]:  # a sentence names the command
        assert hasattr(module, "main") or "__main__" in Path(str(module.__file__)).read_text()
        return
    args = _parsed(_parser(module.__name__), words[3:])
    changes = parse_assignments(getattr(args, "set", []))
    if words[2] == "ffl_ray.tune":
        _check_search(args, changes, here)
        return
    study = with_overrides(StudyConfig(), changes)
    if words[2] == "ffl_ray.train":
        check_model(resolved(study.training))


@functools.cache
def _parser(module: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = importlib.import_module(module).parser()
    return parser


def _parsed(parser: argparse.ArgumentParser, words: Words) -> argparse.Namespace:
    """The options as the command's own parser reads them; what it refuses fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "error", lambda message: pytest.fail(f"{words}: {message}"))
        return parser.parse_args(list(words))


def _check_search(args: argparse.Namespace, changes: dict[str, object], here: Here) -> None:
    """Check a search once, on however many pages its command stands."""
    place = str(here.file(args.space)) if args.space.endswith(".py") else args.space
    given = changes | flag_values(args)
    asked = (str(here.folder), place, repr(sorted(given.items())), repr(list(changes)))
    if asked in SEARCHES:
        return
    space = load_space(place)
    study = settle(space, given)
    check_space(space, study.training, list(changes), study.search, list(changes))
    SEARCHES.add(asked)


def _check_module(words: Words) -> None:
    """A module that is there; a benchmark makes its parser in main: its file has its options."""
    found = importlib.util.find_spec(words[2])
    assert found is not None, f"there is no {words[2]}"
    if found.submodule_search_locations:
        found = importlib.util.find_spec(f"{words[2]}.__main__")
        assert found is not None, f"{words[2]} is no command"
    if words[2] in ("benchmarks.compare", "benchmarks.freeze_thaw") and words[3:]:
        _parsed(importlib.import_module(f"{words[2]}.__main__").parser(), words[3:])
    elif words[2].startswith("benchmarks."):
        text = Path(str(found.origin)).read_text(encoding="utf-8")
        for option in (word for word in words[3:] if word.startswith("--")):
            assert f'"{option}"' in text, f"{words[2]} has no {option}"


def _check_ray(words: Words, here: Here) -> None:
    import click

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.scripts.scripts import cli

    command: click.Command = cli
    rest, names = list(words[1:]), []
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
        check_line(params["cmd"], here)
    elif names == ["submit"]:
        module = params["script"].removesuffix(".py").replace("/", ".")
        check_words(("python", "-m", module, *params["script_args"]), here)
    elif names == ["job", "submit"]:
        check_words(tuple(params["entrypoint"]), here)


def _check_aws(words: Words) -> None:
    """Held to the models that boto3 has of AWS; `aws s3` alone is the command line's own."""
    xform_name = importlib.import_module("botocore").xform_name
    service, operation = words[1:3]
    if service == "s3":
        return
    session = importlib.import_module("botocore.session").get_session()
    model = session.get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in names, f"aws {service} has no {operation}"
    taken = model.operation_model(names[operation]).input_shape.members
    options = {word.removeprefix("--") for word in words if word.startswith("--")}
    unknown = options - {xform_name(name, "-") for name in taken} - AWS_OWN
    assert not unknown, f"aws {service} {operation} has no --{', --'.join(unknown)}"


def _check_files(words: Words) -> None:
    """The files of the repository that a command names."""
    for word in words:
        if word.endswith((".txt", ".yaml")) and "://" not in word:
            assert (ROOT / word).is_file(), f"{word} is not in the repository"
