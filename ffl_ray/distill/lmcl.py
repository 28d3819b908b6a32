"""L-MCL, layer-wise mutual contrastive learning: Yang et al. 2023, TPAMI, arXiv:2207.11518."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.contrast import WIDTH, Compared, Embedding, Pairs, View
from ffl_ray.distill.exits import Exit, exit_stages, exits_of, placed_exits
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.terms import Logits, Term, cross_entropies, distillation_kl
from ffl_ray.models.branch_modules import without
from ffl_ray.models.helpers import Helper
from ffl_ray.models.network import NetworkOutput


class Aggregator(nn.Module):
    """Shares of a branch's classifiers in their mix: of its embeddings side by side, by a softmax.

    Linear to 128, ReLU, linear to one number for each classifier.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(count * WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, count)
        )

    def forward(self, views: list[View]) -> Float[Tensor, "batch classifiers"]:
        shares: Tensor = self.layers(torch.cat([view.own for view in views], dim=1)).softmax(dim=1)
        return shares


class Branch(NamedTuple):
    """A branch's exits, the earliest first, and last its own classifier.

    Attributes:
        views: embeddings of each.
        exits: logits of the exits.
        aggregate: the mix of all logits.
    """

    views: list[View]
    exits: list[Logits]
    aggregate: Logits


def lmcl_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """`mcl` between every stage of a branch and every stage of the others, and a mix that teaches.

    L = sum_k [ sum_s CE(z_ks, y) + CE(a_k, y) + c sum_s C(s_ks,ks) ] + sum_(k, j != k) sum_(s,t)
    [ c C(s_ks,jt) + b KL(s_jt,jt -> s_ks,ks) + b KL(s_jt,ks -> s_ks,jt) ] + b sum_(k,j)
    KL(a_j -> z_k), with s and t the exits of a branch and its own classifier, and a_k = sum_s g_s
    z_ks the mix of their logits; all else as in `mcl_terms`. The authors weigh each (s, t) by a
    number that is learnt by descending through steps of the optimiser: here all are 1.
    """
    branches, compared = _branches(output), Compared(Pairs.of(labels, output), settings)
    terms = cross_entropies(output, labels, settings)
    weight, b = settings.contrast_weight, settings.weight
    for k, branch in enumerate(branches):
        peers = [view for peer in without(k, branches) for view in peer.views]
        found = compared.from_peers(branch.views, peers)
        ces = [F.cross_entropy(z, labels) for z in branch.exits]
        within = [compared.within(view) for view in branch.views]
        kls = [
            distillation_kl(output.branches[k], peer.aggregate, temperature=settings.temperature)
            for peer in branches
        ]
        terms |= {
            f"ce_exits.{k}": Term(torch.stack(ces).sum()),
            f"ce_aggregates.{k}": Term(F.cross_entropy(branch.aggregate, labels)),
            f"contrast_within.{k}": Term(torch.stack(within).sum(), weight),
            f"contrast_between.{k}": Term(found.between, weight),
            f"peers_to_within.{k}": Term(found.within_from, b, schedule="ramp"),
            f"peers_to_between.{k}": Term(found.between_from, b, schedule="ramp"),
            f"aggregates_to_branches.{k}": Term(torch.stack(kls).sum(), b, schedule="ramp"),
        }
    return terms


def lmcl_helpers(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    """Exits, an embedding of each and of every branch's last map, an aggregator of each branch."""
    assert example.kept.stage_maps is not None, "L-MCL embeds maps of stages"
    helpers = exits_of(example)
    for k, maps in enumerate(example.kept.stage_maps):
        count, width = len(exit_stages(len(maps))) + 1, maps[-1].shape[1]
        helpers |= {f"embedding{k}_{s}": Helper(Embedding(width)) for s in range(count)}
        helpers[f"aggregator{k}"] = Helper(Aggregator(count))
    return helpers


def _branches(output: NetworkOutput) -> list[Branch]:
    assert output.kept.pooled is not None, "L-MCL embeds pooled maps"
    assert output.helpers is not None, "L-MCL trains embeddings and exits"
    found = []
    for k, placed in enumerate(placed_exits(output)):
        features, exits = [], []
        for head, x in placed:
            assert isinstance(head, Exit)
            features.append(head.features(x))
            exits.append(head.classifier(features[-1]))
        features.append(output.kept.pooled[k])
        own = [output.helpers[f"embedding{k}_{s}"](f) for s, f in enumerate(features)]
        views = [View(embedded, output.gather(embedded)) for embedded in own]
        shares = output.helpers[f"aggregator{k}"](views)
        logits = torch.stack([*exits, output.branches[k]])
        found.append(Branch(views, exits, torch.einsum("bs,sbc->bc", shares, logits)))
    return found


LMCL = Recipe(lmcl_terms, helpers=lmcl_helpers)
