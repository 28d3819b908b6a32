"""A teacher from outside: a trained network that teaches beside any method, and learns nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import DatasetInfo, Labels
from ffl_ray.distill.hooks import Hook, Moment
from ffl_ray.distill.outside import file_of, opened
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.terms import Logits, Term, distillation_kl
from ffl_ray.errors import SettingError
from ffl_ray.models.builder import ImageShape
from ffl_ray.models.helpers import Helper
from ffl_ray.models.network import NetworkOutput

TEACHER = "teacher"
DIGEST_BYTES = 32


class Teacher(nn.Module):
    """A trained network on the images of a training: a constant, in no checkpoint and no export.

    A training knows it by the digest of its file, which its checkpoints hold: it goes on with the
    same one alone. Until it is opened it knows nothing, and its logits are zeros.
    """

    digest: Tensor

    def __init__(self, settings: ResolvedDistill, num_classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.num_classes = num_classes
        self.register_buffer("digest", torch.zeros(DIGEST_BYTES, dtype=torch.uint8))
        # In a tuple no state, parameter or mode of the network's is this one's.
        self._held: tuple[nn.Module, ...] = ()

    def open(self, info: DatasetInfo, image_shape: ImageShape) -> None:
        """Read the network from its file.

        Raises:
            SettingError: it can't be had, or classifies other images or classes.
        """
        network = opened(self.settings, info, image_shape)
        with file_of(self.settings).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        self.digest.copy_(torch.tensor(list(digest), dtype=torch.uint8))
        self._held = (_OfNormalised(network, info).eval().requires_grad_(False),)

    @torch.no_grad()
    def forward(
        self, images: Float[Tensor, "*views batch channels height width"]
    ) -> Float[Tensor, "*views batch classes"]:
        """Logits of normalised images."""
        places = images.shape[:-3]
        if not self._held:
            return images.new_zeros(*places, self.num_classes)
        logits: Tensor = self._held[0](images.flatten(0, -4))
        return logits.reshape(*places, self.num_classes)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Teacher:
        for module in self._held:
            module._apply(fn, recurse)  # type: ignore[no-untyped-call]
        applied: Teacher = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return applied

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Tensor], prefix: str, *rest: Any
    ) -> None:
        stored = state_dict.get(f"{prefix}digest")
        if self._held and stored is not None and not torch.equal(stored, self.digest.cpu()):
            raise SettingError(
                f"distill.teacher must be the model that the training began with, and another one "
                f"is at {file_of(self.settings)} now"
            )
        super()._load_from_state_dict(state_dict, prefix, *rest)


class _OfNormalised(nn.Module):
    """A network of images in [0, 1], given them as a data set normalises them."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, info: DatasetInfo) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(info.mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(info.std).reshape(1, -1, 1, 1))

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Logits:
        logits: Tensor = self.network(images * self.std + self.mean)
        return logits


def with_teacher(recipe: Recipe) -> Recipe:
    """A method's recipe, with the teacher of the settings beside it.

    Whatever of the method is given an output sees in it what it would without a teacher; a hook
    that looks into the network itself finds it among the helpers. The
    teacher teaches in the first step on a batch alone, and is asked in no other.
    """

    def terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
        return recipe.terms(_own(output), labels, settings) | teacher_terms(output, settings)

    def helpers(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
        own = recipe.helpers(example, settings) if recipe.helpers else {}
        if TEACHER in own:
            raise SettingError(
                f"distill.teacher must be none for distill.method {settings.method}, one of whose "
                f"helpers is named {TEACHER} itself"
            )
        teacher = Teacher(settings, example.branches.shape[2])
        return {**own, TEACHER: Helper(teacher, reads_images=True)}

    return recipe._replace(
        terms=terms,
        helpers=helpers,
        then=tuple(
            phase._replace(terms=_of_own(phase.terms), skips=(*phase.skips, TEACHER))
            for phase in recipe.then
        ),
        takes_step=recipe.takes_step and _of_own(recipe.takes_step),
        before_step=_hook(recipe.before_step),
        after_step=_hook(recipe.after_step),
        after_epoch=_hook(recipe.after_epoch),
    )


def _hook(hook: Hook | None) -> Hook | None:
    """The same, whose outputs on held-out images are without the teacher."""

    def call(moment: Moment) -> None:
        held_out = moment.held_out
        assert hook is not None
        hook(moment._replace(held_out=lambda: ((_own(output), y) for output, y in held_out())))

    return hook and call


def _of_own(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda output, *rest: function(_own(output), *rest)


def _own(output: NetworkOutput) -> NetworkOutput:
    """The output without its teacher: with the method's own helpers, and what those read."""
    helpers = {name: one for name, one in (output.helpers or {}).items() if name != TEACHER}
    if not helpers:
        return output._replace(helpers=None, read=None)
    read = {name: x for name, x in (output.read or {}).items() if name != TEACHER}
    return output._replace(helpers=nn.ModuleDict(helpers), read=read)


def teacher_terms(output: NetworkOutput, settings: ResolvedDistill) -> dict[str, Term]:
    """Members learn from a trained network z_T, beside what their method has them learn.

    + a sum_k KL(z_T -> z_k), or + a KL(z_T -> z_f) for distill.teacher_to fused, with a =
    distill.teacher_weight, not ramped up: it knows from the first epoch on. Each branch is taught
    on the view that it sees; the fused classifier by the mean of its logits over all their views.
    """
    assert output.read is not None, "the teacher reads the images"
    logits, branches = output.read[TEACHER], output.branches
    temperature, weight = settings.teacher_temperature, settings.teacher_weight
    if temperature is None:
        temperature = settings.temperature
    views = logits if logits.dim() > 2 else logits.expand(len(branches), *logits.shape)
    if settings.teacher_to == "fused":
        assert output.fused is not None, "a teacher of the fused classifier needs one"
        seen = logits if logits.dim() == 2 else views[: len(branches)].mean(dim=0)
        value = distillation_kl(output.fused, seen, temperature=temperature)
        return {"teacher_to_fused": Term(value, weight)}
    return {
        f"teacher_to_branches.{index}": Term(
            distillation_kl(student, views[index], temperature=temperature), weight
        )
        for index, student in enumerate(branches)
    }
