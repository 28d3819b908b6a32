"""MCL, mutual contrastive learning: Yang et al. 2022, AAAI, arXiv:2104.12565."""

from __future__ import annotations

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.contrast import Compared, Embedding, Pairs, View
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl
from ffl_ray.models.branch_modules import without
from ffl_ray.models.helpers import Helper
from ffl_ray.models.network import NetworkOutput


def mcl_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """Every branch draws images of a class together, in its own embedding and in its peers'.

    L = sum_k [ CE(z_k, y) + c C(s_kk) ] + sum_(k, j != k) [ c C(s_kj) + b KL(s_jj -> s_kk)
    + b KL(s_jk -> s_kj) ], with s_kj the cosines of branch k's and j's embeddings over
    distill.contrast_temperature, C as `contrast`, c = distill.contrast_weight and b =
    distill.weight; KL is between rows of similarities at temperature 3, and its teacher a constant.
    With distill.logit_teacher the mean of all logits teaches every branch as well.
    """
    views, compared = _views(output), Compared(Pairs.of(labels, output), settings)
    terms, weight = cross_entropies(output, labels, settings), settings.contrast_weight
    for k, view in enumerate(views):
        found = compared.from_peers([view], without(k, views))
        terms[f"contrast_within.{k}"] = Term(compared.within(view), weight)
        terms[f"contrast_between.{k}"] = Term(found.between, weight)
        for name, value in (("within", found.within_from), ("between", found.between_from)):
            terms[f"peers_to_{name}.{k}"] = Term(value, settings.weight, schedule="ramp")
        if settings.logit_teacher:
            value = distillation_kl(
                output.branches[k], output.ensemble, temperature=settings.temperature
            )
            terms[f"ensemble_to_branches.{k}"] = Term(value, settings.weight, schedule="ramp")
    return terms


def mcl_helpers(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    """The embedding of every branch's pooled map."""
    assert example.kept.pooled is not None, "MCL embeds pooled maps"
    widths = [features.shape[1] for features in example.kept.pooled]
    return {f"embedding{k}": Helper(Embedding(width)) for k, width in enumerate(widths)}


def _views(output: NetworkOutput) -> list[View]:
    assert output.kept.pooled is not None, "MCL embeds pooled maps"
    assert output.helpers is not None, "MCL trains an embedding of each branch"
    own = [output.helpers[f"embedding{k}"](f) for k, f in enumerate(output.kept.pooled)]
    return [View(embedded, output.gather(embedded)) for embedded in own]


MCL = Recipe(mcl_terms, helpers=mcl_helpers)
