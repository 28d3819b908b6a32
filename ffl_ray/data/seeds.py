"""Seeds: of an epoch, of single images, and of a library that knows torch's global one alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Int64
from torch import Tensor


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of an epoch's order and augmentation."""
    return seed * 1_000_003 + epoch


def step_seed(seed: int, epoch: int, step: int) -> int:
    """A number of a step, of any size: for what is drawn as it is taken."""
    return epoch_seed(seed, epoch) * 1_000_003 + step


def draw_seeds(count: int, generator: torch.Generator) -> Int64[Tensor, "count"]:
    """Seeds drawn from a generator."""
    return torch.randint(2**62, (count,), generator=generator)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, torch's global CPU generator follows this seed; after, nobody can tell."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
