"""DCCL, IEEE TCSVT 2022: cross-layer collaboration, by its authors' program."""

from __future__ import annotations

import torch
from torch import Tensor

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.stages import common_stage_shapes, stage_maps_of
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl, mean_kl
from ffl_ray.models.branch_modules import without
from ffl_ray.models.helpers import Helper
from ffl_ray.models.init import init_weights
from ffl_ray.models.network import NetworkOutput
from ffl_ray.models.stage_modules import CrossStages


def dccl_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """Branches teach each other by logits and by every stage, and the fused classifier as well.

    L = sum_k CE(z_k, y) + CE(z_f, y) + b w(t) sum_k [ 1/(N-1) sum_(j != k) { KL(z_j -> z_k)
        + sum_t KL(K_jt -> K_kt) } + KL(z_f -> z_k) + KL(z_k -> z_f) ]
    with K_kt branch k's knowledge of stage t (`models.stage_modules.CrossStages`), whose entries
    are the classes of its KL, and b = distill.weight. No gradient reaches a teacher. Two branches
    are published, where the 1/(N-1) is 1.
    """
    assert output.fused is not None, "DCCL has a fused classifier"
    assert output.helpers is not None, "DCCL crosses stages"
    weight, temperature = settings.weight, settings.temperature
    terms = cross_entropies(output, labels, settings)
    knowledge = [
        [x.flatten(1) for x in crossed(maps)]
        for crossed, maps in zip(output.helpers.values(), stage_maps_of(output), strict=True)
    ]
    values: dict[str, Tensor] = {}
    for index, logits in enumerate(output.branches):
        peers, others = without(index, output.branches), without(index, knowledge)
        stages = zip(knowledge[index], zip(*others, strict=True), strict=True)
        of_stages = [mean_kl(own, theirs, temperature=temperature) for own, theirs in stages]
        values[f"peers_to_branches.{index}"] = mean_kl(logits, peers, temperature=temperature)
        values[f"stages_to_branches.{index}"] = torch.stack(of_stages).sum()
        values[f"fused_to_branches.{index}"] = distillation_kl(
            logits, output.fused, temperature=temperature
        )
    to_fused = [
        distillation_kl(output.fused, logits, temperature=temperature) for logits in output.branches
    ]
    values["branches_to_fused"] = torch.stack(to_fused).sum()
    return terms | {name: Term(value, weight, "ramp") for name, value in values.items()}


def crossings(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    """Each branch's connections across its stages.

    Raises:
        SettingError: branches differ in the shapes of their maps, or have one stage.
    """
    shapes = common_stage_shapes(example, settings)
    made = {}
    for index in range(len(example.branches)):
        crossed = CrossStages(shapes)
        init_weights(crossed)
        made[f"crossings{index}"] = Helper(crossed)
    return made


DCCL = Recipe(dccl_terms, helpers=crossings)
