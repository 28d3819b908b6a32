"""Stratified splits that a seed fixes, and the hash that proves two are the same."""

import hashlib
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor


class Split(NamedTuple):
    """Positions of the two subsets of a set, each in ascending order."""

    rest: Int64[Tensor, "rest"]
    held_out: Int64[Tensor, "held_out"]


def stratified_split(labels: Int64[Tensor, "images"], fraction: float, seed: int) -> Split:
    """Hold out the same share of every class.

    Args:
        fraction: share that is held out, in [0, 1]; each class rounds by itself.
        seed: equal labels, fraction and seed give the equal split, on any machine.
    """
    generator = torch.Generator().manual_seed(seed)
    held_out = []
    for label in torch.unique(labels).tolist():
        members = torch.nonzero(labels == label).flatten()
        shuffled = members[torch.randperm(len(members), generator=generator)]
        held_out.append(shuffled[: round(fraction * len(members))])
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[torch.cat(held_out)] = True
    return Split(torch.nonzero(~chosen).flatten(), torch.nonzero(chosen).flatten())


def split_hash(train: Int64[Tensor, "train"], val: Int64[Tensor, "val"]) -> str:
    """Sixteen hexadecimal digits that name a train/val split by its positions."""
    digest = hashlib.sha256()
    for indices in (train, val):
        digest.update(len(indices).to_bytes(8, "little"))
        digest.update(indices.to(torch.int64).numpy().astype("<i8").tobytes())
    return digest.hexdigest()[:16]
