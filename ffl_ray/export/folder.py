"""An exported folder: written beside its place, checked, then moved there in one step."""

from __future__ import annotations

import functools
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata as installed
from pathlib import Path

from ffl_ray.console.plain_text import printable_line
from ffl_ray.errors import ExportError, on_one_line
from ffl_ray.export.card import Source, Written, card
from ffl_ray.export.card_classes import pictures_of
from ffl_ray.export.check import Difference, check_file, probes
from ffl_ray.export.formats import WRITERS, torch_program
from ffl_ray.export.member import describe
from ffl_ray.export.metadata import metadata
from ffl_ray.export.speed import Speed
from ffl_ray.export.trained import Trained
from ffl_ray.exported.about import CONFIG, LABELS, About
from ffl_ray.exported.checksums import METADATA, sha256
from ffl_ray.exported.member import Member
from ffl_ray.files import beside

CARD = "README.md"
PACKAGES = ("ffl_ray", "torch", "onnx", "onnxscript", "onnxruntime", "safetensors")
Say = Callable[[str], None]


def export_member(
    trained: Trained,
    name: str,
    out: Path,
    formats: Sequence[str],
    source: Source,
    speeds: list[Speed],
    say: Say,
) -> Written:
    """The files of a member, its description and its card, written and compared with the network.

    Args:
        name: of the member.
        out: the folder; it must not be there yet.
        formats: names of `WRITERS`.
        say: is told what is being done.

    Raises:
        ExportError: the folder is there, a format can't take this network, or a file gives
            other outputs; then there is no folder.
    """
    about = describe(trained.config, name, trained.data)
    with new_folder(out) as folder:
        (folder / CONFIG).write_text(about.dump() + "\n")
        labels = "\n".join(printable_line(name) for name in about.classes)
        (folder / LABELS).write_text(labels + "\n", encoding="utf-8")
        for file, picture in pictures_of(source.classes).items() if source.classes else ():
            (folder / file).write_bytes(picture)
        differences = _write_checked(folder, trained, about, formats, say)
        sizes = {file: (folder / file).stat().st_size for file in differences}
        hashes = {file: sha256(folder / file) for file in (CONFIG, *sizes)}
        written = Written(sizes, hashes, differences, speeds)
        (folder / METADATA).write_text(metadata(about, source, written))
        (folder / CARD).write_text(card(about, source, written))
    return written


def _write_checked(
    folder: Path, trained: Trained, about: About, formats: Sequence[str], say: Say
) -> dict[str, Difference]:
    """The difference of each model file, written and read back, from the trained network."""
    member = Member(trained.network, about.member, about.mean, about.std)
    expected = probes(trained, about.member)
    trace = functools.cache(lambda: torch_program(member, about.image_shape))
    differences = {}
    for kind in formats:
        file, write = WRITERS[kind]
        say(f"writing {file}")
        with _refusals(kind):
            write(member, trace, about, folder / file)
        say(f"checking {file}")
        differences[file] = check_file(folder / file, expected)
    return differences


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder that is at its place when all went well, and is gone when not.

    Raises:
        ExportError: its place is taken.
    """
    check_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    made = beside(out)
    made.mkdir()
    try:
        yield made
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def check_free(out: Path) -> None:
    """Check that nothing is where a folder will be.

    Raises:
        ExportError: something is.
    """
    if out.exists():
        raise ExportError(f"--out must be a new folder, and {out} is there: choose another")


def versions() -> dict[str, str]:
    """Versions of what writes and checks an export."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = installed.version(package)
        except installed.PackageNotFoundError:
            continue
    return found


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """One line for what an exporter raises: it knows some operations and not others."""
    try:
        yield
    except (ExportError, OSError):
        raise
    except Exception as error:
        line = on_one_line(error)[:300]
        raise ExportError(
            f"{what} can't take this network ({type(error).__name__}: {line}): leave the format "
            f"out with --format, or export another member"
        ) from error
