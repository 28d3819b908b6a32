"""A published row as the settings of a training, and what a scaled-down run changes.

Every preset trains on the whole training split, validation part included, and is evaluated on the
test split once, after its last epoch, as the published protocols report it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from ffl_ray.config.methods import resolved_from, with_reachable_objective
from ffl_ray.config.overrides import flatten, mix_name, nearest, shown
from ffl_ray.config.readers import without_effect
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import SettingError
from ffl_ray.models.registry import backbone_row
from ffl_ray.reproduce.published import BACKBONES, TABLES
from ffl_ray.reproduce.recipes import COMMON, EPOCHS, RECIPES
from ffl_ray.reproduce.rows import Row, Table

SEEDS = 3


class Scale(NamedTuple):
    """The scale of a run that is smaller than published; None: as published."""

    epochs: int | None = None
    fraction: float | None = None
    backbone: str | None = None


AS_PUBLISHED = Scale()


def find_table(name: str) -> Table:
    """A table by its name.

    Raises:
        SettingError: there is none; the nearest name is given.
    """
    if name not in TABLES:
        known = ", ".join(TABLES)
        raise SettingError(f"TABLE must be one of {known}, not {name!r}{nearest(name, [*TABLES])}")
    return TABLES[name]


def choose_rows(table: Table, patterns: Sequence[str]) -> tuple[Row, ...]:
    """The rows whose names match a pattern, `resnet-32/*` or `*/ffl-s`; all without patterns.

    Raises:
        SettingError: a pattern matches none.
    """
    names = [row.name for row in table.rows]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern.lower()) for name in names):
            raise SettingError(
                f"--rows must name rows of the table, such as {names[0]} or "
                f"{names[0].partition('/')[0]}/*, not {pattern!r}{nearest(pattern, names)}"
            )
    if not patterns:
        return table.rows
    return tuple(
        row
        for row in table.rows
        if any(fnmatchcase(row.name, pattern.lower()) for pattern in patterns)
    )


def preset(
    row: Row, data: str, scale: Scale = AS_PUBLISHED, changes: Mapping[str, object] | None = None
) -> ResolvedConfig:
    """The config that a row's training has.

    Args:
        data: the setting data.name.
        changes: dotted settings that replace the preset's.

    Raises:
        SettingError: a setting is unknown, or breaks its rule.
    """
    asked = {"data.name": data, **preset_settings(row, scale), **(changes or {})}
    unread = without_effect(asked).keys() - (changes or {}).keys()
    settings = {name: value for name, value in asked.items() if name not in unread}
    return with_reachable_objective(resolved_from(settings))


def preset_settings(row: Row, scale: Scale = AS_PUBLISHED) -> dict[str, object]:
    """The dotted settings of a row: common ones, its recipe's, its backbone's, and the scale."""
    recipe = RECIPES[row.recipe]
    backbone = scale.backbone or BACKBONES[row.backbone]
    settings = {
        **COMMON,
        **recipe.settings,
        "distill.method": recipe.method,
        "model.mix": mix_name((backbone,) * recipe.num_branches),
        "model.trunk_stages": backbone_row(backbone).num_stages - 1 if recipe.shares else 0,
    }
    if scale.epochs is not None:
        settings["optim.epochs"] = scale.epochs
    if scale.fraction is not None:
        settings["data.fraction"] = scale.fraction
    return settings


def presets_digest(table: Table) -> str:
    """A name for the presets of a table, which is another one when any of them changes."""
    settings = [sorted(preset_settings(row).items()) for row in table.rows]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:12]


class Departures(NamedTuple):
    """The departures that make a run incomparable with the published values, a few words each.

    Attributes:
        scaled: what it has less of.
        changed: settings that are not the preset's.
    """

    scaled: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """All of it as one line; empty when there is nothing."""
        both = (("scaled down to", self.scaled), ("changed to", self.changed))
        return ", ".join(f"{how} {_listed(what)}" for how, what in both if what)


def _listed(words: tuple[str, ...]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def departures(
    rows: Sequence[Row], data: str, scale: Scale, changes: Mapping[str, object]
) -> Departures:
    """The departures of a run of these rows from what is published.

    Where the data lies, the seed and how it is computed are no departure.
    """
    config = preset(rows[0], data, scale, changes)
    scaled = []
    if config.optim.epochs != EPOCHS:
        scaled.append(f"{config.optim.epochs} of {EPOCHS} epochs")
    if config.data.fraction != 1:
        scaled.append(f"{config.data.fraction:g} of the images")
    if scale.backbone is not None and any(scale.backbone != BACKBONES[r.backbone] for r in rows):
        scaled.append(f"backbone {scale.backbone}")
    said = {"optim.epochs", "data.fraction", "data.dir", "data.download", "seed"}
    changed = [
        f"{name}={shown(flatten(config)[name])}"
        for name in sorted(changes.keys() - said)
        if not name.startswith("compute.") and any(_changed(r, data, changes, name) for r in rows)
    ]
    return Departures(tuple(scaled), tuple(changed))


def _changed(row: Row, data: str, changes: Mapping[str, object], name: str) -> bool:
    before, after = (flatten(preset(row, data, AS_PUBLISHED, c)) for c in ({}, changes))
    return bool(before[name] != after[name])
