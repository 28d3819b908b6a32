"""Branches that run beside each other, on CUDA streams of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from ffl_ray.models.fusion_designs import Map


def side_by_side(
    branches: Iterable[nn.Module], inputs: Sequence[Map], streams: Sequence[torch.cuda.Stream]
) -> list[Map]:
    """Each branch's map.

    A small map leaves most of a GPU idle. Inside a CUDA graph branches on other streams are other
    paths from the trunk to the fusion, which the GPU walks at once; the backward pass keeps each
    operator's stream.

    Args:
        streams: of the branches after the first; none: one branch after the other.
    """
    pairs = list(zip(branches, inputs, strict=True))
    if not streams:
        return [branch(x) for branch, x in pairs]
    here = torch.cuda.current_stream()
    forked = here.record_event()
    maps = []
    for (branch, x), stream in zip(pairs, (here, *streams), strict=True):
        stream.wait_event(forked)
        with torch.cuda.stream(stream):
            # Its memory is kept until this stream is done with it.
            x.record_stream(stream)
            maps.append(branch(x))
    for x, stream in zip(maps[1:], streams, strict=True):
        here.wait_stream(stream)
        x.record_stream(here)
    return maps
