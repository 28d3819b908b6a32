"""`ffl-ray`, and what the commands share: their table, options, one-line errors."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import select
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

import shtab

import ffl_ray
from ffl_ray.config.flags import Options, add_flags, flag_values
from ffl_ray.config.overrides import nearest, parse_assignments, settings, with_overrides
from ffl_ray.config.settings import SearchConfig, StudyConfig
from ffl_ray.config.settings_file import read_settings
from ffl_ray.console.json_object import json_object, tell
from ffl_ray.console.plain_text import printable_line
from ffl_ray.console.stopping import stoppable
from ffl_ray.console.terminal import for_errors
from ffl_ray.errors import FAILED, INTERRUPTED, UNREAD, WRONG, FFLRayError
from ffl_ray.planning.layout import wait_passively

STDOUT = 1
SHELLS = ("bash", "zsh")
DOTTED = re.compile(r"--([a-z_]+(?:\.\w+)+)(?:=(.*))?", re.DOTALL)
UNKNOWN = "unrecognized arguments: "


class Command(NamedTuple):
    """A command: the module that holds its `parser` and `main`, and what it does."""

    module: str
    does: str


COMMANDS = {
    "tune": Command("ffl_ray.tune", "search: many configs, the weak ones stopped early"),
    "train": Command("ffl_ray.train", "train one config"),
    "show": Command("ffl_ray.show.__main__", "watch a study from anywhere, and steer it"),
    "report": Command("ffl_ray.report.__main__", "a study on one page, or as tables"),
    "confirm": Command("ffl_ray.confirm.__main__", "new seeds, the test split, verdicts"),
    "export": Command("ffl_ray.export.__main__", "one classifier alone, with a model card"),
    "predict": Command("ffl_ray.predict", "classify files with an exported classifier"),
    "reproduce": Command("ffl_ray.reproduce.__main__", "published tables against ours"),
    "replay": Command("ffl_ray.replay.__main__", "samplers and schedulers judged on a full grid"),
    "bench": Command("ffl_ray.bench.__main__", "what this machine does a second"),
    "spot": Command("ffl_ray.spot", "on a spot machine: hear its warning, tell the trainings"),
}


def main(arguments: list[str] | None = None) -> int:
    """The exit status of `ffl-ray COMMAND ...`: what `python -m ffl_ray.COMMAND ...` gives."""
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in COMMANDS:
        return int(importlib.import_module(COMMANDS[words[0]].module).main(words[1:]))
    parser = _table_of_commands()
    shell = parser.parse_args(words).shell
    if shell is None:
        parser.print_help()
        return 0
    sys.stdout.write(completion(shell))
    return 0


def completion(shell: str) -> str:
    """The script that completes `ffl-ray` in a shell, made from the commands' own parsers.

    Args:
        shell: `bash` or `zsh`.
    """
    options = {
        name: importlib.import_module(command.module).parser() for name, command in COMMANDS.items()
    }
    return shtab.complete(_table_of_commands(options), shell=shell)


def _table_of_commands(
    options: Mapping[str, argparse.ArgumentParser] = MappingProxyType({}),
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ffl-ray",
        description="Feature Fusion Learning, searched and trained on Ray; each command has --help",
    )
    parser.add_argument("--version", action="version", version=ffl_ray.__version__)
    parser.set_defaults(shell=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for name, command in COMMANDS.items():
        parents = [options[name]] if name in options else []
        commands.add_parser(name, parents=parents, add_help=not parents, help=command.does)
    tab = commands.add_parser(
        "completion", help='a script for TAB: eval "$(ffl-ray completion bash)"'
    )
    tab.add_argument("shell", choices=SHELLS)
    return parser


class Parser(argparse.ArgumentParser):
    """A parser that takes `--optim.epochs 30` for `--set optim.epochs=30`, where it takes that.

    Its errors name the nearest option, and repeat no credentials and no control characters.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        if self.get_default("set") is not None:
            words = list(self._with_set(iter(words)))
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        if message.startswith(UNKNOWN):
            unknown = message.removeprefix(UNKNOWN).split()[0].partition("=")[0]
            message += nearest(unknown, list(self._option_string_actions))
        self.print_usage(sys.stderr)
        self.exit(WRONG, for_errors(f"{self.prog}: error: {printable_line(message)}") + "\n")

    def _with_set(self, words: Iterator[str]) -> Iterator[str]:
        for word in words:
            dotted = DOTTED.fullmatch(word)
            if dotted is None:
                yield word
                continue
            name, value = dotted.groups()
            value = next(words, None) if value is None else value
            if value is None:
                self.error(f"argument --{name}: expected one argument")
            yield f"--set={name}={value}"


