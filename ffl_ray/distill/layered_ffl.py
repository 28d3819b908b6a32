"""Layered FFL, our own: FFL's module after every stage, each with a classifier.

It covers the idea common to layer fusion, dense feature fusion and multi-scale fusion, whose
formulas are not public, and reproduces none of them.
"""

from __future__ import annotations

import torch

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.ffl import ffl_terms
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.stages import stage_maps_of, stage_shapes
from ffl_ray.distill.terms import Logits, Term
from ffl_ray.models.fusion import build_fusion
from ffl_ray.models.helpers import Helper, HelperRule
from ffl_ray.models.init import init_weights
from ffl_ray.models.network import NetworkOutput
from ffl_ray.models.stage_modules import StageFusion

DESIGN = "concat_depthwise"


def layered_ffl_terms(
    output: NetworkOutput, labels: Labels, settings: ResolvedDistill
) -> dict[str, Term]:
    """FFL's loss, and the same of a fused classifier after every stage before the last.

    L = L_FFL + sum_d r^(d-1) { a [ CE(z_d, y) + w(t) KL(z_e -> z_d) ]
                                + b w(t) sum_k KL(z_d -> z_k) }
    with z_d the logits of FFL's module on the maps d stages before the last, a =
    distill.layer_weight, b = distill.layer_to_branch_weight and r = distill.layer_decay. FFL's
    switches, weights and temperatures hold here too. A trunk has one map for all its branches, so
    that the module reads it once. Terms are numbered from the last stage but one to the first.
    """
    assert output.helpers is not None, "layers have modules"
    terms = ffl_terms(output, labels, settings)
    for layer in output.helpers.values():
        assert isinstance(layer, StageFusion)
        logits = layer(stage_maps_of(output), detach=settings.layer_detach)
        terms |= _of_layer(layer.before_last - 1, logits, output, labels, settings)
    return terms


def _of_layer(
    index: int,
    logits: Logits,
    output: NetworkOutput,
    labels: Labels,
    settings: ResolvedDistill,
) -> dict[str, Term]:
    """FFL's terms with a layer's classifier in the fused one's place, those to branches as one."""
    of_ffl = ffl_terms(output._replace(fused=logits), labels, settings)
    share = settings.layer_decay**index
    taught = settings.layer_weight * share
    terms = {
        f"{name}.{index}": term._replace(weight=term.weight * taught)
        for name, term in (
            ("ce_layers", of_ffl["ce_fused"]),
            ("ensemble_to_layers", of_ffl.get("ensemble_to_fused")),
        )
        if term is not None
    }
    to_branches = [term for name, term in of_ffl.items() if name.startswith("fused_to_branches")]
    if to_branches:
        value = torch.stack([term.value for term in to_branches]).sum()
        weight = to_branches[0].weight * settings.layer_to_branch_weight * share
        terms[f"layers_to_branches.{index}"] = to_branches[0]._replace(value=value, weight=weight)
    return terms


def layers(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    """A module for each stage that every branch has before its last.

    Raises:
        SettingError: there is none.
    """
    shapes, maps = stage_shapes(example, settings), stage_maps_of(example)
    made = {}
    for before_last in range(1, min(map(len, shapes))):
        own = {id(of[-1 - before_last]): k for k, of in reversed([*enumerate(maps)])}
        branches = sorted(own.values())
        at = [shapes[k][-1 - before_last] for k in branches]
        fusion = build_fusion(DESIGN, at, 0, example.branches.shape[2])
        init_weights(fusion)
        layer = StageFusion(fusion, branches, before_last)
        made[f"layer{before_last}"] = Helper(layer, HelperRule(weight_decay="fusion"))
    return made


LAYERED_FFL = Recipe(layered_ffl_terms, helpers=layers)
