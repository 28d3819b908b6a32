"""Checks of what a user's method brings beside its loss: hooks, phases, and who takes a step."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.config.user_code import OwnCode, kind_of
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.recipe import MEMBERS, Phase, Recipe
from ffl_ray.models.helpers import HelperRule
from ffl_ray.models.network import NetworkOutput

FUNCTIONS = ("helpers", "takes_step", "before_step", "after_step", "after_epoch")


def check_kinds(code: OwnCode, recipe: Recipe) -> None:
    """Check that functions are functions, and phases phases.

    Raises:
        SettingError: they are not.
    """
    for name in FUNCTIONS:
        found = getattr(recipe, name)
        if found is not None and not callable(found):
            raise code.broken(f"{name} must be a function, not {kind_of(found)}")
    then: object = recipe.then
    if not isinstance(then, tuple) or not all(isinstance(phase, Phase) for phase in then):
        raise code.broken(f"then must be a tuple of Phases, not {kind_of(then)}")
    for rule in (phase.rule for phase in recipe.then):
        if not isinstance(rule, HelperRule | None):
            raise code.broken(f"a phase's rule must be a HelperRule, not {kind_of(rule)}")


def check_parts(code: OwnCode, recipe: Recipe, output: NetworkOutput) -> None:
    """Check that each phase trains what there is.

    Raises:
        SettingError: it names another thing.
    """
    known = (MEMBERS, *(output.helpers or ()))
    for trains in (recipe.trains or (), *(phase.trains for phase in recipe.then)):
        others = [str(name) for name in trains if name not in known]
        if others:
            raise code.broken(f"a phase may train {', '.join(known)}, not {', '.join(others)}")


def check_takes_step(
    code: OwnCode,
    recipe: Recipe,
    output: NetworkOutput,
    labels: Labels,
    settings: ResolvedDistill,
) -> None:
    """Check that what says who takes a step says it of each branch.

    Raises:
        SettingError: it does not.
    """
    if recipe.takes_step is None:
        return
    asked = functools.partial(recipe.takes_step, output, labels, settings, _mean)
    taken: Any = code.called(asked, "asked which branches take a step")
    count = len(output.branches)
    if not isinstance(taken, Tensor) or taken.dtype != torch.bool or taken.shape != (count,):
        found = (
            f"{taken.dtype} {list(taken.shape)}" if isinstance(taken, Tensor) else kind_of(taken)
        )
        raise code.broken(f"takes_step must give a bool of each of {count} branches, not {found}")


def _mean(per_image: Tensor) -> Tensor:
    return per_image.mean(dim=-1)
