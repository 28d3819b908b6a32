"""What a training takes, computed from outlines, beside what real ones take."""

from __future__ import annotations

import math
import weakref
from typing import Any

import pytest
import torch
from support.helpers import MemorySession, small_config
from torch.utils._python_dispatch import TorchDispatchMode

from ffl_ray.config.methods import (
    METHODS,
    mix_of_method,
    resolved_from,
    with_reachable_objective,
)
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.data.batches import EpochRequest
from ffl_ray.data.device_images import DeviceImages
from ffl_ray.data.loader import load_train_val
from ffl_ray.models.builder import build_network
from ffl_ray.models.cost import MacCounter, member_costs
from ffl_ray.planning.cost import DataSize, network_distill, network_size, training_cost
from ffl_ray.planning.member_costs import planned_members
from ffl_ray.training.engine import train_epoch
from ffl_ray.training.setup import prepare
from ffl_ray.training.steps import epoch_batches, step_of
from ffl_ray.training.worker import run_worker

MIXES = ("2*resnet20", "resnet20+3*wrn16_2", "2*wrn16_2")


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The slow way: watch every tensor that is really made, and when its memory goes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **kwargs or {})
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor):
                self._watch(tensor.untyped_storage())
        return out

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def sizes(config: ResolvedConfig) -> DataSize:
    data = load_train_val(config.data)
    return DataSize(len(data.info.classes), len(data.train), len(data.val))


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("design", ["concat_depthwise", "gated"])
def test_an_outline_has_the_parameters_and_macs_of_the_network(mix: str, design: str) -> None:
    config = resolved_from({"model.mix": mix, "fusion.design": design})

    size = network_size(config.model, config.fusion, network_distill(config), (3, 16, 16), 10)

    network = build_network(
        config.model, config.fusion, image_shape=(3, 16, 16), num_classes=10, seed=0
    )
    classifiers = sum(layer.get_parameter("weight").numel() for layer in network.classifiers)
    assert size.parameters == sum(p.numel() for p in network.parameters())
    assert size.buffers == sum(b.numel() for b in network.buffers())
    assert size.macs == member_costs(network, (3, 16, 16))["fused"].macs + classifiers


@pytest.mark.parametrize("method", ["pcl", "dkel"])
def test_mean_teachers_have_no_backward_pass(method: str) -> None:
    settings = {"data.name": "cifar10", "model.mix": "3*resnet8", "model.trunk_stages": 0}
    config = resolved_from(settings | {"distill.method": method})
    size = network_size(config.model, config.fusion, network_distill(config), (3, 32, 32), 10)
    costs = {row["member"]: row["macs"] for row in planned_members(config, 10)}

    cost = training_cost(config, DataSize(10, 0, 0))

    assert size.constant_macs == sum(costs[f"mean_teacher{k}"] for k in range(3))
    assert cost.training_macs == 3 * size.macs - 2 * size.constant_macs


class StepMacs(MacCounter):  # type: ignore[no-untyped-call]
    """What a real step takes, its backward pass too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name == "aten::convolution_backward":
            gradient, images, weight, *_, transposed, _, _, wanted = args
            spread = images if transposed else gradient
            self.macs += sum(wanted[:2]) * spread.numel() * weight[0].numel()
        return super().__torch_dispatch__(func, types, args, kwargs)


@pytest.mark.parametrize(
    "named",
    [
        *({"distill.method": method} for method in METHODS),
        {"distill.method": "okdph", "distill.averaged_gradient": False},
        {"distill.method": "ffl", "model.mix": "resnet8+2*wrn16_2"},
    ],
    ids=lambda named: "-".join(map(str, named.values())),
)
def test_the_macs_of_a_step_are_those_that_a_real_one_takes(named: dict[str, object]) -> None:
    torch.set_num_threads(1)
    mix = mix_of_method(METHODS[str(named["distill.method"])], "resnet8", 3)
    given = {"data.name": "digits", "data.fraction": 0.5, "optim.batch_size": 64, "model.mix": mix}
    config = with_reachable_objective(resolved_from({**given, **named}))
    training = prepare(config, MemorySession())
    batches = epoch_batches(training, epoch=0)

    with StepMacs() as counter:
        train_epoch(step_of(training, distill_weight=1.0), [next(batches)])

    predicted = training_cost(config, sizes(config)).training_macs
    assert counter.macs / 64 == pytest.approx(predicted, rel=0.03)


@pytest.mark.parametrize(("mix", "batch_size"), [("2*resnet20", 256), ("resnet20+2*wrn16_2", 64)])
def test_memory_is_within_a_quarter_of_what_a_real_step_allocates(
    mix: str, batch_size: int
) -> None:
    torch.set_num_threads(1)
    config = small_config(model__mix=mix, optim__batch_size=batch_size, data__fraction=1.0)
    predicted = training_cost(config, sizes(config))
    training = prepare(config, MemorySession())
    parts = [part for part in (training.train, training.val) if isinstance(part, DeviceImages)]
    held = sum(p.nbytes for p in training.network.parameters())
    held += sum(b.nbytes for b in training.network.buffers())
    held += sum(t.nbytes for part in parts for t in part.images)
    batches = training.train.train_batches(EpochRequest(batch_size=batch_size, seed=0, epoch=0))

    with LiveBytes() as live:
        train_epoch(step_of(training, distill_weight=1.0), [next(batches), next(batches)])

    assert predicted.memory_bytes == pytest.approx(held + live.peak, rel=0.25)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_checkpoint_is_within_three_hundredths_of_what_is_predicted(momentum: float) -> None:
    config = small_config(optim__epochs=1, optim__momentum=momentum, compute__per_class=False)
    session = MemorySession()

    run_worker(config, session)

    predicted = training_cost(config, sizes(config)).checkpoint_bytes
    assert predicted == pytest.approx(len(session.files["latest.pt"]), rel=0.03)


def test_several_workers_share_the_batch_and_hold_gradients_twice() -> None:
    config = small_config(optim__batch_size=2048)
    one, two = (training_cost(config, DataSize(10, 0, 0), workers) for workers in (1, 2))
    size = network_size(config.model, config.fusion, network_distill(config), (1, 8, 8), 10)

    saved = one.memory_bytes - two.memory_bytes

    assert saved == 1024 * size.saved_bytes - 4 * size.parameters
    assert one.checkpoint_bytes == two.checkpoint_bytes


def test_the_images_count_by_their_shape() -> None:
    digits = small_config()
    cifar = small_config(data__name="cifar10", data__dir="/nowhere")

    with_images = training_cost(cifar, DataSize(10, 900, 100)).memory_bytes
    without = training_cost(cifar, DataSize(10, 0, 0)).memory_bytes

    assert with_images - without == 1000 * (math.prod((3, 32, 32)) + 8)
    assert (
        training_cost(digits, DataSize(10, 0, 0)).macs
        < training_cost(cifar, DataSize(10, 0, 0)).macs
    )
