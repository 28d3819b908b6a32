"""Search: `python -m ffl_ray.tune [SPACE.py]`; --help lists the options."""

from __future__ import annotations

import argparse
import sys

from ffl_ray import cli
from ffl_ray.config.flags import add_flags, flag_values
from ffl_ray.config.overrides import parse_assignments

DESCRIPTION = """Search for the best way to fuse and distil branches on your data.

SPACE is a Python file with BASE and search_space(trial), or the name of a bundled space
(digits, folder, cifar10, cifar100, cifar100_short, tiny, imagenet; branch_count, mix, fusion and
temperature ask one question each; methods, methods_short and ablations try every point with
three seeds; recipes searches methods with their settings). The default, digits, needs no
download.
A search space is Python code and runs as such: open only those that you trust.

The same command with the same --name goes on: ended trials stay, interrupted ones continue after
their last epoch, and a larger --num-samples adds trials."""


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("tune", DESCRIPTION)
    cli.names_files(made.add_argument("space", nargs="?", default="digits", metavar="SPACE"))
    cli.add_common_options(made)
    search = made.add_argument_group("search")
    add_flags(search, lambda one: one.name.startswith("search.") and not one.marks.resource)
    search.add_argument(
        "--optuna-storage", metavar="URL", help="mirror the study there, such as sqlite:///x.db"
    )
    cli.add_json(made)
    before = made.add_argument_group("before a search")
    before.add_argument(
        "--check", action="store_true", help="build every network that SPACE can propose, and stop"
    )
    before.add_argument(
        "--dry-run", action="store_true", help="show the plan and what it will take, and stop"
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _search(args))


def _search(args: argparse.Namespace) -> int:
    from ffl_ray.orchestration.search_start import start_search

    named = cli.named_settings(args) | flag_values(args)
    return start_search(args, cli.settings_of_file(args) | named, fixed=fixed_settings(args))


def fixed_settings(args: argparse.Namespace) -> list[str]:
    """The settings that the space must not choose as well.

    `--seed` is not among them: where the space gives each training its seed, it is the sampler's.
    """
    flags = [name for name in flag_values(args) if name != "seed"]
    return list(dict.fromkeys([*parse_assignments(args.set), *flags]))


if __name__ == "__main__":
    sys.exit(main())
