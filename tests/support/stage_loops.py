"""Losses over the maps of every stage, from their formulas, pixel by pixel in float64.

Modules are read for their weights alone. Each gives a term's value and its factor at a distill
weight of a quarter.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from support.reference import reference_ce, reference_kl

Terms = dict[str, tuple[float, float]]
QUARTER = 0.25


def normed(x: Tensor, module: nn.Module, *, from_batch: bool = True) -> Tensor:
    """Batch norm and ReLU, channel by channel."""
    assert isinstance(module, nn.BatchNorm2d)
    out = torch.empty_like(x)
    for c in range(x.shape[1]):
        values = x[:, c].flatten().tolist()
        mean = math.fsum(values) / len(values)
        variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
        if not from_batch:
            assert module.running_mean is not None
            assert module.running_var is not None
            mean, variance = float(module.running_mean[c]), float(module.running_var[c])
        scaled = (x[:, c] - mean) / math.sqrt(variance + module.eps)
        out[:, c] = (scaled * module.weight[c] + module.bias[c]).clamp(min=0)
    return out


def fused_logits(maps: list[Tensor], design: Any) -> Tensor:
    """FFL's module: every pixel's 3x3 surroundings, channel by channel; then 1x1; then the mean."""
    x = torch.cat(maps, dim=1)
    weight, (_, channels, height, width) = design.depthwise.weight, x.shape
    deep = torch.zeros_like(x)
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                for di in (-1, 0, 1):
                    for dj in (-1, 0, 1):
                        if 0 <= i + di < height and 0 <= j + dj < width:
                            w = weight[c, 0, di + 1, dj + 1]
                            deep[:, c, i, j] += w * x[:, c, i + di, j + dj]
    deep = normed(deep, design.bn1)
    point = torch.einsum("bchw,oc->bohw", deep, design.pointwise.weight[:, :, 0, 0])
    point = normed(point, design.bn2)
    linear = design.classifier.linear
    features = torch.stack([point[:, :, i, j] for i in range(height) for j in range(width)])
    logits: Tensor = features.mean(dim=0) @ linear.weight.T + linear.bias
    return logits


def crossed(maps: list[Tensor], module: Any) -> list[Tensor]:
    """K_t: each patch of a stage's map times the weights of its connection."""
    found = []
    for t, target in enumerate(maps):
        total = target.clone()
        for s in range(t):
            convolution, norm, *_ = module.crossings[t][s]
            k = maps[s].shape[2] // target.shape[2]
            out = torch.zeros_like(target)
            for i in range(target.shape[2]):
                for j in range(target.shape[3]):
                    patch = maps[s][:, :, i * k : i * k + k, j * k : j * k + k]
                    out[:, :, i, j] = torch.einsum("bcij,ocij->bo", patch, convolution.weight)
            total += normed(out, norm)
        found.append(total)
    return found


def decoded(last: Tensor, module: Any, *, from_batch: bool) -> list[Tensor]:
    """Each pixel spread over three by three of a map of twice the side, block after block."""
    found: list[Tensor] = []
    x = last
    for convolution, norm, *_ in module.blocks:
        batch, _, height, width = x.shape
        out = torch.zeros(batch, convolution.out_channels, 2 * height, 2 * width).double()
        for i in range(height):
            for j in range(width):
                for a in range(3):
                    for b in range(3):
                        row, column = 2 * i - 1 + a, 2 * j - 1 + b
                        if 0 <= row < 2 * height and 0 <= column < 2 * width:
                            out[:, :, row, column] += x[:, :, i, j] @ convolution.weight[:, :, a, b]
        x = normed(out, norm, from_batch=from_batch)
        found.insert(0, x)
    return found


def attended(image: Tensor) -> list[float]:
    """Mean square over an image's channels, pixel by pixel."""
    channels, height, width = image.shape
    return [
        math.fsum(float(image[c, i, j]) ** 2 for c in range(channels)) / channels
        for i in range(height)
        for j in range(width)
    ]


def unit(values: list[float]) -> list[float]:
    length = math.sqrt(math.fsum(v * v for v in values))
    return [v / length for v in values]


def distance(one: list[list[float]], other: list[list[float]]) -> float:
    """Mean over images and entries of the squared difference of what is made of length 1."""
    pairs = [
        (a, b)
        for x, y in zip(one, other, strict=True)
        for a, b in zip(unit(x), unit(y), strict=True)
    ]
    return math.fsum((a - b) ** 2 for a, b in pairs) / len(pairs)


def attention_distance(one: Tensor, other: Tensor) -> float:
    return distance([attended(x) for x in one], [attended(x) for x in other])


