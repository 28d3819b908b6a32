"""The registry of losses by method: a new one is a file and a row here, and one in methods.py."""

from __future__ import annotations

from collections.abc import Callable

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.config.user_code import is_own
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.cl_ilr import cl_ilr_terms
from ffl_ray.distill.dml import dml_terms
from ffl_ray.distill.ffl import ffl_terms
from ffl_ray.distill.independent import independent_terms
from ffl_ray.distill.kdcl import kdcl_terms
from ffl_ray.distill.okddip import okddip_terms
from ffl_ray.distill.one import one_terms
from ffl_ray.distill.pcl import pcl_terms
from ffl_ray.distill.terms import Term
from ffl_ray.distill.user_method import user_terms
from ffl_ray.models.network import NetworkOutput

LossTerms = Callable[[NetworkOutput, Labels], dict[str, Term]]

TERMS: dict[str, Callable[[NetworkOutput, Labels, ResolvedDistill], dict[str, Term]]] = {
    "ffl": ffl_terms,
    "independent": independent_terms,
    "dml": dml_terms,
    "cl_ilr": cl_ilr_terms,
    "one": one_terms,
    "kdcl": kdcl_terms,
    "okddip": okddip_terms,
    "pcl": pcl_terms,
}


def loss_terms_of(settings: ResolvedDistill) -> LossTerms:
    """The loss of the settings' method."""
    terms = user_terms(settings.method) if is_own(settings.method) else TERMS[settings.method]
    return lambda output, labels: terms(output, labels, settings)
