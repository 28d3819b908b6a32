"""The registry of recipes by method: a new one is a file and a row here, and one in methods.py."""

from __future__ import annotations

from collections.abc import Callable

from ffl_ray.config.settings import DistillConfig, ResolvedDistill
from ffl_ray.config.user_code import is_own
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.afd import AFD
from ffl_ray.distill.ahbf import AHBF
from ffl_ray.distill.cl_ilr import cl_ilr_terms
from ffl_ray.distill.confident_dml import confident_dml_terms
from ffl_ray.distill.dccl import DCCL
from ffl_ray.distill.dcm import DCM
from ffl_ray.distill.dkel import dkel_terms
from ffl_ray.distill.dml import dml_terms
from ffl_ray.distill.ffl import ffl_terms
from ffl_ray.distill.ffsd import FFSD
from ffl_ray.distill.independent import independent_terms
from ffl_ray.distill.kdcl import KDCL
from ffl_ray.distill.ktg import ktg_terms
from ffl_ray.distill.layered_ffl import LAYERED_FFL
from ffl_ray.distill.lmcl import LMCL
from ffl_ray.distill.mcl import MCL
from ffl_ray.distill.okddip import okddip_terms
from ffl_ray.distill.okdph import OKDPH
from ffl_ray.distill.one import one_terms
from ffl_ray.distill.pcl import pcl_terms
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.switokd import SWITOKD
from ffl_ray.distill.teacher import with_teacher
from ffl_ray.distill.terms import Term
from ffl_ray.distill.user_method import user_recipe
from ffl_ray.models.network import NetworkOutput

LossTerms = Callable[[NetworkOutput, Labels], dict[str, Term]]

RECIPES: dict[str, Recipe] = {
    "ffl": Recipe(ffl_terms),
    "independent": Recipe(independent_terms),
    "dml": Recipe(dml_terms),
    "cl_ilr": Recipe(cl_ilr_terms),
    "one": Recipe(one_terms),
    "kdcl": KDCL,
    "okddip": Recipe(okddip_terms),
    "pcl": Recipe(pcl_terms),
    "okdph": OKDPH,
    "ktg": Recipe(ktg_terms),
    "layered_ffl": LAYERED_FFL,
    "ffsd": FFSD,
    "dccl": DCCL,
    "dcm": DCM,
    "mcl": MCL,
    "ahbf": AHBF,
    "lmcl": LMCL,
    "switokd": SWITOKD,
    "confident_dml": Recipe(confident_dml_terms),
    "dkel": Recipe(dkel_terms),
    "afd": AFD,
}


def recipe_of(settings: DistillConfig) -> Recipe:
    """The recipe of the settings' method, with a teacher from outside where they name one.

    Raises:
        SettingError: it is the user's own, and can't be imported or brings what there is not.
    """
    own = is_own(settings.method)
    recipe = user_recipe(settings.method) if own else RECIPES[settings.method]
    return recipe if settings.teacher is None else with_teacher(recipe)


def loss_terms_of(settings: ResolvedDistill) -> LossTerms:
    """The loss of the settings' method."""
    terms = recipe_of(settings).terms
    return lambda output, labels: terms(output, labels, settings)
