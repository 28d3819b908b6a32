"""AFD: branches deceive discriminators of their maps, in a step and by an optimiser of its own."""

from __future__ import annotations

import pytest
import torch
from support.helpers import MemorySession, small_config
from torch import Tensor, nn

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.distill.afd import ADVERSARY, RULE, Adversary, adversarial_terms
from ffl_ray.models.branch_modules import Kept
from ffl_ray.models.fusion import MapShape
from ffl_ray.models.network import NetworkOutput
from ffl_ray.planning.cost import DataSize, training_cost
from ffl_ray.training.checkpoint import dump_checkpoint
from ffl_ray.training.engine import train_epoch
from ffl_ray.training.progress import Progress
from ffl_ray.training.setup import Training, prepare
from ffl_ray.training.steps import epoch_batches, step_of

SHAPES = (MapShape(6, 8, 8), MapShape(4, 4, 4), MapShape(6, 4, 4))


def config_of(**settings: object) -> ResolvedConfig:
    small = {"data__fraction": 0.2, "objective": "deployed.accuracy", "distill__method": "afd"}
    return small_config(**small | settings)


def adversary_and_maps() -> tuple[Adversary, list[Tensor]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        adversary = Adversary(SHAPES).double().eval()
        maps = [torch.randn(5, *shape, dtype=torch.float64, requires_grad=True) for shape in SHAPES]
    return adversary, maps


def test_each_term_equals_a_loop_in_float64() -> None:
    adversary, maps = adversary_and_maps()
    output = NetworkOutput(
        torch.zeros(3, 5, 2, dtype=torch.float64),
        kept=Kept([[x] for x in maps]),
        helpers=nn.ModuleDict({ADVERSARY: adversary}),
    )

    terms = adversarial_terms(output, torch.arange(5), config_of(distill__weight=0.5).distill)

    for k in range(3):
        peer = (2, 0, 1)[k]  # the branch before it, in a ring
        deceived = found = 0.0
        for i in range(5):
            seen = []
            for branch in (k, peer):
                moved = adversary.transfers[branch](maps[branch][i : i + 1])
                seen.append(adversary.discriminators[k](moved).item())
            deceived += (1 - seen[0]) ** 2 / 5
            found += ((1 - seen[1]) ** 2 + seen[0] ** 2) / 5
        assert terms[f"deception.{k}"].value.item() == pytest.approx(deceived, abs=1e-12)
        assert terms[f"discriminator.{k}"].value.item() == pytest.approx(found, abs=1e-12)
        assert terms[f"deception.{k}"].weight == 0.5
    silent = adversarial_terms(output, torch.arange(5), config_of(distill__weight=0.0).distill)
    assert [*silent] == ["discriminator.0", "discriminator.1", "discriminator.2"]


def test_a_branch_is_trained_to_deceive_and_its_discriminator_not_to_be() -> None:
    adversary, maps = adversary_and_maps()
    parts = {f"map{k}": [x] for k, x in enumerate(maps)}
    parts |= {f"T{k}": [*t.parameters()] for k, t in enumerate(adversary.transfers)}
    parts |= {f"D{k}": [*d.parameters()] for k, d in enumerate(adversary.discriminators)}

    def reached(value: Tensor) -> set[str]:
        for tensor in [x for group in parts.values() for x in group]:
            tensor.grad = None
        torch.autograd.backward(value, retain_graph=True)
        return {
            n for n, xs in parts.items() if any(x.grad is not None and x.grad.any() for x in xs)
        }

    deceived, own = adversary(maps)

    for k in range(3):
        assert reached(deceived[k]) == {f"map{k}", f"T{k}"}
        assert reached(own[k]) == {f"D{k}"}


def test_two_branches_of_one_number_each_by_hand() -> None:
    adversary = Adversary([MapShape(1, 1, 1)] * 2).double()
    adversary.transfers = nn.ModuleList(nn.Identity() for _ in range(2))
    adversary.discriminators = nn.ModuleList(
        nn.Sequential(nn.Flatten(), nn.Linear(1, 1, bias=False).double()) for _ in range(2)
    )
    for discriminator, factor in zip(adversary.discriminators, (0.25, 0.5), strict=True):
        nn.init.constant_(discriminator[1].weight, factor)  # type: ignore[index]
    maps = [torch.full((3, 1, 1, 1), value, dtype=torch.float64) for value in (2.0, 0.5)]

    deceived, own = adversary(maps)

    # D_0 sees .5 in its own branch's map and .125 in the other's, D_1 .25 and 1.
    assert [x.item() for x in deceived] == pytest.approx([0.5**2, 0.75**2])
    assert [x.item() for x in own] == pytest.approx([0.875**2 + 0.5**2, 0 + 0.25**2])


def test_its_second_step_has_a_weight_decay_of_a_tenth_in_the_gradient_by_hand() -> None:
    training = prepare(config_of(), MemorySession())
    training.network.train()
    step, batch = step_of(training, 1.0), next(epoch_batches(training, 0))
    (phase,) = step.parts.then
    step.backward(step.forward(batch), step.parts.trained)
    step.descend(None)
    step.backward(step.forward(batch, phase), phase.trained)
    named = [(n, p) for n, p in training.network.named_parameters() if p.grad is not None]
    # Adam's first step: its rate along g / (|g| + epsilon), with g of the loss and of the decay.
    decayed = {name: p.grad.double() + 0.1 * p.detach().double() for name, p in named}  # type: ignore[union-attr]
    expected = {
        name: p.detach().double() - 2e-5 * decayed[name] / (decayed[name].abs() + 1e-8)
        for name, p in named
    }

    phase.hand_over()
    step.descend(None)

    for name, p in named:
        torch.testing.assert_close(p.detach().double(), expected[name], atol=2e-7, rtol=0, msg=name)
    assert any(name.startswith("helpers") for name, _ in named)
    assert any(name.startswith("branches") for name, _ in named)


def stepped(config: ResolvedConfig) -> Training:
    training = prepare(config, MemorySession())
    train_epoch(step_of(training, 1.0), [next(epoch_batches(training, 0))])
    return training


@pytest.mark.parametrize("mix", ["2*resnet8", "resnet8+wrn10_1"])
def test_its_step_follows_that_of_dml_by_adam_at_a_rate_of_its_own(mix: str) -> None:
    afd = stepped(config_of(model__mix=mix))
    dml = stepped(config_of(model__mix=mix, distill__method="dml", distill__temperature=3))

    rate = 0.1 * RULE.lr_factor
    assert rate == pytest.approx(2e-5)
    own, plain = (dict(t.network.named_parameters()) for t in (afd, dml))
    moved = {name: (own[name] - p).abs().max().item() for name, p in plain.items()}
    for name, most in moved.items():
        # Adam's first step is as long as its rate, whatever the gradient.
        assert most == (0 if name.startswith("classifiers") else pytest.approx(rate, rel=0.02)), (
            name
        )
    states = [s for s in afd.optimizer.state.values() if "exp_avg" in s]
    classifiers = 4
    assert len(states) == len(own) - classifiers
    assert sum("momentum_buffer" in s for s in afd.optimizer.state.values()) == len(plain)
    costs = [training_cost(t.config, DataSize(10, 50, 50)) for t in (afd, dml)]
    assert costs[0].macs == costs[1].macs
    assert 2 < costs[0].training_macs / costs[1].training_macs < 2.5
    stored = dump_checkpoint(afd.network, afd.optimizer, Progress())
    assert costs[0].checkpoint_bytes == pytest.approx(len(stored), rel=0.1)
    fresh = prepare(afd.config, MemorySession()).network.helpers.state_dict()
    changed = afd.network.helpers.state_dict()
    assert all(not torch.equal(changed[n], x) for n, x in fresh.items() if n.endswith("weight"))
