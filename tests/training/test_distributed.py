"""Two processes that train together against one that trains alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.helpers import MemorySession, small_config
from support.own_methods import ASKING
from support.processes import in_processes
from support.simulated_cuda import SimulatedCuda
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import DistillConfig, ResolvedConfig
from ffl_ray.data.batches import Batch
from ffl_ray.distill.ffl import ffl_terms
from ffl_ray.distill.mcl import mcl_terms
from ffl_ray.distill.recipe import Mean
from ffl_ray.models.branch_modules import Kept
from ffl_ray.models.network import NetworkOutput
from ffl_ray.training.engine import Step, average_running_statistics, train_epoch
from ffl_ray.training.hooks import hooked
from ffl_ray.training.parted_step import Parts
from ffl_ray.training.precision import Precision, format_of
from ffl_ray.training.predictions import Predictions, from_texts
from ffl_ray.training.setup import Training, prepare
from ffl_ray.training.steps import epoch_batches, step_of, train_on
from ffl_ray.training.worker import run_worker

PRECISION = Precision("cpu")


class Linears(nn.Module):
    """A network without batch norm, whose result can't depend on how a batch is shared."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shape = (3, 5, 4)
        self.weight = nn.Parameter(torch.randn(shape, dtype=torch.float64, generator=generator))

    def forward(self, images: Tensor) -> NetworkOutput:
        logits = torch.einsum("bi,nio->nbo", images, self.weight)
        return NetworkOutput(logits[:2], logits[2])


