"""What the commands share: options, one-line errors, checks that need no training."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import ffl_ray
from ffl_ray.console.plain_text import printable_line
from ffl_ray.errors import FAILED, INTERRUPTED, WRONG, FFLRayError

COMMANDS = {
    "tune": "ffl_ray.tune",
    "train": "ffl_ray.train",
    "report": "ffl_ray.report.__main__",
    "confirm": "ffl_ray.confirm.__main__",
    "export": "ffl_ray.export.__main__",
    "predict": "ffl_ray.predict",
    "reproduce": "ffl_ray.reproduce.__main__",
    "bench": "ffl_ray.bench.__main__",
    "spot": "ffl_ray.spot",
}


def new_parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser named as the command is called."""
    return argparse.ArgumentParser(
        prog=f"python -m ffl_ray.{command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """The options that every training command has."""
    common = parser.add_argument_group("settings and places")
    common.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, such as optim.epochs=30; may be given again",
    )
    common.add_argument(
        "--settings", action="store_true", help="list every setting with its default and stop"
    )
    common.add_argument("--data-dir", metavar="DIR", help="the same as --set data.dir=DIR")
    common.add_argument("--seed", type=int, metavar="N", help="of weights, data and sampler")
    common.add_argument("--name", help="of the study; by default made from the time")
    common.add_argument(
        "--storage-path", metavar="DIR", help="where studies are kept (default ~/ray_results)"
    )
    common.add_argument("--num-workers", type=int, metavar="N", help="processes of one training")
    common.add_argument(
        "--cpus-per-trial", type=int, metavar="N", help="CPUs, and so threads, of all its workers"
    )
    common.add_argument("--gpus-per-trial", type=float, metavar="N", help="over all its workers")
    common.add_argument("--address", help="of a Ray cluster; by default Ray starts on this machine")
    common.add_argument("--version", action="version", version=ffl_ray.__version__)


def guarded(args: argparse.Namespace, command: Callable[[], int]) -> int:
    """Run a command; what it refuses becomes one line on stderr and exit status 2."""
    try:
        if getattr(args, "settings", False):
            print_settings()
            return 0
        return command()
    except FFLRayError as error:
        sys.stderr.write(f"error: {printable_line(str(error))}\n")
        return WRONG
    except OSError as error:
        sys.stderr.write(f"error: {printable_line(str(error))}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED


def print_settings() -> None:
    """Every setting with its default, unit and meaning."""
    from rich.console import Console
    from rich.table import Table

    from ffl_ray.config.overrides import flatten, settings, shown
    from ffl_ray.config.settings import Config, SearchConfig

    table = Table(box=None, header_style="bold")
    for heading in ("setting", "default", "unit", "meaning"):
        table.add_column(heading)
    for prefix, model in (("", Config), ("search.", SearchConfig)):
        defaults = flatten(model())
        for name, field in settings(model):
            unit = str(field.json_schema_extra["unit"])  # type: ignore[index]
            row = (f"{prefix}{name}", shown(defaults[name]), unit, field.description or "")
            table.add_row(*row)
    Console(soft_wrap=not sys.stdout.isatty(), highlight=False).print(table)


def overrides_of(args: argparse.Namespace) -> dict[str, object]:
    """The settings that the command line changes."""
    from ffl_ray.config.overrides import parse_assignments

    overrides = parse_assignments(args.set)
    if args.data_dir is not None:
        overrides["data.dir"] = args.data_dir
    if args.seed is not None:
        overrides["seed"] = args.seed
    return overrides
