"""OKDPH: the mean weights learn with their students, and are written back to them."""

from __future__ import annotations

import itertools

import pytest
import torch
from support.compared import assert_same_weights, weights, without_times
from support.helpers import MemorySession, small_config
from torch import Tensor

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.distill.hooks import Moment
from ffl_ray.distill.okdph import OKDPH, after_epoch, after_step, before_step
from ffl_ray.distill.registry import loss_terms_of
from ffl_ray.exported.member import stripped
from ffl_ray.models.builder import build_network
from ffl_ray.models.network import FusionNetwork
from ffl_ray.training.worker import run_worker


def config_of(**settings: object) -> ResolvedConfig:
    fixed = {"distill__method": "okdph", "objective": "averaged.accuracy"}
    return small_config(**fixed | settings)


def network_for(config: ResolvedConfig) -> FusionNetwork:
    shape = image_shape(config.data)
    network = build_network(
        config.model, config.fusion, config.distill, image_shape=shape, num_classes=10, seed=0
    )
    return network.double()


def moved_apart(network: FusionNetwork) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for branch in network.branches:
            for tensor in itertools.chain(branch.parameters(), branch.buffers()):
                if tensor.is_floating_point():
                    noise = torch.rand(tensor.shape, dtype=tensor.dtype, generator=generator)
                    tensor.add_(noise, alpha=0.05)


def moment_of(network: FusionNetwork, config: ResolvedConfig, epoch: int, step: int) -> Moment:
    return Moment(network, config.distill, 5, epoch, step, lambda: iter(()), lambda x: x)


def state_of(network: FusionNetwork, name: str) -> list[Tensor]:
    modules = network.member_modules(name)
    return [x.clone() for module in modules for x in module.state_dict().values()]


def test_students_start_alike_and_each_has_a_view_of_its_own_beside_the_mean_weights() -> None:
    config = config_of(model__mix="3*resnet8")
    network = network_for(config)

    for name in ("branch1", "branch2", "averaged"):
        for one, other in zip(state_of(network, "branch0"), state_of(network, name), strict=True):
            assert torch.equal(one, other)
    policies = config.distill.view_policies
    assert policies == ("rotation", "cutout", "randaugment", "autoaugment")
    assert config.num_views == 4
    assert config_of(distill__views=False).num_views == 1


@pytest.mark.parametrize("gradient", [True, False])
def test_the_mean_weights_loss_reaches_each_student_by_its_share_where_it_may(
    gradient: bool,
) -> None:
    config = config_of(distill__averaged_gradient=gradient)
    network = network_for(config)
    moved_apart(network)
    images = torch.randn(3, 8, *image_shape(config.data), dtype=torch.float64)

    output = network.train()(images)
    terms = loss_terms_of(config.distill)(output, torch.arange(8))
    term = terms["ce_averaged"]

    assert output.averaged is not None
    assert term.value.requires_grad == gradient
    assert term.weight == pytest.approx(0.2)
    if gradient:
        torch.autograd.backward(term.value)
        first, second = ([p.grad for p in branch.parameters()] for branch in network.branches)
        for one, other in zip(first, second, strict=True):
            assert one is not None
            assert other is not None
            assert one.any()
            assert torch.equal(one, other)
    assert all(p.grad is None for p in network.averages.parameters())  # type: ignore[union-attr]


def test_once_an_epoch_students_move_half_the_way_before_the_next_one() -> None:
    config = config_of()
    network = network_for(config)
    moved_apart(network)
    before_step(moment_of(network, config, 0, 0))
    first = [state_of(network, f"branch{k}") for k in (0, 1)]

    after_step(moment_of(network, config, 0, 0))
    after_epoch(moment_of(network, config, 0, 4))
    kept = [state_of(network, f"branch{k}") for k in (0, 1)]
    before_step(moment_of(network, config, 1, 0))
    before_step(moment_of(network, config, 1, 1))

    for was, still in zip(first, kept, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(was, still, strict=True))
    for one, other, mean, moved in zip(
        *first, state_of(network, "averaged"), state_of(network, "branch0"), strict=True
    ):
        if one.is_floating_point():
            torch.testing.assert_close(mean, (one + other) / 2)
            torch.testing.assert_close(moved, (one + mean) / 2)


def test_every_few_steps_they_become_the_mean_of_before_the_step() -> None:
    config = config_of(
        distill__write_back=1.0, distill__write_back_steps=2, distill__student_shares="dirichlet"
    )
    network = network_for(config)
    moved_apart(network)
    before_step(moment_of(network, config, 0, 2))
    assert network.averages is not None
    shares = network.averages.shares.clone()
    mean = state_of(network, "averaged")

    moved_apart(network)
    after_step(moment_of(network, config, 0, 2))

    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] != pytest.approx(0.5, abs=1e-3)
    for k in (0, 1):
        for found, expected in zip(state_of(network, f"branch{k}"), mean, strict=True):
            if expected.is_floating_point():
                torch.testing.assert_close(found, expected)
    moved_apart(network)
    apart = state_of(network, "branch0")
    before_step(moment_of(network, config, 0, 3))
    after_step(moment_of(network, config, 0, 3))
    assert not torch.equal(network.averages.shares, shares)
    assert all(torch.equal(a, b) for a, b in zip(apart, state_of(network, "branch0"), strict=True))


class Stopped(MemorySession):
    """Stops a training as its seventh checkpoint has been written: in its second epoch."""

    written = 0

    def write(self, name: str, data: bytes) -> None:
        super().write(name, data)
        self.written += 1
        if self.written == 9:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "settings",
    [{}, {"distill__write_back_steps": 2, "distill__student_shares": "dirichlet"}],
    ids=["epoch", "steps"],
)
def test_a_training_stopped_within_an_epoch_goes_on_to_the_same_weights(
    settings: dict[str, object],
) -> None:
    fixed = {
        "data__fraction": 0.2,
        "optim__epochs": 2,
        "compute__checkpoint_interval_s": 1e-6,
        "distill__view_policies": "standard,cutout,cutout",
    }
    config = config_of(**fixed | settings)
    whole, stopped = MemorySession(), Stopped()
    run_worker(config, whole)
    with pytest.raises(KeyboardInterrupt):
        run_worker(config, stopped)

    resumed = MemorySession(stopped.files)
    run_worker(config, resumed)

    assert len(stopped.rows) == 1
    assert without_times(resumed.rows[-1:]) == without_times(whole.rows[-1:])
    assert_same_weights(weights(resumed.files), weights(whole.files))


def test_the_mean_weights_are_exported_alone() -> None:
    network = network_for(config_of()).eval()
    moved_apart(network)
    after_epoch(moment_of(network, config_of(), 0, 4))
    images = torch.randn(2, 1, 8, 8, dtype=torch.float64)

    alone = stripped(network, "averaged")

    one = sum(p.numel() for module in network.students[0] for p in module.parameters())
    assert sum(p.numel() for p in alone.parameters()) == one
    assert torch.equal(alone.member("averaged", images), network(images).members[-1])
    assert OKDPH.after_epoch is after_epoch
