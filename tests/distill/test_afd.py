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
