"""Networks on torch's meta device: shapes and autograd graphs are real there, numbers are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.nn.functional import batch_norm
from torch.overrides import TorchFunctionMode


@contextmanager
def on_meta() -> Iterator[None]:
    """Tensors and modules made inside are on the meta device; run them inside too.

    No weight is drawn, and batch norm only gives outputs and gradients of its shapes: torch's own
    of these two are long Python functions on the meta device, six sevenths of a network's time.
    """
    with torch.device("meta"), _CheapMeta():
        yield


class _CheapMeta(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _STAND_INS.get(func, func)(*args, **(kwargs or {}))


class _Shape(torch.autograd.Function):
    """An output and gradients of batch norm's shapes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors)


def _batch_norm(
    x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, *_: Any, **__: Any
) -> Tensor:
    if weight.shape != (x.shape[1],):
        raise RuntimeError(f"batch norm of {len(weight)} channels got {x.shape[1]}")
    out: Tensor = _Shape.apply(x, weight, bias)
    return out


def _undrawn(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
    return tensor


_STAND_INS: dict[Any, Callable[..., Any]] = {batch_norm: _batch_norm, init.normal_: _undrawn}
