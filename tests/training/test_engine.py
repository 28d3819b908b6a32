"""The sums of an epoch: means over examples, whatever the form of their labels."""

import pytest
import torch
import torch.nn.functional as F
from support.tiny_nets import Scaled

from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig, OptimConfig
from ffl_ray.data.batches import Batch
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.ffl import ffl_terms
from ffl_ray.distill.terms import Term
from ffl_ray.models.network import NetworkOutput
from ffl_ray.training.clock import Clock
from ffl_ray.training.engine import Step, train_epoch
from ffl_ray.training.precision import Precision


@pytest.mark.parametrize("soft", [False, True])
def test_losses_are_means_over_examples_and_not_over_batches(soft: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(9, 4, generator=generator)
    labels = torch.rand(9, 4, generator=generator).softmax(1) if soft else torch.arange(9) % 4
    batches = [Batch(images[:6], labels[:6], 6), Batch(images[6:], labels[6:], 3)]
    network, settings = Scaled(), resolved_distill(DistillConfig(label_smoothing=0.2))

    step = Step(
        network,
        torch.optim.SGD(network.parameters(), lr=0.0),
        lambda output, targets: ffl_terms(output, targets, settings),
        distill_weight=0.0,
        precision=Precision("cpu"),
    )

    trained = train_epoch(step, batches)

    expected = [
        float(F.cross_entropy(scale * images, labels, label_smoothing=0.2))
        for scale in (0.5, 1.0, 2.0)
    ]
    names = ("ce_branches.0", "ce_branches.1", "ce_fused")
    assert [trained.losses[name] for name in names] == pytest.approx(expected, abs=1e-6)
    assert trained.losses["total"] == pytest.approx(sum(expected), abs=1e-6)
    assert trained.images == 9


def test_a_loss_is_told_which_images_it_has_and_how_much_of_the_training_is_done() -> None:
    told: list[tuple[float, list[int]]] = []

    def terms(output: NetworkOutput, labels: Labels) -> dict[str, Term]:
        assert output.share is not None
        assert output.image_indices is not None
        told.append((output.share.item(), output.image_indices.tolist()))
        return {"own.0": Term(output.branches.mean())}

    network, labels = Scaled(), torch.arange(9) % 4
    clock = Clock(OptimConfig(epochs=3, batch_size=6), 9, 1, torch.device("cpu"))
    step = Step(
        network,
        torch.optim.SGD(network.parameters(), lr=0.0),
        terms,
        distill_weight=1.0,
        precision=Precision("cpu"),
        clock=clock,
    )
    batches = [
        Batch(torch.ones(6, 4), labels[:6], 6, torch.tensor([5, 3, 1, 0, 2, 4])),
        Batch(torch.ones(3, 4), labels[6:], 3, torch.tensor([8, 7, 6])),
    ]

    clock.set(epoch=1, steps=1)
    step.run(batches[1])
    train_epoch(step, batches)

    assert told == [(3 / 6, [8, 7, 6]), (4 / 6, [5, 3, 1, 0, 2, 4]), (5 / 6, [8, 7, 6])]
