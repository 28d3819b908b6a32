"""Images that are streamed: decoded from their files ahead of a training, then on the device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ffl_ray.data.augment import normalise
from ffl_ray.data.batches import Batch, EpochDraws, EpochRequest, draw_epoch
from ffl_ray.data.dataset import DatasetInfo, Files, Images, Labels
from ffl_ray.data.device_images import DeviceImages
from ffl_ray.data.seeds import draw_seeds
from ffl_ray.data.shards import Shard, Step, eval_steps
from ffl_ray.data.streaming.loader_process import Item, Recipe
from ffl_ray.data.streaming.pool import LoaderPool


class _View(NamedTuple):
    """The policy of one augmentation of every image, and its seeds in the epoch's order."""

    policy: str
    seeds: Int64[Tensor, "images"]


def served(
    images: Images | Files, info: DatasetInfo, device: torch.device, pool: LoaderPool
) -> DeviceImages | StreamedImages:
    """A split as batches on a device, from memory or from files as it was opened."""
    if isinstance(images, Files):
        return StreamedImages(images, info, device, pool)
    return DeviceImages(images, info, device)


class StreamedImages:
    """Images of one split, decoded anew for every epoch, served as normalised batches.

    It serves what `DeviceImages` does, in the same order. Beside the uint8 pixels nothing
    crosses to the device: they are normalised and mixed there.
    """

    def __init__(
        self, images: Files, info: DatasetInfo, device: torch.device, pool: LoaderPool
    ) -> None:
        self.images = images
        self.info = info
        self.device = device
        self.pool = pool
        self.mean = torch.tensor(info.mean, device=device)
        self.std = torch.tensor(info.std, device=device)

    def train_batches(self, request: EpochRequest) -> Iterator[Batch]:
        """One epoch in random order, augmented.

        An image is decoded where it is used; a worker's last partner of a mix twice.
        """
        count, requests = len(self.images), request.apart()
        shape, draw_view = self.images.image_shape, self._draw_view
        drawn = [draw_epoch(one, count, shape, draw_view) for one in requests]
        steps = list(drawn[0].steps(request))
        recipe = Recipe(self.images.size, flip=self.info.flip, mean=self.info.mean)
        asked = ([item for one in drawn for item in self._items(one, step)] for step in steps)
        share = -(-request.batch_size // request.shard.world_size) + 1
        most = len(drawn) * request.num_views * share
        for step, pixels in zip(steps, self.pool.squares(asked, recipe, most), strict=True):
            parts = self._on_device(pixels).chunk(len(drawn))
            each = zip(drawn, parts, strict=True)
            yield Batch.of_branches([self._batch(one, step, part, request) for one, part in each])

    def eval_batches(self, *, batch_size: int, shard: Shard = Shard()) -> Iterator[Batch]:
        """The shard's share of all images once, in order, not augmented."""
        steps = list(eval_steps(len(self.images), batch_size, shard))
        positions = (range(step.taken.start, step.taken.stop) for step in steps)
        asked = ([Item(self.images.source(i)) for i in taken] for taken in positions)
        most = -(-batch_size // shard.world_size)
        squares = self.pool.squares(asked, Recipe(self.images.size), most)
        for step, pixels in zip(steps, squares, strict=True):
            labels = self._moved(self.images.labels[step.taken])
            yield Batch(self._on_device(pixels), labels, step.size)

    def _draw_view(self, policy: str, generator: torch.Generator) -> _View:
        return _View(policy, draw_seeds(len(self.images), generator))

    def _batch(
        self,
        drawn: EpochDraws[_View],
        step: Step,
        flat: Float[Tensor, "all channels height width"],
        request: EpochRequest,
    ) -> Batch:
        """A step's batch from its pixels, view after view."""
        num_views = len(drawn.views)
        images = flat.view(num_views, -1, *flat.shape[1:])
        labels: Labels = self._moved(self.images.labels[step.of(drawn.order)])
        if drawn.mixes is not None:
            views, labels = drawn.mixed(step, images, labels, len(self.info.classes))
            images = torch.stack(views)
        indices = self._moved(drawn.order[step.taken]) if request.indexed else None
        return Batch(images[0] if num_views == 1 else images, labels, step.size, indices)

    def _items(self, drawn: EpochDraws[_View], step: Step) -> list[Item]:
        """The files of a step, view after view."""
        sources = [self.images.source(i) for i in step.of(drawn.order).tolist()]
        if not self.info.random_crop:
            return [Item(source) for _ in drawn.views for source in sources]
        return [
            Item(source, seed, view.policy)
            for view in drawn.views
            for source, seed in zip(sources, step.of(view.seeds).tolist(), strict=True)
        ]

    def _on_device(
        self, pixels: UInt8[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Pixels that may be overwritten afterwards, normalised on the device."""
        return normalise(self._moved(pixels), self.mean, self.std)

    def _moved(self, x: Tensor) -> Tensor:
        """A tensor on the device: to a GPU from pinned memory, which the host does not wait for.

        Apple's would read memory that is not pinned after it is something else's.
        """
        to_gpu = self.device.type == "cuda"
        return (x.pin_memory() if to_gpu else x).to(self.device, non_blocking=to_gpu)
