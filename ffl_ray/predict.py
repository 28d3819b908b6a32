"""Classify image files: `python -m ffl_ray.predict MODEL IMAGES...`; --help lists the options."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable

from ffl_ray import cli
from ffl_ray.console.plain_text import printable, printable_line
from ffl_ray.errors import FAILED, SettingError

DESCRIPTION = """Classify images with a model that `python -m ffl_ray.export` wrote.

MODEL is its folder, or one of its files. The ONNX file is run by onnxruntime, which starts fast;
without it torch runs the safetensors weights. Neither runs code from the file; a .pt2 can, and is
opened only with --trust. Of each image the middle square is resized to the model's
input, grey where the model takes one channel. An image that can't be read gives a line on
stderr, the rest goes on, and the exit status is 1."""


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor onnxruntime."""
    made = cli.new_parser("predict", DESCRIPTION)
    made.add_argument(
        "model", help="an exported folder, or a .onnx, .pt2 or .safetensors file of it"
    )
    made.add_argument("images", nargs="+", help="image files, and folders of them at any depth")
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
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _predict(args))


def _predict(args: argparse.Namespace) -> int:
    from ffl_ray.planning.layout import available_cpus

    for name in ("top_k", "batch_size"):
        if getattr(args, name) < 1:
            option = name.replace("_", "-")
            raise SettingError(f"--{option} must be at least 1, not {getattr(args, name)}")
    from ffl_ray.export.classify import Prediction, Unreadable, classify, image_files
    from ffl_ray.export.runner import open_model

    model = open_model(args.model, available_cpus(), trusted=args.trust)
    shown = _Output(args)
    failed = False
    for found in classify(model, image_files(args.images), args.top_k, args.batch_size):
        if isinstance(found, Unreadable):
            failed = True
            sys.stderr.write(f"error: {printable_line(f'{found.path}: {found.reason}')}\n")
        elif isinstance(found, Prediction):
            shown.row(str(found.path), found.classes)
    return FAILED if failed else 0


class _Output:
    """Predictions as text, JSON lines or CSV on standard output."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._json = args.json
        self._csv = csv.writer(sys.stdout, lineterminator="\n") if args.csv else None
        if self._csv is not None:
            self._csv.writerow(("path", "rank", "class", "probability"))

    def row(self, path: str, classes: Iterable[tuple[str, float]]) -> None:
        """One image, its likeliest classes first."""
        if self._csv is not None:
            for rank, (name, probability) in enumerate(classes, start=1):
                self._csv.writerow((path, rank, name, f"{probability:.6f}"))
        elif self._json:
            found = [{"class": name, "probability": value} for name, value in classes]
            sys.stdout.write(json.dumps({"path": path, "classes": found}) + "\n")
        else:
            words = "  ".join(f"{name} {probability:.4f}" for name, probability in classes)
            sys.stdout.write(printable(f"{path}  {words}") + "\n")


if __name__ == "__main__":
    sys.exit(main())
