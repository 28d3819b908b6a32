"""`bench tables`."""

from __future__ import annotations

import argparse

from ffl_ray.benching.figures import Found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subject's options."""


def run(args: argparse.Namespace) -> Found:
    """Measure it."""
    return Found("tables", "", [])
