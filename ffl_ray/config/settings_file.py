"""Files of settings: dotted names and values, as YAML or TOML, for `--config`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from ffl_ray.config.overrides import brief, mix_name, settings
from ffl_ray.config.settings import StudyConfig
from ffl_ray.errors import SettingError
from ffl_ray.files import expanded

NAME = "config.yaml"  # in a study's folder


class _OnceLoader(yaml.SafeLoader):
    """Plain YAML, whose own loader takes the last of equal names without a word."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.YAMLError(f"it sets {name} {names.count(name)} times, and must once")
        super().flatten_mapping(node)


def _yaml(text: str) -> object:
    return yaml.load(text, _OnceLoader)


READERS: dict[str, Callable[[str], object]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".toml": tomllib.loads,
}
MIX = "model.mix"


def read_settings(file: str) -> dict[str, object]:
    """The settings of a file, by their dotted names; sections may be written as such.

    Raises:
        SettingError: it can't be read, or holds anything else.
    """
    path = expanded(file)
    if path.suffix not in READERS:
        raise SettingError(f"--config must be a file {', '.join(READERS)}, not {brief(repr(file))}")
    try:
        found = READERS[path.suffix](path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise SettingError(f"--config {brief(file)} can't be read: {brief(why)}") from error
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise SettingError(
            f"--config {brief(file)} must hold settings by their names, not {brief(repr(found))}"
        )
    try:
        return _dotted(found)
    except RecursionError as error:
        raise SettingError(f"--config {brief(file)} has a section that holds itself") from error


def settings_text(values: Mapping[str, Any]) -> str:
    """The settings among some values as a file that `read_settings` reads."""
    plain: dict[str, object] = {}
    for name in (one.name for one in settings(StudyConfig) if one.name in values):
        value = values[name]
        if name == MIX and value is not None:
            value = mix_name(tuple(value))
        plain[name] = list(value) if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return text


def _dotted(found: Mapping[object, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in found.items():
        part = (
            _dotted(value, f"{prefix}{name}.")
            if isinstance(value, Mapping)
            else {f"{prefix}{name}": value}
        )
        twice = flat.keys() & part.keys()
        if twice:
            raise SettingError(f"--config must set {brief(min(twice))} once, not twice")
        flat |= part
    return flat
