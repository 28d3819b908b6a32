"""The user's own code in a setting: `module:name`, such as `my_nets:tiny`.

The module is imported from the current folder or from installed packages, and must be importable
wherever a worker runs. It is code, and it runs as such: name only modules that you trust.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ffl_ray.config.overrides import nearest
from ffl_ray.errors import SettingError, on_one_line


def is_own(name: str) -> bool:
    """Whether a setting's value names the user's own code."""
    return ":" in name


class OwnCode(NamedTuple):
    """Code that a setting names, and how messages speak of it.

    Attributes:
        setting: dotted.
        what: what it is, with its article.
        kind: function or class.
        name: `module:name`.
    """

    setting: str
    what: str
    kind: str
    name: str

    def load(self) -> Callable[..., Any]:
        """The function or class itself.

        Raises:
            SettingError: the name is none, the module can't be imported, or it lacks it.
        """
        match = re.fullmatch(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)", self.name)
        if match is None:
            raise SettingError(
                f"{self.setting}: {self.what} of your own is module:{self.kind}, such as "
                f"my_nets:tiny, not {self.name!r}"
            )
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.append(here)
        importlib.invalidate_caches()
        module_name, wanted = match.groups()
        try:
            module = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:
            raise SettingError(
                f"{self.setting}: {module_name} of {self.name} can't be imported from {here} or "
                f"the Python path: {one_line(error)}"
            ) from error
        found = getattr(module, wanted, None)
        if not callable(found):
            known = [key for key, value in vars(module).items() if callable(value)]
            raise SettingError(
                f"{self.setting}: {module_name} must have a {self.kind} {wanted!r}, and has not"
                f"{nearest(wanted, known)}"
            )
        made: Callable[..., Any] = found
        return made

    def called(self, call: Callable[[], Any], when: str) -> Any:
        """The result of a call of the user's code; its exception becomes one line."""
        try:
            return call()
        except SettingError:
            raise
        except Exception as error:
            raise self.broken(f"{when}, it fails: {one_line(error)}") from error

    def broken(self, what: str) -> SettingError:
        """The error that says how it breaks its contract."""
        return SettingError(f"{self.setting}: {self.name}: {what}")


def kind_of(value: object) -> str:
    """A value's type as a message names it."""
    return type(value).__name__


def one_line(error: BaseException) -> str:
    """An exception as one line."""
    return f"{kind_of(error)}: {on_one_line(error)}"
