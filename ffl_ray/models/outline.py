"""Outlines of networks: shapes and an autograd graph in milliseconds, without numbers.

Inside `outlined()` no weight is drawn, and convolutions and batch norms give empty tensors of the
right shape; any other operation is torch's. On the meta device nothing takes memory either, but
torch's meta kernels are Python and import its compiler on first use (6 s). On the CPU there is no
such wait: empty weights are memory that is never touched. Inside `on_meta()` convolutions are
torch's too, for whoever counts operations or runs backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import init
from torch.nn.functional import batch_norm, gelu, hardswish, hardtanh, relu, relu6, silu
from torch.overrides import TorchFunctionMode

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Outline(TorchFunctionMode):
    """A mode of torch in which some operations give shapes alone, and no weight is drawn.

    Args:
        stand_ins: what is called in an operation's place.

    Attributes:
        macs: multiply-accumulates of the convolutions since it was entered; those of matrix
            products, which are torch's own here, are counted by `MacCounter`.
        constant_macs: of those the ones without a gradient, which have no backward pass.
    """

    def __init__(self, stand_ins: Mapping[Callable[..., Any], Callable[..., Tensor]]) -> None:
        super().__init__()
        self.macs = self.constant_macs = 0
        self._stand_ins = stand_ins

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func in _DRAWS:
            return args[0] if args else named["tensor"]
        stand_in = self._stand_ins.get(func)
        if stand_in is None:
            return func(*args, **named)
        given = {**dict(zip(("input", "weight"), args, strict=False)), **named}
        if not isinstance(given.get("input"), Tensor):  # what is traced is given none
            return func(*args, **named)
        out = stand_in(*args, **named)
        if func in (torch.conv2d, torch.conv_transpose2d):
            spread = given["input"] if func is torch.conv_transpose2d else out
            macs = spread.numel() * given["weight"][0].numel()
            self.macs += macs
            self.constant_macs += 0 if torch.is_grad_enabled() else macs
        return out


@contextmanager
def outlined(device: str = "cpu") -> Iterator[Outline]:
    """Everything built and run inside is an outline.

    Args:
        device: meta, or cpu; a network must run where it was built.
    """
    # A context of a device that is the default anyway is a call more for every operation.
    is_default = torch.get_default_device() == torch.device(device)
    with nullcontext() if is_default else torch.device(device), Outline(_STAND_INS) as outline:
        yield outline


@contextmanager
def on_meta() -> Iterator[None]:
    """Tensors and modules made inside are on the meta device; run them inside too.

    Torch's own batch norm and activations are long Python functions there, most of a network's
    time.
    """
    with torch.device("meta"), Outline({batch_norm: _batch_norm, **_ACTIVATIONS}):
        yield


def built_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """What a library's builder makes, without numbers; what it computes on its way has some.

    What it draws meanwhile is put back: whoever builds afterwards starts from the same seed.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), _ParametersOnMeta():
        network = build()
    return network.to("meta")


def awaiting_weights(outlined: ModuleT, build: Callable[[], nn.Module]) -> ModuleT:
    """A network of the meta device in memory, whose weights are about to be loaded.

    Args:
        outlined: the network.
        build: gives the same network with numbers, whatever its weights; called where it has
            buffers that no file of weights holds, such as a transformer's table of positions.
    """
    network = outlined.to_empty(device="cpu")
    saved = network.state_dict().keys()
    computed = [name for name, _ in network.named_buffers() if name not in saved]
    if computed:
        with torch.random.fork_rng(devices=[]):
            made = dict(build().named_buffers())
        for name in computed:
            network.get_buffer(name).copy_(made[name])
    return network


class _ParametersOnMeta(TorchFunctionMode):
    """Layers' parameters on the meta device, while what a builder computes stays a number."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.empty, torch.zeros, torch.ones):
            kwargs["device"] = kwargs.get("device") or "meta"
        return func(*args, **kwargs)


class _Conv2d(torch.autograd.Function):
    """A convolution's output shape; its backward needs input and weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(x, weight)
        return x.new_empty(shape)


class _BatchNorm(torch.autograd.Function):
    """Batch norm's output shape; its backward needs the input, and mean and deviation of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight, x.new_empty(2, x.shape[1]))
        return x.new_empty(x.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, _ = ctx.saved_tensors
        of_weight = None if weight is None else torch.empty_like(weight)
        return torch.empty_like(x), of_weight, of_weight


class _Activation(torch.autograd.Function):
    """An activation's output shape; its backward needs the output."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = x.new_empty(x.shape)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return torch.empty_like(gradient)


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    out_channels, per_group, *kernel = weight.shape
    if input.shape[1] != per_group * groups:
        raise RuntimeError(
            f"a convolution's input must have {per_group * groups} channels, not {input.shape[1]}"
        )
    sides = []
    for axis in (0, 1):
        span = _at(dilation, axis) * (kernel[axis] - 1)
        length = input.shape[2 + axis] + _added(padding, axis, span)
        if length <= span:
            raise RuntimeError(
                f"a convolution's padded input must be at least {span + 1} long, not {length}"
            )
        sides.append((length - span - 1) // _at(stride, axis) + 1)
    out: Tensor = _Conv2d.apply(input, weight, (input.shape[0], out_channels, *sides))
    return out


def _conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    _, per_group, *kernel = weight.shape
    sides = [
        (input.shape[2 + axis] - 1) * _at(stride, axis)
        - 2 * _at(padding, axis)
        + _at(dilation, axis) * (kernel[axis] - 1)
        + _at(output_padding, axis)
        + 1
        for axis in (0, 1)
    ]
    out: Tensor = _Conv2d.apply(input, weight, (input.shape[0], per_group * groups, *sides))
    return out


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *rest: Any,
    **named: Any,
) -> Tensor:
    if weight is not None and weight.shape[0] != input.shape[1]:
        raise RuntimeError(
            f"batch norm's input must have {weight.shape[0]} channels, not {input.shape[1]}"
        )
    out: Tensor = _BatchNorm.apply(input, weight, bias)
    return out


def _activation(input: Tensor, *rest: Any, **named: Any) -> Tensor:
    out: Tensor = _Activation.apply(input)
    return out


def _at(size: int | Sequence[int], axis: int) -> int:
    return size if isinstance(size, int) else size[axis if len(size) > 1 else 0]


def _added(padding: int | str | Sequence[int], axis: int, span: int) -> int:
    """Rows or columns that padding adds, at both sides together."""
    if isinstance(padding, str):
        return span if padding == "same" else 0
    return 2 * _at(padding, axis)


_DRAWS = {
    init.normal_,
    init.uniform_,
    init.kaiming_normal_,
    init.kaiming_uniform_,
    Tensor.normal_,
    Tensor.uniform_,
}
_ACTIVATIONS: dict[Callable[..., Any], Callable[..., Tensor]] = dict.fromkeys(
    (relu, relu6, hardtanh, hardswish, silu, gelu), _activation
)
_STAND_INS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    torch.conv2d: _conv2d,
    torch.conv_transpose2d: _conv_transpose2d,
    batch_norm: _batch_norm,
}
