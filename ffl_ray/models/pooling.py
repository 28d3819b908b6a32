"""Pooled features and what is computed of them: in float32 where autocast makes bfloat16.

Eight bits of mantissa give logits that tie, and a likelihood in coarse steps; behind the pooling
float32 costs next to nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor


def pooled(
    x: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels"]:
    """Mean of a map over its pixels, summed in float32 at least."""
    halved = x.dtype in (torch.bfloat16, torch.float16)
    return x.mean(dim=(2, 3), dtype=torch.float32 if halved else None)


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Autocast switched off for tensors of this one's device.

    Where it is off nothing is entered: an exporter would write that down.
    """
    kind = like.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)
