"""The command `report`: a study is read and written as a page, as Markdown or as CSV files."""

from __future__ import annotations

import argparse
import sys

import ffl_ray
from ffl_ray.console.json_object import tell
from ffl_ray.console.plain_text import printable
from ffl_ray.errors import StudyError
from ffl_ray.files import expanded
from ffl_ray.report.blocks import Table
from ffl_ray.report.sections import every_trial, sections
from ffl_ray.report.source import Study, open_study
from ffl_ray.report.text import csv_files, markdown
from ffl_ray.results.guard import understood
from ffl_ray.results.reader import find_study


def report(args: argparse.Namespace) -> int:
    """The exit status of a report with these options."""
    storage = find_study(args.study, args.storage_path)
    with understood(storage.location):
        study = open_study(storage)
        tell(study=study.name, location=storage.location, format=args.format)
        {"html": _html, "md": _markdown, "csv": _csv}[args.format](study, args.out)
    return 0


def _html(study: Study, out: str | None) -> None:
    # Optuna and plotly take seconds to load, and tables need neither.
    from ffl_ray.report.html import html

    _told([_write(study, "report.html", html(study, _made(study)), out)])


def _markdown(study: Study, out: str | None) -> None:
    text = printable(markdown(study.name, _made(study), sections(study)))
    if out is None:
        sys.stdout.write(text)
        tell(text=text)
    else:
        _told([_write(study, "report.md", text, out)])


def _csv(study: Study, out: str | None) -> None:
    blocks = [block for section in sections(study) for block in section.blocks]
    tables = [every_trial(study), *(block for block in blocks if isinstance(block, Table))]
    places = [
        _write(study, f"report/{name}", text, out and f"{out}/{name}")
        for name, text in csv_files(tables).items()
    ]
    _told(places)


def _told(places: list[str]) -> None:
    """Say where the files are."""
    sys.stdout.writelines(f"{place}\n" for place in places)
    tell(files=places)


def _made(study: Study) -> str:
    """When the study was made, and the report by which version."""
    kind, created = study.description["kind"], study.description.get("created", "")
    return f"{kind}, created {created}; report by ffl_ray {ffl_ray.__version__}"


def _write(study: Study, name: str, text: str, out: str | None) -> str:
    """The place of a file, written where it was asked for, or into the study.

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
    path = expanded(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path.resolve())
