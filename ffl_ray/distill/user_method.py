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
the function is decorated by `ffl_ray.config.methods.made_of(Method(...))`. `Method.needs` asks for
more of the output (maps, features, which images they are, how much of the training is done),
`Method.terms` names terms of its own, and `made_of(Method(...), helpers=..., after_epoch=...)`
brings what `ffl_ray.distill.recipe.Recipe` holds beside the loss.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ffl_ray.config.methods import NEEDS, Method, method_of
from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.config.user_code import OwnCode, kind_of
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.brought import check_kinds, check_parts, check_takes_step
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.terms import TERM_COLUMNS, Term, total_loss
from ffl_ray.models.branch_modules import Kept
from ffl_ray.models.contract import isolated, without_gradient
from ffl_ray.models.helpers import Helper, HelperRule
from ffl_ray.models.network import NetworkOutput

BATCH, CLASSES, WIDTHS, SIDE = 4, 3, (4, 6), 4


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
    recipe = Recipe(function, **brings)
    check_kinds(code, recipe)
    return recipe


@functools.cache
def check_contract(settings: ResolvedDistill, num_branches: int) -> None:
    """Check of the contract: call a user's method with labels of both kinds, and run it backward.

    Raises:
        SettingError: it breaks the contract; what it broke is named.
    """
    code, recipe = _code(settings.method), user_recipe(settings.method)
    others = sorted(set(method_of(settings).needs) - set(NEEDS))
    if others:
        raise code.broken(f"it may need {', '.join(NEEDS)}, not {', '.join(others)}")
    for mixed in (False, True) if "hard_labels" not in method_of(settings).needs else (False,):
        with isolated():
            output, labels = _example(settings, num_branches, mixed=mixed)
            if recipe.helpers is not None:
                output = output._replace(helpers=_helpers(code, recipe, output, settings))
            given = f"given {'class probabilities' if mixed else 'class numbers'}"
            call = functools.partial(recipe.terms, output, labels, settings)
            terms = code.called(call, f"called, {given}")
            _check_terms(code, terms, method_of(settings).terms)
            check_parts(code, recipe, output)
            for phase in recipe.then:
                call = functools.partial(phase.terms, output, labels, settings)
                more = code.called(call, f"called for a further phase, {given}")
                _check_terms(code, more, method_of(settings).terms)
                terms = {**terms, **more}
            check_takes_step(code, recipe, output, labels, settings)
            logits = {"every branch's": output.branches, "the fused": output.fused}
            named = [(name, x) for name, x in logits.items() if x is not None]
            for name in without_gradient(code, total_loss(terms, 1.0), named, rowwise=True):
                raise code.broken(f"{name} logits must get a gradient from the loss")
            if output.helpers is not None:
                _check_trained(code, output.helpers)


def _helpers(
    code: OwnCode, recipe: Recipe, example: NetworkOutput, settings: ResolvedDistill
) -> nn.ModuleDict:
    """The helpers that a method makes from an example, after a check of each."""
    assert recipe.helpers is not None
    make = functools.partial(recipe.helpers, example, settings)
    made = code.called(make, "called for its helpers")
    if not isinstance(made, Mapping):
        raise code.broken(f"its helpers must be a dict by name, not {kind_of(made)}")
    for name, helper in made.items():
        if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
            raise code.broken(f"a helper's name must be letters, digits and _, not {name!r}")
        if not isinstance(helper, Helper) or not isinstance(helper.module, nn.Module):
            raise code.broken(f"helper {name} must be a Helper of a torch.nn.Module")
        if not isinstance(helper.rule, HelperRule):
            raise code.broken(
                f"the rule of helper {name} must be a HelperRule, not {kind_of(helper.rule)}"
            )
        if helper.rule.optimizer not in (None, "sgd", "adam", "adamw"):
            raise code.broken(
                f"the optimizer of helper {name} must be sgd, adam, adamw or none, not "
                f"{helper.rule.optimizer!r}"
            )
    return nn.ModuleDict({name: helper.module for name, helper in made.items()})


def _check_trained(code: OwnCode, helpers: nn.ModuleDict) -> None:
    unused = [name for name, p in helpers.named_parameters() if p.requires_grad and p.grad is None]
    if unused:
        raise code.broken(
            f"every helper's parameter must get a gradient from the loss, and these get none: "
            f"{', '.join(unused[:5])}"
        )


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
        _kept(method, num_branches, drawn),
        torch.arange(BATCH) if "image_indices" in method.needs else None,
        torch.tensor(0.5, dtype=torch.float64) if "share" in method.needs else None,
        averaged=drawn(BATCH, CLASSES) if method.student_average else None,
        later_stages=_later_stages if "later_stages" in method.needs else None,
    )
    if mixed:
        return output, drawn(BATCH, CLASSES).softmax(1)
    places = torch.arange(BATCH)
    return output, places // 2 if "positives" in method.needs else places % CLASSES


def _later_stages(branch: int, stage: int) -> nn.Module:
    """What stands for the stages of an example's branch after so many."""
    return nn.Conv2d(WIDTHS[stage - 1], WIDTHS[-1], 1)


def _kept(method: Method, num_branches: int, drawn: Callable[..., Tensor]) -> Kept:
    """Random maps and features of an example, those that the method needs."""
    maps = [[drawn(BATCH, w, SIDE, SIDE) for w in WIDTHS] for _ in range(num_branches)]
    width = WIDTHS[-1]
    return Kept(
        maps if "stage_maps" in method.needs else None,
        [drawn(BATCH, width) for _ in maps] if "pooled" in method.needs else None,
        drawn(BATCH, width, SIDE, SIDE) if "fused_map" in method.needs else None,
    )


def _check_terms(code: OwnCode, terms: object, declared: Collection[str]) -> None:
    if not isinstance(terms, Mapping) or not terms:
        raise code.broken(f"it must return a dict of named terms, not {kind_of(terms)}")
    for name, term in terms.items():
        column = re.fullmatch(r"(\w+)(\.\d+)?", name) if isinstance(name, str) else None
        if column is None or column[1] not in (*TERM_COLUMNS, "own", *declared):
            raise code.broken(
                f"a term's name must be ce_branches.N, ce_fused or own.N (or another column of "
                f"the epochs table), or one of Method.terms, not {name!r}"
            )
        if not isinstance(term, Term):
            raise code.broken(f"{name} must be a Term, not {kind_of(term)}")
        if not isinstance(term.value, Tensor) or term.value.ndim or not term.value.isfinite():
            raise code.broken(f"{name} must be one finite number, a tensor without dimensions")
