"""Cost of a member that is deployed alone: parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ffl_ray.models.network import FusionNetwork
from ffl_ray.models.outline import Outline

ResultT = TypeVar("ResultT")


class MemberCost(NamedTuple):
    """Size of one member, and its multiply-accumulates for one image."""

    parameters: int
    macs: int


def member_costs(
    network: FusionNetwork, image_shape: tuple[int, int, int], outline: Outline | None = None
) -> dict[str, MemberCost]:
    """The cost of every member: convolutions and matrix products count, nothing else does.

    Matrix products are linear layers, those inside attention, and einsum. torch's
    FlopCounterMode gives the same numbers (a test holds it) and takes 5 s on its first use.

    Args:
        outline: inside which the network was built; this is called inside, too.
    """
    was_training = network.training
    network.eval()
    images = torch.zeros(1, *image_shape, device=next(network.parameters()).device)
    costs = {name: _cost(network, name, images, outline) for name in network.member_names}
    network.train(was_training)
    return costs


def _cost(network: FusionNetwork, name: str, images: Tensor, outline: Outline | None) -> MemberCost:
    macs, _ = count_macs(lambda: network.member(name, images), outline)
    return MemberCost(count_parameters(*network.member_modules(name)), macs)


def count_parameters(*modules: nn.Module) -> int:
    """Number of parameters of these modules, one that they share counted once."""
    parameters = {id(p): p for module in modules for p in module.parameters()}
    return sum(p.numel() for p in parameters.values())


def count_macs(run: Callable[[], ResultT], outline: Outline | None = None) -> tuple[int, ResultT]:
    """Multiply-accumulates of one call of `run`, over all its images, and what it gives.

    Args:
        outline: whose convolutions are stand-ins that it counts itself.
    """
    before = outline.macs if outline else 0
    with torch.no_grad(), plain_attention(), MacCounter() as counter:
        result = run()
    return counter.macs + (outline.macs - before if outline else 0), result


class MacCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the multiply-accumulates of the operations that run inside.

    Attributes:
        macs: of all of them.
        constant_macs: of those without a gradient, which have no backward pass.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = self.constant_macs = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # torch's own answer loads the compiler on the first operation, which takes 5 s.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        macs = _macs(func._schema.name, args, out)
        self.macs += macs
        self.constant_macs += 0 if torch.is_grad_enabled() else macs
        return out


def _macs(operation: str, args: tuple[Any, ...], out: Any) -> int:
    if operation in ("aten::convolution", "aten::_convolution"):
        weight: Tensor = args[1]
        transposed = args[6]
        return int((args[0] if transposed else out).numel() * weight[0].numel())
    if operation in ("aten::mm", "aten::bmm"):
        return int(out.numel() * args[0].shape[-1])
    if operation in ("aten::addmm", "aten::baddbmm"):
        return int(out.numel() * args[1].shape[-1])
    if operation.startswith("aten::_scaled_dot_product"):
        query, key, value = args[:3]
        return int(query[..., 0].numel() * key.shape[-2] * (key.shape[-1] + value.shape[-1]))
    return 0


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention operation by operation: evaluation's fused layer hides its matrix products."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
