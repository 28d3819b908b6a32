"""Methods that ask: for everything of a network by the name `ASKING`, of a batch `CONTRASTING`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ffl_ray.config.methods import Method, made_of
from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term, cross_entropies, distillation_kl
from ffl_ray.models.helpers import Helper, HelperRule
from ffl_ray.models.network import NetworkOutput

ASKING = "support.own_methods:asking"
CONTRASTING = "support.own_methods:contrasting"


def predictors(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    """An adversary's optimiser for one, and the config's for the other."""
    assert example.kept.pooled is not None
    assert example.kept.stage_maps is not None
    width = example.kept.pooled[0].shape[1]
    shallow = example.kept.stage_maps[0][0].shape[1]
    predictor = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU())
    return {
        "predictor": Helper(predictor, HelperRule(0.01, lr_factor=1 / 64, optimizer="adamw")),
        "exit": Helper(nn.Linear(shallow, example.branches.shape[2]), HelperRule(lr_factor=0.5)),
    }


@made_of(
    Method(
        head="fusion",
        ramp_up=0,
        needs=frozenset({"stage_maps", "pooled", "fused_map", "image_indices", "share"}),
        terms=("prediction", "early"),
    ),
    helpers=predictors,
)
def asking(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """A helper predicts the fused map of a branch's features; another one is an early exit."""
    kept, helpers, share = output.kept, output.helpers, output.share
    assert kept.pooled is not None
    assert kept.stage_maps is not None
    assert kept.fused_map is not None
    assert helpers is not None
    assert share is not None
    assert output.image_indices is not None
    target = kept.fused_map.mean(dim=(2, 3)).detach()
    terms = cross_entropies(output, labels, settings)
    error = F.mse_loss(helpers["predictor"](kept.pooled[0]), target)
    terms["prediction"] = Term(error * (1 - share), schedule="linear")
    even = (output.image_indices % 2 == 0).to(target.dtype)
    for index, maps in enumerate(kept.stage_maps):
        logits = helpers["exit"](maps[0].mean(dim=(2, 3)))
        value = distillation_kl(logits, output.branches[index], temperature=2, per_image=even)
        terms[f"early.{index}"] = Term(value, settings.weight, schedule="warm_up")
    return terms


@made_of(
    Method(ramp_up=0, needs=frozenset({"hard_labels", "positives"}), terms=("contrast",)),
)
def contrasting(
    output: NetworkOutput, labels: Labels, settings: ResolvedDistill
) -> dict[str, Term]:
    """Each branch draws images of one class together; without two of a class it has no value."""
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    alike = (labels[:, None] == labels) & ~itself
    terms = cross_entropies(output, labels, settings)
    for index, logits in enumerate(output.branches):
        places = F.normalize(logits, dim=1)
        shares = (places @ places.T / 0.1).masked_fill(itself, -torch.inf).log_softmax(1)
        drawn = shares.masked_fill(~alike, 0).sum(1) / alike.sum(1)
        terms[f"contrast.{index}"] = Term(-drawn.mean(), 0.1)
    return terms
