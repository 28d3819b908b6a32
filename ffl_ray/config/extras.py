"""Libraries of the extras, which not every installation has."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from ffl_ray.errors import FFLRayError


def is_installed(package: str) -> bool:
    """Whether a library is there.

    A mere folder of its name is none, though Python imports it as a package without code where it
    finds no other: W&B makes ./wandb, and data may lie in ./datasets.
    """
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None


def import_extra(package: str, extra: str, asks: str, refusal: type[FFLRayError]) -> Any:
    """A library of an extra.

    Args:
        extra: of ffl_ray, that installs it.
        asks: the setting that needs it, and its value.
        refusal: what is raised when it is not installed, as one line that says how it is.
    """
    try:
        if not is_installed(package):
            raise ImportError(package)
        return importlib.import_module(package)
    except ImportError as error:
        raise refusal(
            f'{asks} needs the package {package}: pip install "ffl_ray[{extra}]"'
        ) from error
