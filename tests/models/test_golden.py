"""FFL against numbers that the authors' program computed for the same weights and images."""

import json
from pathlib import Path

import pytest
import torch
from golden import rule
from torch import nn

from ffl_ray.config.methods import resolved_distill, resolved_from
from ffl_ray.config.settings import DistillConfig, ResolvedConfig
from ffl_ray.distill.ffl import ffl_terms
from ffl_ray.distill.terms import total_loss
from ffl_ray.models.builder import build_network
from ffl_ray.models.network import FusionNetwork
from ffl_ray.training.optimizer import new_optimizer
from ffl_ray.training.schedules import ramp_up

GOLDEN = json.loads(Path(rule.__file__).with_name("ffl_golden.json").read_text())
TOLERANCE = 1e-5


def golden_network(config: ResolvedConfig) -> FusionNetwork:
    network = build_network(
        config.model, config.fusion, image_shape=(3, 32, 32), num_classes=rule.CLASSES, seed=0
    ).double()
    parts: list[nn.Module] = [network.trunks, *network.branches, *network.classifiers]
    assert network.fusion is not None
    rule.fill([*parts, network.fusion])
    return network


def test_ramp_up_equals_the_authors() -> None:
    found = ramp_up(rule.EPOCH, epochs=300, share=80 / 300)

    assert found == pytest.approx(GOLDEN["ramp_up"], abs=1e-12)


def test_three_training_steps_equal_the_authors_in_every_logit_and_loss_term() -> None:
    config = resolved_from({"model.mix": f"2*resnet{rule.DEPTH}"})
    network = golden_network(config)
    optimizer = new_optimizer(config, network)

    for step, expected in enumerate(GOLDEN["steps"]):
        output = network(rule.images())
        terms = ffl_terms(output, rule.labels(), resolved_distill(DistillConfig()))
        total = total_loss(terms, ramp_up(rule.EPOCH, epochs=300, share=config.distill.ramp_up))
        optimizer.zero_grad()
        torch.autograd.backward(total)
        optimizer.step()

        assert {name: term.value.item() for name, term in terms.items()} == pytest.approx(
            expected["terms"], abs=TOLERANCE
        ), f"step {step}"
        assert total.item() == pytest.approx(expected["total"], abs=TOLERANCE)
        logits = {"branch0": output.branches[0], "branch1": output.branches[1]}
        for name, values in (logits | {"fused": output.fused}).items():
            torch.testing.assert_close(
                values[:, :4],
                torch.tensor(expected["logits"][name]).double(),
                atol=TOLERANCE,
                rtol=0,
            )
