"""Images that lie on the device, as batches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ffl_ray.data.augment import Draws, crop_and_flip, draw, normalise
from ffl_ray.data.batches import Batch, EpochRequest, draw_epoch
from ffl_ray.data.dataset import DatasetInfo, Images
from ffl_ray.data.policies import augmented, draw_policy
from ffl_ray.data.shards import Shard, Step, eval_steps

# Images whose TrivialAugment is drawn and made at once: the more there are, the more are alike.
MADE_AT_ONCE, MADE_AT_ONCE_BYTES = 8192, 2**25


class _View(NamedTuple):
    """The random numbers of one augmentation of every image by a policy, in the epoch's order."""

    policy: str
    draws: Draws
    seeds: Int64[Tensor, "images"] | None


class DeviceImages:
    """Images of one split, resident on a device, served as normalised batches."""

    def __init__(self, images: Images, info: DatasetInfo, device: torch.device) -> None:
        self.images = Images(images.pixels.to(device), images.labels.to(device))
        self.info = info
        self.device = device
        self.mean = torch.tensor(info.mean, device=device)
        self.std = torch.tensor(info.std, device=device)

    def train_batches(self, request: EpochRequest) -> Iterator[Batch]:
        """One epoch in random order, augmented."""
        branches = map(self._train_batches, request.apart())
        return map(Batch.of_branches, zip(*branches, strict=True))

    def _train_batches(self, request: EpochRequest) -> Iterator[Batch]:
        num_classes = len(self.info.classes)
        drawn = draw_epoch(request, len(self.images), self.images.image_shape, self._draw_view)
        order = drawn.order.to(self.device)
        made_alike = any(view.seeds is not None for view in drawn.views)
        steps, at_once = drawn.steps(request), self._steps_at_once(request) if made_alike else 1
        while block := list(itertools.islice(steps, at_once)):
            made = zip(*(self._augmented(order, view, block) for view in drawn.views), strict=True)
            for step, pixels in zip(block, made, strict=True):
                pictures = [normalise(view, self.mean, self.std) for view in pixels]
                labels = self.images.labels[step.of(order)]
                views, labels = drawn.mixed(step, pictures, labels, num_classes)
                images = views[0] if len(views) == 1 else torch.stack(views)
                indices = order[step.taken] if request.indexed else None
                yield Batch(images, labels, step.size, indices)

    def _steps_at_once(self, request: EpochRequest) -> int:
        """Steps whose images are augmented together."""
        images = min(MADE_AT_ONCE, MADE_AT_ONCE_BYTES // math.prod(self.images.image_shape))
        return max(1, images * request.shard.world_size // request.batch_size)

    def eval_batches(self, *, batch_size: int, shard: Shard = Shard()) -> Iterator[Batch]:
        """The shard's share of all images once, in order, not augmented."""
        for step in eval_steps(len(self.images), batch_size, shard):
            pixels = normalise(self.images.pixels[step.taken], self.mean, self.std)
            yield Batch(pixels, self.images.labels[step.taken], step.size)

    def _draw_view(self, policy: str, generator: torch.Generator) -> _View:
        count, info = len(self.images), self.info
        draws = draw(count, padding=info.crop_padding, flip=info.flip, generator=generator)
        return _View(policy, draws.to(self.device), draw_policy(policy, count, generator))

    def _augmented(
        self, order: Int64[Tensor, "images"], view: _View, steps: list[Step]
    ) -> tuple[UInt8[Tensor, "batch height width channels"], ...]:
        """One view of the images of each of these steps."""
        indices = [step.of(order) for step in steps]
        draws = Draws(*(torch.cat([step.of(rows) for step in steps]) for rows in view.draws))
        fill = self.info.crop_fill
        pixels = crop_and_flip(self.images.pixels, torch.cat(indices), draws, fill=fill)
        if view.seeds is not None:
            seeds = torch.cat([step.of(view.seeds) for step in steps])
            pixels = augmented(view.policy, pixels, seeds, self.info.mean)
        return torch.split(pixels, [len(rows) for rows in indices])
