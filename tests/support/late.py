"""Libraries whose import takes seconds, for the process that runs the tests of them alone.

All processes of `make test` import all files of tests, to collect them.
"""

from __future__ import annotations

import importlib
from typing import Any


class Late:
    """A module that is imported when a public name of it is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # as pytest asks all objects in a file of tests
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)