def shared_training(
    rank: int, count: int, *, in_one_message: bool = False
) -> tuple[Tensor, dict[str, float]]:
    """Three uneven batches, each split among the processes."""
    generator = torch.Generator().manual_seed(1)
    batches = []
    for size in (8, 7, 5):
        images = torch.randn(size, 5, dtype=torch.float64, generator=generator)
        labels = torch.arange(size) % 4
        if size == 7:  # class probabilities, as mixup makes them
            labels = torch.rand(size, 4, generator=generator).softmax(1)
        part = slice(size * rank // count, size * (rank + 1) // count)
        batches.append(Batch(images[part], labels[part], size))
    network = Linears()
    wrapped = DistributedDataParallel(network) if count > 1 and not in_one_message else network
    step = Step(
        wrapped,
        torch.optim.SGD(network.parameters(), lr=0.5),
        lambda output, labels: ffl_terms(output, labels, resolved_distill(DistillConfig())),
        distill_weight=0.5,
        precision=PRECISION,
        world_size=count,
        averages_gradients=in_one_message,
    )
    trained = train_epoch(step, batches)
    return network.weight.detach(), trained.losses


def different_statistics(rank: int, count: int) -> list[float]:
    """Running means that differ between the processes, averaged."""
    network = nn.BatchNorm2d(2)
    assert network.running_mean is not None
    network.running_mean.fill_(float(rank))
    average_running_statistics(network, count)
    return [float(value) for value in network.running_mean]


def decision(rank: int, count: int) -> list[float]:
    """Of eight images, whose values are what they are, the mean that decides who takes a step."""
    seen: list[float] = []

    def takes(output: NetworkOutput, labels: Tensor, mean: Mean) -> Tensor:
        seen.extend(mean(labels.double().expand(2, -1)).tolist())
        return torch.tensor([True, False])

    network, part = Linears(), slice(8 * rank // count, 8 * (rank + 1) // count)
    batch = Batch(torch.randn(8, 5, dtype=torch.float64)[part], (torch.arange(8) // 2)[part], 8)
    step = Step(
        network,
        torch.optim.SGD(network.parameters(), lr=0.5),
        lambda output, labels: ffl_terms(output, labels, resolved_distill(DistillConfig())),
        distill_weight=0.5,
        precision=PRECISION,
        world_size=count,
        parts=Parts(takes=takes),
    )
    assert step.forward(batch).taken is not None
    return seen


class Embeddings(Linears):
    """Two networks of one linear layer, whose outputs are their embeddings as well."""

    def forward(self, images: Tensor) -> NetworkOutput:
        logits = torch.einsum("bi,nio->nbo", images, self.weight[:2])
        alone = nn.ModuleDict({"embedding0": nn.Identity(), "embedding1": nn.Identity()})
        return NetworkOutput(logits, kept=Kept(pooled=[*logits]), helpers=alone)


def contrasting(rank: int, count: int, *, in_one_message: bool = False) -> Tensor:
    """Weights after a step on images that are contrasted with those of all processes."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(8, 5, dtype=torch.float64, generator=generator)
    part = slice(8 * rank // count, 8 * (rank + 1) // count)
    network = Embeddings()
    wrapped = DistributedDataParallel(network) if count > 1 and not in_one_message else network
    settings = resolved_distill(DistillConfig(method="mcl", contrast_temperature=1.0))
    step = Step(
        wrapped,
        torch.optim.SGD(network.parameters(), lr=0.5),
        lambda output, labels: mcl_terms(output, labels, settings),
        distill_weight=1.0,
        precision=PRECISION,
        world_size=count,
        averages_gradients=in_one_message,
    )
    step.run(Batch(images[part], (torch.arange(8) // 2)[part], 8))
    return network.weight.detach()


def one_can(rank: int, count: int) -> bool:
    """The number format of two workers, one of which computes in bfloat16 by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": rank == 0})
        return format_of("auto", torch.device("cpu"), 10**9, count) == "bfloat16"


def without_batch_norm(
    rank: int, count: int
) -> tuple[list[tuple[Tensor, dict[str, float]]], list[float], bool, list[float], list[Tensor]]:
    trained = [shared_training(rank, count, in_one_message=way) for way in (False, True)]
    statistics = different_statistics(rank, count)
    contrasted = [contrasting(rank, count, in_one_message=way) for way in (False, True)]
    return trained, statistics, one_can(rank, count), decision(rank, count), contrasted


def test_uneven_shares_give_the_whole_batchs_gradient_and_statistics_are_averaged(
    tmp_path: Path,
) -> None:
    weight, losses = shared_training(0, 1)

    results = in_processes(without_batch_norm, 2, tmp_path)

    assert one_can(0, 1)
    assert decision(0, 1) == [1.5, 1.5]
    for trained, statistics, in_bfloat16, decided, contrasted in results:
        for weights in contrasted:
            torch.testing.assert_close(weights, contrasting(0, 1), atol=1e-12, rtol=1e-12)
        assert decided == [1.5, 1.5]
        assert not in_bfloat16
        for other, other_losses in trained:
            torch.testing.assert_close(other, weight, atol=1e-6, rtol=1e-6)
            assert other_losses == pytest.approx(losses, abs=1e-6)
        assert statistics == [0.5, 0.5]


def kept(session: MemorySession) -> dict[str, Predictions]:
    """What each member made of every image after the last epoch."""
    return {row["member"]: from_texts(row, row["images"]) for row in session.predictions[-1]}


def digits_training(rank: int, count: int) -> tuple[list[float], list[float], list[int]]:
    """Six epochs; when shared, stopped after the fourth and resumed from rank 0's files alone."""
    # At three times this learning rate a rounding error moves the first loss by a hundredth, and
    # the batch norm of half a batch by up to nine.
    config = small_config(
        data__fraction=1.0,
        optim__epochs=6,
        optim__lr=0.03,
        optim__lr_schedule="cosine",
        compute__predictions=True,
    )
    session = MemorySession(stop_after=4 if count > 1 else None)
    session.rank, session.world_size, session.num_threads = rank, count, 1
    try:
        run_worker(config, session)
    except KeyboardInterrupt:
        if rank:
            session.files.clear()
        session.stop_after = None
        run_worker(config, session)
    members = [member["accuracy"] for member in session.members[-1]]
    assert [found.right.mean() for found in kept(session).values()] == members
    assert not any(session.predictions[:-1])
    losses = [row["loss.total"] for row in session.rows]
    return members, losses, [row["epoch"] for row in session.rows]


def test_two_workers_reach_the_accuracy_of_one_with_the_same_global_batch(tmp_path: Path) -> None:
    alone, losses, _ = digits_training(0, 1)

    first, second = in_processes(digits_training, 2, tmp_path)

    assert first == second
    members, shared_losses, reports = first
    # Reported again after the stop: nobody knows which of them arrived.
    assert reports == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6]
    assert shared_losses[:4] == shared_losses[4:8]
    assert members == pytest.approx(alone, abs=0.05)
    assert shared_losses[0] == pytest.approx(losses[0], rel=0.1)


SHARED_METHODS = (
    *("independent", "one", "okddip", "dkel", "okdph", "ktg", "layered_ffl", "ffsd", "dccl"),
    *("dcm", "mcl", "lmcl", "ahbf", "switokd", "confident_dml", "afd"),
    ASKING,
)
OWN_SETTINGS: dict[str, dict[str, object]] = {
    "okdph": {
        "distill__view_policies": "standard,cutout,cutout,standard",
        "distill__write_back_steps": 2,
        "distill__student_shares": "dirichlet",
    },
    "ktg": {"distill__gates": "1>0=correct,fused>1=linear,ensemble>2=through"},
}
ON_GPUS = "one, recorded"


def methods_training(rank: int, count: int) -> dict[str, tuple[float, Tensor]]:
    """Of each method the loss of an epoch, and all its weights in a row."""
    found = {}
    for method in SHARED_METHODS:
        config = small_config(
            model__mix="3*resnet8",
            distill__method=method,
            distill__ramp_up=0,
            data__fraction=0.2,
            objective="ensemble.accuracy",
            **OWN_SETTINGS.get(method, {}),
        )
        session = MemorySession()
        session.rank, session.world_size, session.num_threads = rank, count, 1
        training = prepare(config, session)
        batches = epoch_batches(training, 0)
        step = hooked(training, 0, 0, step_of(training, distill_weight=1.0))
        trained = train_epoch(step, batches)
        found[method] = (trained.losses["total"], weights_of(training))
        if method == "one":
            found[ON_GPUS] = recorded_training(config, session)
    return found


def weights_of(training: Training) -> Tensor:
    return torch.cat([p.detach().flatten() for p in training.network.parameters()])


def recorded_training(config: ResolvedConfig, session: MemorySession) -> tuple[float, Tensor]:
    """The same on GPUs, whose second half is a graph that holds the messages."""
    session.device = torch.device("cuda", 0)
    with SimulatedCuda().running(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("ffl_ray.training.recording.WARM_UP_STEPS", 1)
        training = prepare(with_overrides(config, {"compute.precision": "float32"}), session)
        trained = train_on(training, epoch_batches(training, 0), distill_weight=1.0)
    assert training.graphs is not None
    assert training.graphs.replays == 2
    return trained.losses["total"], weights_of(training)


def test_every_kind_of_method_trains_on_two_workers_to_one_network(tmp_path: Path) -> None:
    alone = methods_training(0, 1)

    first, second = in_processes(methods_training, 2, tmp_path)

    for method in (*SHARED_METHODS, ON_GPUS):
        assert torch.equal(first[method][1], second[method][1]), method
        assert first[method][0] == second[method][0]
        assert first[method][0] == pytest.approx(alone[method][0], rel=0.1)
    torch.testing.assert_close(first[ON_GPUS][1], first["one"][1], atol=1e-4, rtol=1e-4)
