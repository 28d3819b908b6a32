"""What a study found: `python -m ffl_ray.report STUDY`; --help lists the options."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import ffl_ray
from ffl_ray import cli
from ffl_ray.console.plain_text import printable
from ffl_ray.errors import StudyError

if TYPE_CHECKING:
    from ffl_ray.report.source import Study

DESCRIPTION = """Write what a study found, finished or still running, as one HTML file.

The page opens offline and asks nobody for anything: what was searched, the best trials, learning
curves, accuracy against inference cost, importance of each hyperparameter, failures, and where
the numbers come from. --format md writes the tables as Markdown, --format csv as CSV files."""
FORMATS = ("html", "md", "csv")


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray, optuna nor plotly."""
    made = cli.new_parser("report", DESCRIPTION)
    cli.add_study(made)
    made.add_argument("--format", choices=FORMATS, default="html", help="(default html)")
    made.add_argument(
        "--out",
        metavar="PATH",
        help="html: a file (default STUDY/report.html); md: a file (default: printed); csv: a "
        "folder (default STUDY/report)",
    )
    cli.add_storage_path(made)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _report(args))


def _report(args: argparse.Namespace) -> int:
    from ffl_ray.report.source import open_study
    from ffl_ray.results.guard import understood
    from ffl_ray.results.reader import find_study

    storage = find_study(args.study, args.storage_path)
    with understood(storage.location):
        return _written(args, open_study(storage))


def _written(args: argparse.Namespace, study: Study) -> int:
    if args.format == "csv":
        files = _csv(study)
        for place in [
            _write(study, f"report/{name}", text, args.out and f"{args.out}/{name}")
            for name, text in files.items()
        ]:
            sys.stdout.write(f"{place}\n")
        return 0
    text = _text(study, args.format)
    if args.format == "md" and args.out is None:
        sys.stdout.write(text)
        return 0
    sys.stdout.write(f"{_write(study, 'report.html', text, args.out)}\n")
    return 0


def _csv(study: Study) -> dict[str, str]:
    from ffl_ray.report.blocks import Table
    from ffl_ray.report.sections import every_trial, sections
    from ffl_ray.report.text import csv_files

    parts = [part for section in sections(study, plots=False) for part in section.parts]
    return csv_files([every_trial(study), *(part for part in parts if isinstance(part, Table))])


def _text(study: Study, kind: str) -> str:
    from ffl_ray.report.sections import sections

    created = study.description.get("created", "")
    made = (
        f"{study.description['kind']}, created {created}; report by ffl_ray {ffl_ray.__version__}"
    )
    if kind == "md":
        from ffl_ray.report.text import markdown

        return printable(markdown(study.name, made, sections(study, plots=False)))
    from ffl_ray.report.page import page

    return page(study.name, made, sections(study))


def _write(study: Study, name: str, text: str, out: str | None) -> str:
    """Write a file where it was asked for, or into the study; returns where it lies.

    Raises:
        StudyError: it can't be written there.
    """
    if out is None:
        folder, _, leaf = name.rpartition("/")
        storage = study.storage.child(folder) if folder else study.storage
        try:
            storage.make_folder()
            storage.write(leaf, text.encode())
        except OSError as error:
            raise StudyError(
                f"{storage.location} can't be written ({error}): use --out PATH"
            ) from error
        return storage.child(leaf).location
    path = Path(out).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path.resolve())


if __name__ == "__main__":
    sys.exit(main())
