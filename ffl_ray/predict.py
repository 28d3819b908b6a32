"""Classify image files: `ffl-ray predict MODEL IMAGES...`; --help lists the options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ffl_ray import cli

DESCRIPTION = """Classify images with a model that `python -m ffl_ray.export` wrote.

MODEL is its folder, or one of its files. The ONNX file is run by onnxruntime, which starts fast;
without it torch runs the safetensors weights. Neither runs code from the file; a .pt2 can, and is
opened only with --trust. `ffl-ray predict` imports nothing from the current folder; `python -m`
does before anything is said, unless it is `python -P -m`. Of each image the middle square is
resized to the model's input, grey where the model takes one channel. An image that can't be read
gives a line on stderr, the rest goes on, and the exit status is 1."""


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor onnxruntime."""
    made = cli.new_parser("predict", DESCRIPTION)
    model = made.add_argument(
        "model", help="an exported folder, or a .onnx, .pt2 or .safetensors file of it"
    )
    images = made.add_argument(
        "images", nargs="+", help="image files, and folders of them at any depth"
    )
    for argument in (model, images):
        cli.names_files(argument)
    made.add_argument("--top-k", type=int, default=1, metavar="K", help="likeliest classes to show")
    made.add_argument("--batch-size", type=int, default=64, metavar="N", help="images at once")
    form = made.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON object per line and image")
    form.add_argument("--csv", action="store_true", help="path, rank, class, probability")
    made.add_argument(
        "--trust",
        action="store_true",
        help="the model is your own: open a .pt2 file, or code that its config.json names, though "
        "both can run anything",
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command's exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _predict(args))


def _predict(args: argparse.Namespace) -> int:
    with _nothing_imported_here(Path(args.model), args.trust):
        from ffl_ray.export.predictions import predict

        return predict(args)


@contextmanager
def _nothing_imported_here(model: Path, trusted: bool) -> Iterator[None]:
    """Have the current folder, whose files may be somebody else's, hold no module meanwhile.

    Args:
        trusted: code of the user's own is found there, unless it is the model's folder.
    """
    here = Path.cwd()
    before = sys.path[:]
    if not trusted or here.is_relative_to(model.resolve()) or here == model.resolve().parent:
        sys.path[:] = [entry for entry in before if Path(entry).resolve() != here]
    try:
        yield
    finally:
        sys.path[:] = before


if __name__ == "__main__":
    sys.exit(main())
