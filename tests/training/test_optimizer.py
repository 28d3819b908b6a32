"""Optimisers that are torch's own without its compiler, and the learning rate they are given."""

from typing import Any

import pytest
import torch
from support.forked import run_program
from support.helpers import ROOT, small_config
from torch.optim import SGD, Adam, AdamW, Optimizer

from ffl_ray.config.overrides import with_overrides
from ffl_ray.models.builder import build_network
from ffl_ray.training.optimizer import PlainAdam, PlainAdamW, PlainSGD, learning_rate, new_optimizer

SGD_SETTINGS = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-2, "fused": True}
ADAMW_SETTINGS = {"lr": 0.1, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1, "fused": True}


def trained(kind: type[Optimizer], settings: dict[str, Any]) -> torch.Tensor:
    """A weight after five steps, its optimiser restored from its state after the third."""
    network = torch.nn.Linear(4, 3)
    with torch.no_grad():
        network.weight.copy_(torch.arange(12).view(3, 4) / 10)
        network.bias.zero_()
    optimizer = kind(network.parameters(), **settings)
    for step in range(5):
        torch.autograd.backward(network(torch.full((2, 4), float(step))).square().sum())
        optimizer.step()
        optimizer.zero_grad()
        if step == 2:
            state = optimizer.state_dict()
            optimizer = kind(network.parameters(), **settings)
            optimizer.load_state_dict(state)
    return network.weight.detach()


@pytest.mark.parametrize(
    ("plain", "torchs", "settings"),
    [
        (PlainSGD, SGD, SGD_SETTINGS),
        (PlainAdam, Adam, ADAMW_SETTINGS),
        (PlainAdamW, AdamW, ADAMW_SETTINGS),
    ],
)
def test_a_plain_optimizer_is_torchs_to_the_bit(
    plain: type[Optimizer], torchs: type[Optimizer], settings: dict[str, Any]
) -> None:
    assert torch.equal(trained(plain, settings), trained(torchs, settings))


def test_planning_building_costing_and_training_load_no_compiler_and_no_torchvision() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from ffl_ray.planning.member_costs import planned_members\n"
        "from ffl_ray.training.worker import run_worker\n"
        "from support.helpers import MemorySession, small_config\n"
        "for name in ('sgd', 'adamw'):\n"
        "    config = small_config(data__fraction=0.1, optim__epochs=1, optim__optimizer=name)\n"
        "    assert planned_members(config, 10)\n"
        "    run_worker(config, MemorySession())\n"
        "assert not {'torch._dynamo', 'torchvision'} & set(sys.modules)\n"
    )

    done = run_program(code)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("overrides", "kind", "expected"),
    [
        ({}, PlainSGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        ({"optim.momentum": 0.0}, PlainSGD, {"momentum": 0.0, "nesterov": False}),
        (
            {"optim.optimizer": "adamw", "optim.lr": 0.01, "optim.beta1": 0.8,
             "optim.beta2": 0.9, "optim.epsilon": 1e-6},
            PlainAdamW,
            {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-6, "decoupled_weight_decay": True},
        ),
    ],
)  # fmt: skip
def test_the_optimizer_has_the_settings_of_its_kind_and_two_weight_decays(
    overrides: dict[str, object], kind: type[Optimizer], expected: dict[str, object]
) -> None:
    config = with_overrides(small_config(), overrides)
    network = build_network(
        config.model, config.fusion, image_shape=(1, 8, 8), num_classes=10, seed=0
    )

    optimizer = new_optimizer(config, network)

    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert {name: group[name] for name in expected} == expected
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-4, 1e-5]


@pytest.mark.parametrize(
    ("schedule", "warmup_epochs", "expected"),
    [
        ("step", 0, [0.1, 0.1, 0.1, 0.01, 0.001, 0.001]),
        ("constant", 0, [0.1] * 6),
        ("linear", 0, [0.1, 0.1 * 5 / 6, 0.1 * 4 / 6, 0.05, 0.1 * 2 / 6, 0.1 / 6]),
        ("cosine", 0, [0.1, 0.0933013, 0.075, 0.05, 0.025, 0.0066987]),
        ("step", 2, [0.05, 0.1, 0.1, 0.1, 0.01, 0.001]),
        ("constant", 4, [0.025, 0.05, 0.075, 0.1, 0.1, 0.1]),
        ("linear", 2, [0.05, 0.1, 0.1, 0.075, 0.05, 0.025]),
        ("cosine", 2, [0.05, 0.1, 0.1, 0.0853553, 0.05, 0.0146447]),
        ("cosine", 6, [0.1 / 6, 0.1 * 2 / 6, 0.05, 0.1 * 4 / 6, 0.1 * 5 / 6, 0.1]),
    ],
)
def test_the_learning_rate_warms_up_and_then_follows_the_schedule(
    schedule: str, warmup_epochs: int, expected: list[float]
) -> None:
    config = small_config(
        optim__epochs=6, optim__lr_schedule=schedule, optim__warmup=warmup_epochs / 6
    )  # fmt: skip

    assert [learning_rate(config, epoch) for epoch in range(6)] == pytest.approx(expected, abs=1e-7)
