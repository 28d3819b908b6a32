"""The command `predict`: the classes of image files as text, JSON lines or CSV, without torch."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable

from ffl_ray.console.plain_text import in_spreadsheet, printable_line
from ffl_ray.console.terminal import for_errors
from ffl_ray.errors import FAILED, SettingError
from ffl_ray.export.classify import Prediction, Unreadable, classify, image_files
from ffl_ray.export.runner import open_model
from ffl_ray.planning.layout import available_cpus


def predict(args: argparse.Namespace) -> int:
    """The exit status of a prediction with these options; 1 where an image can't be read."""
    for name in ("top_k", "batch_size"):
        if getattr(args, name) < 1:
            option = name.replace("_", "-")
            raise SettingError(f"--{option} must be at least 1, not {getattr(args, name)}")
    model = open_model(args.model, available_cpus(), trusted=args.trust)
    output, failed = Output(args), False
    for found in classify(model, image_files(args.images), args.top_k, args.batch_size):
        if isinstance(found, Unreadable):
            failed = True
            line = printable_line(f"{found.path}: {found.reason}")
            sys.stderr.write(for_errors(f"error: {line}") + "\n")
        elif isinstance(found, Prediction):
            output.row(str(found.path), found.classes)
    return FAILED if failed else 0


class Output:
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
                cells = (in_spreadsheet(path), rank, in_spreadsheet(name), f"{probability:.6f}")
                self._csv.writerow(cells)
        elif self._json:
            found = [{"class": name, "probability": value} for name, value in classes]
            sys.stdout.write(json.dumps({"path": path, "classes": found}) + "\n")
        else:
            words = "  ".join(f"{name} {probability:.4f}" for name, probability in classes)
            sys.stdout.write(printable_line(f"{path}  {words}") + "\n")
