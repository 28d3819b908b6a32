"""Batches, and the random numbers of an epoch that decide them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ffl_ray.config.settings import DataConfig, Mixing
from ffl_ray.data.class_balance import ClassBalance
from ffl_ray.data.dataset import Labels
from ffl_ray.data.mixing import Mix, draw_mixes, mix_images, mix_labels
from ffl_ray.data.seeds import epoch_seed
from ffl_ray.data.shards import Shard, Step, train_steps

ViewT = TypeVar("ViewT")


class Batch(NamedTuple):
    """One worker's share of a step; its labels are class numbers unless images are mixed.

    Where every branch sees a view of its own, images have the views as their first dimension; and
    where it sees images of its own, labels and indices have too. Indices are places in the split,
    where they are asked for.
    """

    images: Float[Tensor, "*views batch channels height width"]
    labels: Labels
    global_size: int
    indices: Int64[Tensor, "*branches batch"] | None = None

    def cloned(self) -> Batch:
        """The same in memory of its own."""
        indices = None if self.indices is None else self.indices.clone()
        return Batch(self.images.clone(), self.labels.clone(), self.global_size, indices)

    def fill(self, batch: Batch) -> None:
        """Have this batch's memory hold another one, of the same size."""
        self.images.copy_(batch.images)
        self.labels.copy_(batch.labels)
        if self.indices is not None and batch.indices is not None:
            self.indices.copy_(batch.indices)

    @property
    def num_images(self) -> int:
        """Images of this worker's share; each branch's, where it sees images of its own."""
        return self.images.shape[-4] if self.images.dim() > 4 else len(self.images)

    @classmethod
    def of_branches(cls, batches: Sequence[Batch]) -> Batch:
        """The batches of branches that see images of their own as one; a single one as it is."""
        if len(batches) == 1:
            return batches[0]
        indices = [batch.indices for batch in batches if batch.indices is not None]
        return cls(
            torch.stack([batch.images for batch in batches]),
            torch.stack([batch.labels for batch in batches]),
            batches[0].global_size,
            torch.stack(indices) if indices else None,
        )


class Augmentation(NamedTuple):
    """Augmentation of training images after the data set's crop and flip.

    Attributes:
        policies: of each view, as `data.policies` knows them; none: all views have one.
    """

    trivial: bool = False
    mixing: Mixing = "none"
    mixing_alpha: float = 1.0
    policies: tuple[str, ...] = ()

    def policy(self, view: int) -> str:
        """The policy of one view."""
        return self.policies[view] if self.policies else "trivial" if self.trivial else "standard"


def augmentation_of(settings: DataConfig, policies: tuple[str, ...] = ()) -> Augmentation:
    """The settings' augmentation, beside crop and flip.

    Args:
        policies: of each view, where the method has any and images are augmented.
    """
    return Augmentation(
        settings.augment == "trivial",
        settings.mixing,
        settings.mixing_alpha,
        policies if settings.augment != "none" else (),
    )


class EpochRequest(NamedTuple):
    """The batches that are wanted: of which epoch, and by which worker.

    Order and augmentation depend on seed and epoch alone: any number of workers sees the same
    global batches, and an epoch can be repeated by itself.

    Attributes:
        batch_size: images per step over all workers.
        epoch: epochs finished so far.
        first_step: steps of the epoch that are done already and left out.
        branch_seeds: of branches that see images of their own, one each, instead of `seed`.
        num_views: augmentations of each image, the first of them the same whatever their number;
            they share their mixing, since they share their labels.
        indexed: batches say which images they hold.
        balance: which classes share a batch; none: the order is random.
    """

    batch_size: int
    seed: int
    epoch: int
    first_step: int = 0
    shard: Shard = Shard()
    augmentation: Augmentation = Augmentation()
    branch_seeds: tuple[int, ...] = ()
    num_views: int = 1
    indexed: bool = False
    balance: ClassBalance | None = None

    def apart(self) -> list[EpochRequest]:
        """One request for each branch that sees images of its own, or this one."""
        each = [self._replace(seed=seed, branch_seeds=()) for seed in self.branch_seeds]
        return each or [self]


class EpochDraws(NamedTuple, Generic[ViewT]):
    """All random numbers of an epoch.

    Attributes:
        order: of the images.
        views: the numbers of one augmentation of every image, in that order, for each view.
        mixes: how each step's images are mixed; none: they are not.
    """

    order: Int64[Tensor, "images"]
    views: list[ViewT]
    mixes: list[Mix] | None

    def steps(self, request: EpochRequest) -> Iterator[Step]:
        """The worker's share of each step."""
        return train_steps(
            len(self.order),
            request.batch_size,
            request.shard,
            first_step=request.first_step,
            mixed=self.mixes is not None,
        )

    def mixed(
        self, step: Step, views: Iterable[Tensor], labels: Tensor, num_classes: int
    ) -> tuple[list[Tensor], Labels]:
        """A step's views and labels, each image with its partner's share where images are mixed.

        An image's partner is the next one of the global batch, the last one's the first: the
        order is random already (torchvision's MixUp and CutMix pair the same way).

        Args:
            views: of the images that the worker needs, as `Step.of` picks them.
            labels: class numbers of the same images.
        """
        if self.mixes is None:
            return list(views), labels
        mix = self.mixes[step.number]
        blended = [mix_images(*step.with_partners(view), mix) for view in views]
        return blended, mix_labels(*step.with_partners(labels), mix, num_classes)


def draw_epoch(
    request: EpochRequest,
    count: int,
    image_shape: tuple[int, int, int],
    draw_view: Callable[[str, torch.Generator], ViewT],
) -> EpochDraws[ViewT]:
    """The random numbers of an epoch of `count` images.

    Args:
        draw_view: draws those of one augmentation of every image, by a policy.
    """
    generator = torch.Generator().manual_seed(epoch_seed(request.seed, request.epoch))
    order = _order(request, count, generator)
    policies = map(request.augmentation.policy, range(request.num_views))
    first = draw_view(next(policies), generator)
    mixes = _draw_mixes(request, count, image_shape, generator)
    others = [draw_view(policy, generator) for policy in policies]
    return EpochDraws(order, [first, *others], mixes)


def _order(
    request: EpochRequest, count: int, generator: torch.Generator
) -> Int64[Tensor, "images"]:
    if request.balance is None:
        return torch.randperm(count, generator=generator)
    return request.balance.order(request.batch_size, generator)


def _draw_mixes(
    request: EpochRequest,
    count: int,
    image_shape: tuple[int, int, int],
    generator: torch.Generator,
) -> list[Mix] | None:
    """A mix for each step; None, and nothing drawn, where images are not mixed."""
    augmentation = request.augmentation
    if augmentation.mixing == "none":
        return None
    _, height, width = image_shape
    return draw_mixes(
        math.ceil(count / request.batch_size),
        mixing=augmentation.mixing,
        alpha=augmentation.mixing_alpha,
        height=height,
        width=width,
        generator=generator,
    )
