"""The user's own methods: `module:function` as distill.method, such as `my_method:taught`.

The contract: `function(output, labels, settings)` returns the loss as named `Term`s:

- output: a `NetworkOutput`, whose `branches` are logits [branches, batch, classes], `fused` those
  of the fused classifier [batch, classes] where there is one, `ensemble` the branches' mean;
- labels: class numbers [batch], or class probabilities where images are mixed;
- settings: the `DistillConfig`: temperature, weight, label_smoothing and the rest.

A term is a mean over the batch in nats, with a weight; `ramped` ones are multiplied by the epoch's
distill weight as well. Names are columns of the epochs table: `ce_branches.0` and so on and
`ce_fused` (`distill.terms.cross_entropies` makes them), or `own.0`, `own.1`, ... for what is your
own. Every member's logits must get a gradient.

What the network holds beside the branches, and the method's defaults, are those of `ffl` unless
the function is decorated by `ffl_ray.config.methods.made_of(Method(...))`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ffl_ray.config.methods import method_of
from ffl_ray.config.settings import DistillConfig
from ffl_ray.config.user_code import OwnCode, kind_of
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Term, total_loss
from ffl_ray.models.network import NetworkOutput

BATCH, CLASSES = 4, 3
NAMES = re.compile(
    r"ce_fused|ensemble_to_fused"
    r"|(ce_branches|fused_to_branches|peers_to_branches|mean_teachers_to_branches|own)\.\d+"
)
OwnTerms = Callable[[NetworkOutput, Labels, DistillConfig], dict[str, Term]]


def own_terms(name: str) -> OwnTerms:
    """A user's method.

    Raises:
        SettingError: it can't be imported.
    """
    return _own(name).load()


@functools.cache
def check_contract(settings: DistillConfig, num_branches: int) -> None:
    """Call a user's method once, with labels of both kinds, and run its loss backward.

    Raises:
        SettingError: it breaks the contract; what it broke is named.
    """
    name, terms_of = settings.method, own_terms(settings.method)
    for mixed in (False, True):
        output, labels = _example(settings, num_branches, mixed=mixed)
        given = f"given {'class probabilities' if mixed else 'class numbers'}"
        terms = _own(name).called(
            functools.partial(terms_of, output, labels, settings), f"called, {given}"
        )
        _check_terms(name, terms)
        loss = total_loss(terms, 1.0)
        if loss.requires_grad:
            _own(name).called(functools.partial(torch.autograd.backward, loss), "run backward")
        _check_gradients(name, output)


def _own(name: str) -> OwnCode:
    return OwnCode("distill.method", "a method", "function", name)


def _example(
    settings: DistillConfig, num_branches: int, *, mixed: bool
) -> tuple[NetworkOutput, Labels]:
    """What a method is given, at random."""
    parts, generator = method_of(settings), torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device="cpu")

    output = NetworkOutput(
        drawn(num_branches, BATCH, CLASSES).requires_grad_(),
        drawn(BATCH, CLASSES).requires_grad_() if parts.head else None,
        drawn(BATCH, num_branches - 1, num_branches - 1).softmax(2)
        if parts.peer_attention
        else None,
        drawn(num_branches, BATCH, CLASSES) if parts.mean_teacher else None,
    )
    numbers = torch.arange(BATCH, device="cpu") % CLASSES
    return output, drawn(BATCH, CLASSES).softmax(1) if mixed else numbers


def _check_terms(name: str, terms: object) -> None:
    if not isinstance(terms, Mapping) or not terms:
        raise _own(name).broken(f"it must return a dict of named terms, not {kind_of(terms)}")
    for term_name, term in terms.items():
        if not isinstance(term_name, str) or not NAMES.fullmatch(term_name):
            raise _own(name).broken(
                f"a term's name must be ce_branches.N, ce_fused or own.N (or another column of "
                f"the epochs table), not {term_name!r}"
            )
        if not isinstance(term, Term):
            raise _own(name).broken(f"{term_name} must be a Term, not {kind_of(term)}")
        if not isinstance(term.value, Tensor) or term.value.ndim or not term.value.isfinite():
            raise _own(name).broken(
                f"{term_name} must be one finite number, a tensor without dimensions"
            )


def _check_gradients(name: str, output: NetworkOutput) -> None:
    for what, logits in (("every branch's", output.branches), ("the fused", output.fused)):
        if logits is None:
            continue
        gradient = logits.grad
        reached = gradient is not None and gradient.flatten(-2).abs().sum(-1).gt(0).all()
        if not reached:
            raise _own(name).broken(f"{what} logits must get a gradient from the loss")