def new_parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser named as the command is called."""
    by_script = Path(sys.argv[0]).name == "ffl-ray"
    made = Parser(
        prog=f"ffl-ray {command}" if by_script else f"python -m ffl_ray.{command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=ffl_ray.__version__)
    made.set_defaults(command=command)
    return made


def add_common_options(
    parser: argparse.ArgumentParser, *, trials: bool = True, without: Collection[str] = ()
) -> None:
    """Add the options that every training command has.

    Args:
        trials: whether it runs several trainings, of which some may run at once.
        without: settings that have a flag, and name, that the command would refuse or ignore.
    """
    common = parser.add_argument_group("settings and places")
    add_set(common)
    common.add_argument(
        "--settings", action="store_true", help="list every setting with its default and stop"
    )
    for action in add_flags(common, lambda one: not one.name.startswith(("search.", *without))):
        if action.metavar == "DIR":
            names_files(action)
    if "name" not in without:
        common.add_argument("--name", help="of the study; by default made from the time")
    add_storage_path(common)
    at_once = "search.max_concurrent_trials"
    add_flags(common, lambda one: one.marks.resource and (trials or one.name != at_once))
    common.add_argument("--address", help="of a Ray cluster; by default Ray starts on this machine")


def names_files(action: argparse.Action) -> None:
    """Have TAB complete an argument by the names of files and folders."""
    vars(action)["complete"] = shtab.FILE


def add_set(group: Options) -> None:
    """Add the option that changes any setting."""
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, such as optim.epochs=30; may be given again, or as "
        "--optim.epochs 30",
    )
    file = group.add_argument(
        "--config", metavar="FILE", help="settings from a .yaml or .toml file; --set goes before it"
    )
    names_files(file)


def add_study(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Add the argument that names a study which is there."""
    names_files(
        parser.add_argument("study", metavar="STUDY", nargs=nargs, help="its name, folder or URI")
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option by which a program, not a person, reads what came out."""
    parser.add_argument(
        "--json",
        action="store_true",
        dest="one_object",
        help="one JSON object on standard output (docs/json.md), all else on standard error",
    )


def add_storage_path(group: Options) -> None:
    """Add the option that says where studies are found by their names."""
    place = group.add_argument(
        "--storage-path", metavar="DIR", help="where studies are kept (default ~/ray_results)"
    )
    names_files(place)


def refusing(args: argparse.Namespace, command: Callable[[], int]) -> int:
    """Run a command that only looks; what it refuses becomes one line and exit status 2."""
    return _status(args, command)


def guarded(args: argparse.Namespace, command: Callable[[], int]) -> int:
    """Run a command, which loads torch; what it refuses becomes one line and exit status 2."""
    wait_passively()
    with json_object(args.command) if getattr(args, "one_object", False) else nullcontext():
        with stoppable() as stop:
            status = _status(args, command)
        status = stop.status(status) if status == INTERRUPTED else status
        tell(status=status)
    return status


def _status(args: argparse.Namespace, command: Callable[[], int]) -> int:
    try:
        if getattr(args, "settings", False):
            from ffl_ray.console.settings_table import print_settings

            print_settings()
            return 0
        status = command()
        if sys.stdout is not None:  # Python's, where it was closed
            sys.stdout.flush()
        return status
    except (FFLRayError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _is_unread():
            return UNREAD
        line = printable_line(str(error))
        sys.stderr.write(for_errors(f"error: {line}") + "\n")
        tell(error=line)
        return WRONG if isinstance(error, FFLRayError) else FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED


def _is_unread() -> bool:
    """Whether nobody reads standard output any more, as behind `| head`; then it leads nowhere."""
    poll = select.poll()
    poll.register(STDOUT, 0)
    gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
    return gone


def overrides_of(args: argparse.Namespace) -> dict[str, object]:
    """The settings that the command line changes, apart from those of flags of a search."""
    return settings_of_file(args) | named_settings(args)


def settings_of_file(args: argparse.Namespace) -> dict[str, object]:
    """The settings of the file that the command line names."""
    return {} if args.config is None else read_settings(args.config)


def named_settings(args: argparse.Namespace) -> dict[str, object]:
    """The settings of a training that the command line itself changes."""
    flags = flag_values(args).items()
    training = {name: value for name, value in flags if not name.startswith("search.")}
    return parse_assignments(args.set) | training


def resources_of(args: argparse.Namespace, trainings: int) -> SearchConfig:
    """The resources that the command line gives to so many trainings, as settings of a search.

    Raises:
        SettingError: a value breaks its rule.
    """
    resources = {setting.name for setting in settings(StudyConfig) if setting.marks.resource}
    given = {name: value for name, value in flag_values(args).items() if name in resources}
    return with_overrides(StudyConfig(), {"search.num_samples": trainings} | given).search


if __name__ == "__main__":
    sys.exit(main())
