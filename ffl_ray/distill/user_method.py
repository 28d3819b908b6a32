"""The user's own methods: `module:function` as distill.method, such as `my_method:taught`.

The contract: `function(output, labels, settings)` returns the loss as named `Term`s:

- output: a `NetworkOutput`, whose `branches` are logits [branches, batch, classes], `fused` those
  of the fused classifier [batch, classes] where there is one, `ensemble` the branches' mean;
- labels: class numbers [batch], or class probabilities where images are mixed;
- settings: the `ResolvedDistill`: temperature, weight, label_smoothing and the rest, as numbers.

A term is a mean over the batch in nats, with a weight; its schedule says how that changes over the
training (`distill.terms.Term`): `ramp` multiplies it by the epoch's distill weight. Names are
columns of the epochs table: `ce_branches.0` and so on and `ce_fused`
(`distill.terms.cross_entropies` makes them), or `own.0`, `own.1`, ... for what is your own. Every
member's logits must get a gradient.

On a GPU a step is recorded once a training and repeated: what Python itself counts or decides stays
as it was then, and a value that the host reads keeps the step from being recorded.

What the network holds beside the branches, and the method's defaults, are those of `ffl` unless
the function is decorated by `ffl_ray.config.methods.made_of(Method(...))`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ffl_ray.config.methods import method_of
from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.config.user_code import OwnCode, kind_of
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.terms import Term, total_loss
from ffl_ray.models.contract import isolated, without_gradient
from ffl_ray.models.network import NetworkOutput

BATCH, CLASSES = 4, 3
NAMES = re.compile(
    r"ce_fused|ensemble_to_fused"
    r"|(ce_branches|fused_to_branches|peers_to_branches|mean_teachers_to_branches|own)\.\d+"
)


def user_recipe(name: str) -> Recipe:
    """The recipe of a user's method: its function, and what `made_of` says it brings.

    Raises:
        SettingError: it can't be imported, or brings something that a recipe does not hold.
    """
    code = _code(name)
    function = code.load()
    brings: dict[str, Any] = getattr(function, "brings", {})
    others = sorted(brings.keys() - set(Recipe._fields) | brings.keys() & {"terms"})
    if others:
        known = ", ".join(Recipe._fields[1:])
        raise code.broken(f"it may bring {known or 'nothing'}, not {', '.join(others)}")
    return Recipe(function, **brings)


@functools.cache
def check_contract(settings: ResolvedDistill, num_branches: int) -> None:
    """Check of the contract: call a user's method with labels of both kinds, and run it backward.

    Raises:
        SettingError: it breaks the contract; what it broke is named.
    """
    code, terms_of = _code(settings.method), user_recipe(settings.method).terms
    for mixed in (False, True):
        with isolated():
            output, labels = _example(settings, num_branches, mixed=mixed)
            given = f"given {'class probabilities' if mixed else 'class numbers'}"
            call = functools.partial(terms_of, output, labels, settings)
            terms = code.called(call, f"called, {given}")
            _check_terms(code, terms)
            logits = {"every branch's": output.branches, "the fused": output.fused}
            named = [(name, x) for name, x in logits.items() if x is not None]
            for name in without_gradient(code, total_loss(terms, 1.0), named, rowwise=True):
                raise code.broken(f"{name} logits must get a gradient from the loss")


def _code(name: str) -> OwnCode:
    return OwnCode("distill.method", "a method", "function", name)


def _example(
    settings: ResolvedDistill, num_branches: int, *, mixed: bool
) -> tuple[NetworkOutput, Labels]:
    """Random arguments of a method: logits of a batch, and its labels."""
    method, generator = method_of(settings), torch.Generator().manual_seed(0)
    num_peers = num_branches - method.leader

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    output = NetworkOutput(
        drawn(num_branches, BATCH, CLASSES).requires_grad_(),
        drawn(BATCH, CLASSES).requires_grad_() if method.head else None,
        drawn(BATCH, num_peers, num_peers).softmax(2) if method.peer_attention else None,
        drawn(num_branches, BATCH, CLASSES) if method.mean_teacher else None,
        0 if method.leader else None,
    )
    return output, drawn(BATCH, CLASSES).softmax(1) if mixed else torch.arange(BATCH) % CLASSES


def _check_terms(code: OwnCode, terms: object) -> None:
    if not isinstance(terms, Mapping) or not terms:
        raise code.broken(f"it must return a dict of named terms, not {kind_of(terms)}")
    for name, term in terms.items():
        if not isinstance(name, str) or not NAMES.fullmatch(name):
            raise code.broken(
                f"a term's name must be ce_branches.N, ce_fused or own.N (or another column of "
                f"the epochs table), not {name!r}"
            )
        if not isinstance(term, Term):
            raise code.broken(f"{name} must be a Term, not {kind_of(term)}")
        if not isinstance(term.value, Tensor) or term.value.ndim or not term.value.isfinite():
            raise code.broken(f"{name} must be one finite number, a tensor without dimensions")
