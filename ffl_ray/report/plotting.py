"""The plots of a report as its sections ask for them, whatever draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ffl_ray.report.blocks import Block
from ffl_ray.report.source import Study
from ffl_ray.results.search_answers.effects import Answer

Rows = Sequence[Mapping[str, Any]]


class Drawn(NamedTuple):
    """The plots of a study that chooses by a validation split, by the section that shows them."""

    answers: Sequence[Block] = ()
    best: Sequence[Block] = ()
    curves: Sequence[Block] = ()
    front: Sequence[Block] = ()
    importance: Sequence[Block] = ()
    slices: Sequence[Block] = ()


class Plots(NamedTuple):
    """The functions that draw; they load Optuna and plotly, which tables alone need not.

    Attributes:
        of_study: draws a study that chooses by a validation split, and its answers.
        of_confirmed: draws the rows of a confirmation's comparisons; the text says what they were
            measured on.
        of_classes: draws how a classifier does by class, a `report.classes.Classes`.
    """

    of_study: Callable[[Study, Sequence[Answer]], Drawn]
    of_confirmed: Callable[[Rows, str], Block]
    of_classes: Callable[[Any], Block]
