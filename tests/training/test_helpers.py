"""Helpers: trained by rules of their own, stored with the network, and in no member."""

from __future__ import annotations

import io

import pytest
import torch
from support.helpers import MemorySession, small_config
from support.own_methods import ASKING, predictors
from torch import Tensor

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.data.loader import load_train_val
from ffl_ray.distill.check import check_config
from ffl_ray.exported.member import stripped
from ffl_ray.planning.cost import DataSize, network_distill, network_size, training_cost
from ffl_ray.training.optimizer import Optimizers, PlainAdamW, PlainSGD
from ffl_ray.training.setup import prepare
from ffl_ray.training.steps import epoch_batches, step_of
from ffl_ray.training.worker import run_worker


def config_of(**changes: object) -> ResolvedConfig:
    small = {"distill__method": ASKING, "data__fraction": 0.2, "optim__epochs": 2}
    return small_config(**small | changes)


def stored(session: MemorySession) -> dict[str, dict[str, Tensor]]:
    state = torch.load(io.BytesIO(session.files["latest.pt"]), weights_only=True)
    found: dict[str, dict[str, Tensor]] = state
    return found


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_training_with_helpers_goes_on_as_if_never_stopped(optimizer: str) -> None:
    rate = {"sgd": 0.1, "adamw": 1e-3}[optimizer]
    config = config_of(optim__optimizer=optimizer, optim__lr=rate)
    check_config(config)
    whole, stopped = MemorySession(), MemorySession(stop_after=1)
    run_worker(config, whole)
    with pytest.raises(KeyboardInterrupt):
        run_worker(config, stopped)

    resumed = MemorySession(stopped.files)
    run_worker(config, resumed)

    found, expected = (stored(session)["network"] for session in (resumed, whole))
    assert {name.split(".")[1] for name in expected if "helpers" in name} == {"predictor", "exit"}
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    first, last = whole.rows
    assert resumed.rows[-1]["loss.own"] == last["loss.own"]
    assert last["loss.own_names"] == "prediction,early.0,early.1"
    assert len(last["loss.own"]) == 3
    assert last["loss.own"][1] < first["loss.own"][1]


def test_each_helper_is_trained_by_its_rule_and_members_as_without_helpers() -> None:
    training = prepare(config_of(), MemorySession())
    step = step_of(training, torch.ones(5, dtype=torch.float64))
    helpers = training.network.helpers
    before = {name: p.detach().clone() for name, p in helpers.named_parameters()}
    batch = next(epoch_batches(training, 0))
    training.network.train()

    loss = step.forward(batch)
    step.backward(loss)
    gradients = {name: p.grad.clone() for name, p in helpers.named_parameters()}  # type: ignore[union-attr]
    step.update()

    assert isinstance(training.optimizer, Optimizers)
    assert [type(part) for part in training.optimizer.parts] == [PlainSGD, PlainAdamW]
    for name, p in helpers.named_parameters():
        twin = torch.nn.Parameter(before[name].clone())
        twin.grad = gradients[name]
        if name.startswith("predictor"):
            torch.optim.AdamW([twin], lr=0.1 / 64, weight_decay=0.01).step()
        else:
            sgd = torch.optim.SGD(
                [twin], lr=0.1 * 0.5, momentum=0.9, nesterov=True, weight_decay=1e-4
            )
            sgd.step()
        torch.testing.assert_close(p.detach(), twin.detach(), rtol=1e-6, atol=1e-8)
        assert not torch.equal(p, before[name])
    assert [group["lr"] for group in training.optimizer.param_groups] == [0.1, 0.1, 0.05, 0.1 / 64]


def test_helpers_are_seeded_and_change_nothing_that_stands_beside_them() -> None:
    alone = prepare(config_of(distill__method="ffl"), MemorySession()).network
    networks = [prepare(config_of(), MemorySession()).network for _ in range(2)]

    own, again = (network.state_dict() for network in networks)
    for name, value in own.items():
        assert torch.equal(value, again[name]), name
    for name, value in alone.state_dict().items():
        assert torch.equal(own[name], value), name
    other = prepare(config_of(seed=1), MemorySession()).network.helpers.state_dict()
    assert not torch.equal(other["exit.weight"], own["helpers.exit.weight"])


def test_helpers_count_in_training_and_in_no_member() -> None:
    config, ffl = config_of(), config_of(distill__method="ffl")
    trainings = [prepare(each, MemorySession()) for each in (config, ffl)]
    data = load_train_val(config.data)
    sizes = DataSize(len(data.info.classes), len(data.train), len(data.val))

    assert trainings[0].costs == trainings[1].costs
    for name in trainings[0].network.member_names:
        kept = stripped(trainings[0].network, name)
        assert not [key for key in kept.state_dict() if "helpers" in key], name
    helped, plain = (training_cost(each, sizes) for each in (config, ffl))
    parameters = sum(p.numel() for p in trainings[0].network.helpers.parameters())
    assert helped.parameters - plain.parameters == parameters
    assert helped.macs == plain.macs
    linear = 64 * 64 + 2 * 16 * 10
    assert helped.training_macs - plain.training_macs == 3 * linear
    session = MemorySession()
    run_worker(config_of(optim__epochs=1, compute__per_class=False), session)
    assert helped.checkpoint_bytes == pytest.approx(len(session.files["latest.pt"]), rel=0.03)


def test_networks_of_a_helped_method_are_told_apart_by_all_settings() -> None:
    first, second = (config_of(distill__temperature=t) for t in (2.0, 3.0))

    assert network_distill(first) != network_distill(second)
    assert network_distill(first) == first.distill
    shape = (1, 8, 8)
    meta = network_size(first.model, first.fusion, first.distill, shape, 10, "meta")
    assert meta.macs == network_size(first.model, first.fusion, first.distill, shape, 10).macs
    assert predictors.__module__ == "support.own_methods"
