"""Random numbers of a library that knows no generator: torch's global one, seeded and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def draw_seeds(count: int, generator: torch.Generator) -> list[int]:
    """Seeds drawn from a generator."""
    seeds: list[int] = torch.randint(2**62, (count,), generator=generator).tolist()
    return seeds


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, torch's global CPU generator follows this seed; after, nobody can tell."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
