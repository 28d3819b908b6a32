"""Command-line flags, made from the marks of the settings."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from ffl_ray.config.overrides import Setting, settings
from ffl_ray.config.settings import StudyConfig
from ffl_ray.config.values import seconds

Options = argparse.ArgumentParser | argparse._ArgumentGroup


def add_flags(group: Options, wanted: Callable[[Setting], bool]) -> list[argparse.Action]:
    """The flags of the wanted settings, added in the settings' order.

    Args:
        group: of a parser's options.
        wanted: asked of the first setting that a flag sets.
    """
    added = []
    for flag, (first, *others) in _settings_of_flags().items():
        if wanted(first):
            option, *placeholder = flag.split()
            kind = first.field.annotation
            text = "; ".join(_help(setting) for setting in (first, *others))
            options: dict[str, Any] = {"dest": first.name, "help": text}
            if kind is bool:
                options |= {"action": "store_const", "const": True}
            else:
                action = "append" if get_origin(kind) is tuple else "store"
                of = str if _reads_time(first) else _number(kind)
                options |= {"metavar": placeholder[0], "type": of, "action": action}
            added.append(group.add_argument(option, **options))
    return added


def flag_values(args: argparse.Namespace) -> dict[str, object]:
    """The settings that the given flags set, by their dotted names."""
    given = {name: value for name, value in vars(args).items() if value is not None}
    return {
        setting.name: given[first.name]
        for first, *others in _settings_of_flags().values()
        if first.name in given
        for setting in (first, *others)
    }


def _settings_of_flags() -> dict[str, list[Setting]]:
    """Every flag with the settings that it sets."""
    found: dict[str, list[Setting]] = {}
    for setting in settings(StudyConfig):
        if setting.marks.flag:
            found.setdefault(setting.marks.flag, []).append(setting)
    return found


def _reads_time(setting: Setting) -> bool:
    """Whether it is a time that may be given with its unit."""
    return any(getattr(one, "func", None) is seconds for one in setting.field.metadata)


def _number(kind: Any) -> type[int | float | str]:
    """What argparse makes of the text: a number, or nothing else than the text."""
    return next((one for one in (int, float) if one in (kind, *get_args(kind))), str)


def _help(setting: Setting) -> str:
    """The meaning, with the choices and how to give several."""
    kind, meaning = setting.field.annotation, setting.field.description or ""
    if get_origin(kind) is Literal:
        meaning += f" ({', '.join(get_args(kind))})"
    if get_origin(kind) is tuple:
        meaning += "; may be given again"
    return meaning.replace("%", "%%")
