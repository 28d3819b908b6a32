"""The table of methods by name: a new one is one file and one row here."""

from __future__ import annotations

from collections.abc import Callable

from ffl_ray.config import DistillConfig
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.ffl import ffl_terms
from ffl_ray.distill.terms import Term
from ffl_ray.models.network import NetworkOutput

Method = Callable[[NetworkOutput, Labels, DistillConfig], dict[str, Term]]

METHODS: dict[str, Method] = {"ffl": ffl_terms}
