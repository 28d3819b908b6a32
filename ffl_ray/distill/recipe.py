"""What a method brings to a training: its loss, and what it does beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import DatasetInfo, Labels
from ffl_ray.distill.hooks import Hook
from ffl_ray.distill.terms import Term
from ffl_ray.models.builder import ImageShape
from ffl_ray.models.helpers import Helper, HelperRule
from ffl_ray.models.network import NetworkOutput

Terms = Callable[[NetworkOutput, Labels, ResolvedDistill], dict[str, Term]]
Mean = Callable[[Float[Tensor, "*values batch"]], Float[Tensor, "*values"]]
Takes = Callable[[NetworkOutput, Labels, ResolvedDistill, Mean], Bool[Tensor, "branches"]]


MEMBERS = "members"


@runtime_checkable
class ReadFromFile(Protocol):
    """A helper that is read from a file as a training is made ready, for images of its data.

    A network that is built for another reason, such as its cost, holds it unread.
    """

    def open(self, info: DatasetInfo, image_shape: ImageShape) -> None:
        """Read it."""
        ...


class Phase(NamedTuple):
    """A further step of the optimiser on the same batch, with a forward pass and loss of its own.

    Attributes:
        terms: its loss, whose names no other phase has.
        trains: `members`, which is all but the helpers, or names of helpers; nothing else is
            stepped, whatever the gradient of the loss reaches.
        rule: of an optimiser of its own for these, members too, with a state of its own; none:
            the training's steps here as well, by the rules of the first step.
        skips: helpers that read images, and whose reading it does not want: they are not called.
    """

    terms: Terms
    trains: tuple[str, ...]
    rule: HelperRule | None = None
    skips: tuple[str, ...] = ()


class Recipe(NamedTuple):
    """One method's computation; what its network is made of is its row of `config.methods`.

    Attributes:
        terms: the loss of a batch, as named terms.
        helpers: modules that the loss calls, by name, as `NetworkOutput.helpers` gives them; they
            are trained and stored with the network, and nobody deploys them. They are made from
            what a pass over one image gives in evaluation mode: its shapes, but for the batch, are
            those that the loss is given.
        trains: what that loss trains, as `Phase` names it; none: everything.
        then: further steps on the same batch.
        takes_step: whether each branch takes the step: a branch that does not gets no weight decay
            and keeps its momentum. It is given what averages values per image over all workers'
            images, and decides on the device.
        before_step: called before each step of the optimiser.
        after_step: called after each.
        after_epoch: called after the last step of each epoch, when all workers have the same batch
            norm statistics, and before the members are measured.
    """

    terms: Terms
    helpers: Callable[[NetworkOutput, ResolvedDistill], Mapping[str, Helper]] | None = None
    trains: tuple[str, ...] | None = None
    then: tuple[Phase, ...] = ()
    takes_step: Takes | None = None
    before_step: Hook | None = None
    after_step: Hook | None = None
    after_epoch: Hook | None = None