def diverse(peer: Tensor) -> tuple[list[list[float]], Tensor]:
    """Where the next student is to attend, and the peer's map shifted to it."""
    targets, shifted = [], peer.clone()
    channels, height, width = peer.shape[1:]
    for b, image in enumerate(peer):
        seen = attended(image)
        length = math.sqrt(math.fsum(v * v for v in seen))
        seen = [v / length for v in seen]
        threshold = sorted(seen)[height * width // 3 - 1]
        target = [
            length - v if v > threshold else length / 2 if v == threshold else v for v in seen
        ]
        for place, (to, v) in enumerate(zip(target, seen, strict=True)):
            shifted[b, :, place // width, place % width] += (to - v) * length / channels
        targets.append(target)
    return targets, shifted


@torch.no_grad()
def layered_ffl(output: Any, labels: Tensor) -> Terms:
    one_hot, terms = torch.eye(10)[labels], {}
    terms["ce_fused"] = reference_ce(output.fused, one_hot), 1.0
    terms["ensemble_to_fused"] = reference_kl(output.fused, output.ensemble, 3, 1e-7), QUARTER
    for k, logits in enumerate(output.branches):
        terms[f"ce_branches.{k}"] = reference_ce(logits, one_hot), 1.0
        terms[f"fused_to_branches.{k}"] = reference_kl(logits, output.fused, 3, 1e-7), QUARTER
    for index in (0, 1):
        design = output.helpers[f"layer{index + 1}"].fusion.design
        early = fused_logits([maps[1 - index] for maps in output.kept.stage_maps], design)
        share = 0.5**index
        terms[f"ce_layers.{index}"] = reference_ce(early, one_hot), share
        value = reference_kl(early, output.ensemble, 3, 1e-7)
        terms[f"ensemble_to_layers.{index}"] = value, QUARTER * share
        value = sum(reference_kl(logits, early, 3, 1e-7) for logits in output.branches)
        terms[f"layers_to_branches.{index}"] = value, QUARTER * share
    return terms


@torch.no_grad()
def dccl(output: Any, labels: Tensor) -> Terms:
    one_hot, n = torch.eye(10)[labels], len(output.branches)
    terms = {"ce_fused": (reference_ce(output.fused, one_hot), 1.0)}
    knowledge = [
        crossed(maps, output.helpers[f"crossings{k}"])
        for k, maps in enumerate(output.kept.stage_maps)
    ]
    to_fused = 0.0
    for k, logits in enumerate(output.branches):
        peers, stages = 0.0, 0.0
        for j in range(n):
            if j != k:
                peers += reference_kl(logits, output.branches[j], 3, 0) / (n - 1)
                for own, theirs in zip(knowledge[k], knowledge[j], strict=True):
                    stages += reference_kl(own.flatten(1), theirs.flatten(1), 3, 0) / (n - 1)
        terms[f"ce_branches.{k}"] = reference_ce(logits, one_hot), 1.0
        terms[f"peers_to_branches.{k}"] = peers, QUARTER
        terms[f"stages_to_branches.{k}"] = stages, QUARTER
        terms[f"fused_to_branches.{k}"] = reference_kl(logits, output.fused, 3, 0), QUARTER
        to_fused += reference_kl(output.fused, logits, 3, 0)
    return terms | {"branches_to_fused": (to_fused, QUARTER)}


@torch.no_grad()
def ffsd(output: Any, labels: Tensor) -> Terms:
    one_hot, leader, maps = torch.eye(10)[labels], output.leader, output.kept.stage_maps
    students = [k for k in range(len(output.branches)) if k != leader]
    z = output.branches
    terms = {f"ce_branches.{k}": (reference_ce(z[k], one_hot), 1.0) for k in range(len(z))}
    terms["ce_fused"] = reference_ce(output.fused, one_hot), 1.0
    mean = sum(z[k] for k in students) / len(students)
    terms["ensemble_to_fused"] = reference_kl(output.fused, mean, 2, 0), 1.0
    terms[f"fused_to_branches.{leader}"] = reference_kl(z[leader], output.fused, 2, 0), 1.0
    for place, k in enumerate(students):
        peers = [reference_kl(z[k], z[j], 2, 0) for j in students if j != k]
        terms[f"peers_to_branches.{k}"] = sum(peers) / len(peers), 1.0
        if place:
            target, shifted = diverse(maps[students[place - 1]][-1])
            seen = [unit(attended(image)) for image in maps[k][-1]]
            errors = [
                (a - c) ** 2
                for x, y in zip(seen, target, strict=True)
                for a, c in zip(x, y, strict=True)
            ]
            terms[f"diversity.{k}"] = math.fsum(errors) / len(errors), QUARTER * 1e-5
            value = as_decoded(output, k, shifted)
            terms[f"decoded_attention.{k}"] = value, QUARTER * 1e-5
    own, fused = maps[leader][-1], output.kept.fused_map
    terms["fused_attention"] = attention_distance(own, fused), QUARTER * 10
    expanded = own
    depthwise, norm, _, pointwise, second, _ = output.helpers["expansion"]
    expanded = nn.functional.conv2d(own, depthwise.weight, padding=1, groups=own.shape[1])
    expanded = torch.einsum("bchw,ocij->bohw", normed(expanded, norm), pointwise.weight)
    together = torch.cat([maps[k][-1] for k in students], dim=1)
    value = attention_distance(normed(expanded, second), together)
    terms["expanded_attention"] = value, QUARTER * 10
    terms[f"decoded_attention.{leader}"] = as_decoded(output, leader, fused), QUARTER * 10
    for k in (*students[1:], leader):
        made = decoded(maps[k][-1], output.helpers[f"decoder{k}"], from_batch=True)
        value = math.fsum(
            attention_distance(x, target)
            + distance([i.flatten().tolist() for i in x], [i.flatten().tolist() for i in target])
            for x, target in zip(made, maps[k], strict=False)
        )
        terms[f"decoding.{k}"] = value, QUARTER * 1000
    return terms


def as_decoded(output: Any, index: int, last: Tensor) -> float:
    made = decoded(last, output.helpers[f"decoder{index}"], from_batch=False)
    pairs = zip(output.kept.stage_maps[index], made, strict=False)
    return math.fsum(attention_distance(x, target) for x, target in pairs)


LOOPS = {"layered_ffl": layered_ffl, "dccl": dccl, "ffsd": ffsd}
