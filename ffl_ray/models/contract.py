"""Contract checks that the user's own backbones, fusion designs and methods share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ffl_ray.config.user_code import OwnCode


@contextmanager
def isolated() -> Iterator[None]:
    """The user's code runs inside on the CPU with gradients; torch's random state is put back."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.enable_grad():
        yield


def without_gradient(
    code: OwnCode, loss: Tensor, inputs: Iterable[tuple[str, Tensor]], *, rowwise: bool = False
) -> list[str]:
    """Names of the inputs that no gradient reaches when a loss is run backward.

    Args:
        loss: one number, which may depend on none of them.
        inputs: by name; those that want no gradient are left out.
        rowwise: a gradient of nothing but zeros for a row of logits [..., batch, classes] is none.

    Raises:
        SettingError: the user's code fails as it is run backward.
    """
    if loss.requires_grad:
        code.called(lambda: torch.autograd.backward(loss), "run backward")
    reached = _in_every_row if rowwise else lambda _: True
    wanting = [(name, x.grad) for name, x in inputs if x.requires_grad]
    return [name for name, gradient in wanting if gradient is None or not reached(gradient)]


def check_parameters(
    code: OwnCode, output: Tensor, parameters: Iterable[tuple[str, Tensor]]
) -> None:
    """Check that each trained parameter gets a gradient from a module's output.

    Raises:
        SettingError: one gets none, or the module fails as it is run backward.
    """
    unused = without_gradient(code, output.square().mean(), parameters)
    if unused:
        raise code.broken(
            f"every parameter must get a gradient, and these get none: {', '.join(unused[:5])}"
        )


def share(first: Iterable[Tensor], second: Iterable[Tensor]) -> bool:
    """Whether a parameter of the first is one of the second."""
    return bool({id(x) for x in first} & {id(x) for x in second})


def _in_every_row(gradient: Tensor) -> bool:
    return bool(gradient.flatten(-2).abs().sum(-1).gt(0).all())
