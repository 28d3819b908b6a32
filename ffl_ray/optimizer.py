"""SGD without the 5 s that torch's optimisers spend importing the compiler nobody asked for."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim import SGD, Optimizer


class PlainSGD(SGD):
    """torch.optim.SGD, its methods taken from under their decorators.

    Each decorated method imports torch._dynamo on its first call, to keep a compiler out that is
    not running. The computation is torch's own, to the bit.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update of every parameter that has a gradient."""
        return _plain_step(self, closure)


_plain_step = inspect.unwrap(SGD.step)
