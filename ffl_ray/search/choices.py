"""Choices that are no plain values, searched by their text.

Optuna and the tables keep None, bools, numbers and texts. A tuple would come back from them as a
list, which is another choice: the study could not go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna

from ffl_ray.results.schema import kept_choice


class KeptChoices(optuna.Trial):
    """A trial whose categorical parameters are drawn as the tables keep them."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices, as it was given."""
        given = list(choices)
        kept = [kept_choice(choice) for choice in given]
        return given[kept.index(super().suggest_categorical(name, kept))]


def with_kept_choices(trial: optuna.Trial) -> optuna.Trial:
    """The same trial, as a search space shall see it."""
    made = KeptChoices.__new__(KeptChoices)
    made.__dict__ = trial.__dict__
    return made
