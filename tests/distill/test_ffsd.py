"""FFSD: how its decoders are trained, by hand."""

from __future__ import annotations

import torch
from support.helpers import MemorySession, small_config

from ffl_ray.training.setup import prepare
from ffl_ray.training.steps import epoch_batches, step_of


def test_decoders_take_adams_steps_at_a_hundredth_of_the_rate_and_nothing_else_does() -> None:
    config = small_config(
        model__mix="3*resnet8",
        distill__method="ffsd",
        distill__ramp_up=0,
        data__fraction=0.2,
        optim__lr=0.1,
        optim__weight_decay=5e-4,
    )
    training = prepare(config, MemorySession())
    training.network.train()
    step = step_of(training, 1.0)
    step.backward(step.forward(next(epoch_batches(training, 0))))
    before = {
        name: (p.detach().double().clone(), p.grad.double().clone())
        for name, p in training.network.named_parameters()
        if p.grad is not None
    }

    step.descend(None)

    seen = set()
    for name, p in training.network.named_parameters():
        weight, gradient = before[name]
        part = name.split(".")[1] if name.startswith("helpers") else name.partition(".")[0]
        if part.startswith("decoder"):
            g = gradient + 1e-4 * weight
            expected = weight - 0.001 * g / (g.abs() + 1e-8)
        else:  # SGD's first step with Nesterov's momentum
            decay = 1e-5 if part == "fusion" else 5e-4
            expected = weight - 0.1 * 1.9 * (gradient + decay * weight)
        torch.testing.assert_close(p.detach().double(), expected, atol=2e-6, rtol=1e-6, msg=name)
        seen.add(part)
    assert {"decoder0", "decoder2", "expansion", "fusion", "branches"} <= seen
