"""What a method brings to a training: its loss, and what it does beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term
from ffl_ray.models.network import NetworkOutput

Terms = Callable[[NetworkOutput, Labels, ResolvedDistill], dict[str, Term]]


class Recipe(NamedTuple):
    """One method's computation; what its network is made of is its row of `config.methods`.

    Attributes:
        terms: the loss of a batch, as named terms.
    """

    terms: Terms
