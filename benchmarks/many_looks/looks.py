"""Looks at a training: ensembles of every subset of its branches, and other fusion heads.

The heads are trained beside the training's own on its branches' maps, which are constants to them,
by the loss that its own head descends, with an optimiser of their own: the training is, bit for
bit, the one that nobody looks at.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.data.batches import Batch
from ffl_ray.distill.registry import loss_terms_of
from ffl_ray.distill.terms import SCHEDULES, total_loss
from ffl_ray.errors import SettingError
from ffl_ray.models.builder import seeded
from ffl_ray.models.fusion import FUSION_DESIGNS, Fusion, MapShape, build_fusion
from ffl_ray.models.init import init_weights
from ffl_ray.models.network import NetworkOutput
from ffl_ray.planning.throughput import StepTimer
from ffl_ray.training.engine import LossRow, TrainingStep, evaluate, member_logits
from ffl_ray.training.hooks import after_epoch, hooked
from ffl_ray.training.metrics import member_metrics, metric_sums, scored
from ffl_ray.training.optimizer import learning_rate, optimizer_of, set_learning_rate
from ffl_ray.training.schedules import schedule_weights
from ffl_ray.training.setup import Training, prepared
from ffl_ray.training.steps import EVAL_BATCH, epoch_batches, train_on

HEAD, SUBSET, MEMBER = "head", "subset", "member"
Row = dict[str, Any]


class Inputs(NamedTuple):
    """What the fusion module was given in the latest pass, without the way to its gradient."""

    maps: list[Tensor]
    trunk_features: Tensor


class Looks:
    """The looks at one training.

    Args:
        training: of one worker, of a method whose network has a fusion module.
        designs: of the heads, each of which starts as the training's own would.

    Attributes:
        cpu_s: CPU seconds that training the heads took.

    Raises:
        SettingError: the method has no fusion module, or reads more than its logits.
    """

    def __init__(self, training: Training, designs: Sequence[str] = tuple(FUSION_DESIGNS)) -> None:
        network, config = training.network, training.config
        if not isinstance(network.fusion, Fusion) or network.needs or network.leader is not None:
            raise SettingError(
                f"looks are taken of a distill.method that has a fusion module and reads nothing "
                f"but logits, such as ffl, not {config.distill.method}"
            )
        self.training = training
        self.cpu_s = 0.0
        self._terms = loss_terms_of(config.distill)
        self._watched = [
            network.fusion.register_forward_hook(self._see_inputs),
            network.register_forward_hook(self._see_output),
        ]
        self.subsets = subsets(network.num_branches)
        self.heads = self._heads(designs)
        decay = config.optim.weight_decay
        if network.fusion_decays_apart:
            decay = config.optim.fusion_weight_decay
        group = {"params": [*self.heads.parameters()], "weight_decay": decay}
        self.optimizer = optimizer_of(config.optim.optimizer, config.optim, [group])

    def close(self) -> None:
        """Look no longer."""
        for handle in self._watched:
            handle.remove()

    def step(self, batch: Batch, distill_weight: Float64[Tensor, "schedules"]) -> None:
        """A step of every head on a batch of which the training has just taken one."""
        started = time.process_time()
        losses = [
            total_loss(self._terms(self._output_with(logits), batch.labels), distill_weight)
            for logits in self._logits()
        ]
        torch.autograd.backward(torch.stack(losses).sum())
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.cpu_s += time.process_time() - started

    @torch.no_grad()
    def sums(self, batch: Batch) -> Float64[Tensor, "looks sums"]:
        """Metric sums of all looks over a batch, in the order of `names`."""
        members = member_logits(self.training.network, self.training.precision, batch)
        ensembles = [members[list(one)].mean(dim=0) for one in self.subsets]
        heads = [one.float() for one in self._logits()]
        logits = torch.cat([members, torch.stack([*ensembles, *heads])])
        return metric_sums(scored(logits, batch.labels))

    @property
    def names(self) -> list[tuple[str, str]]:
        """Kind and name of each look: the training's own members, then subsets and heads.

        A subset is named by its branches: `0+2`.
        """
        return [
            *((MEMBER, name) for name in self.training.network.member_names),
            *((SUBSET, subset_name(one)) for one in self.subsets),
            *((HEAD, name) for name in self.heads),
        ]

    def train(self, mode: bool) -> None:
        """Have the heads train, or be measured."""
        self.heads.train(mode)

    def _see_inputs(self, fusion: nn.Module, inputs: tuple[Any, ...], logits: object) -> None:
        maps, features = inputs[:2]
        self._inputs = Inputs([x.detach() for x in maps], features.detach())

    def _see_output(self, network: nn.Module, inputs: object, output: NetworkOutput) -> None:
        self._output = output._replace(branches=output.branches.detach(), fused=None)

    def _output_with(self, logits: Tensor) -> NetworkOutput:
        """The latest pass as it would be of a network with this head, which alone can learn."""
        return self._output._replace(fused=logits).at_least_float32()

    def _logits(self) -> list[Float[Tensor, "batch classes"]]:
        with self.training.precision.context():
            return [head(*self._inputs) for head in self.heads.values()]

    def _heads(self, designs: Sequence[str]) -> nn.ModuleDict:
        training, heads = self.training, nn.ModuleDict()
        batch = next(iter(training.val.eval_batches(batch_size=1)))
        training.network.eval()
        member_logits(training.network, training.precision, batch)  # the hooks see the shapes
        shapes = [MapShape(*x.shape[1:]) for x in self._inputs.maps]
        width = self._inputs.trunk_features.shape[1]
        for name in designs:
            with seeded(training.config.seed, -1):
                head = build_fusion(name, shapes, width, len(training.train.info.classes))
                init_weights(head)
            heads[name] = head
        return heads.to(batch.images.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class LookedStep:
    """Steps of a training, each followed by one of its looks."""

    def __init__(self, step: TrainingStep, looks: Looks, distill_weight: Tensor) -> None:
        self.network = step.network
        self.world_size = step.world_size
        self._step, self._looks, self._weight = step, looks, distill_weight

    def run(self, batch: Batch) -> LossRow:
        """Take a step on a batch."""
        row = self._step.run(batch)
        self._looks.step(batch, self._weight)
        return row


def subsets(count: int) -> list[tuple[int, ...]]:
    """Every set of so many branches but the empty one, small ones first."""
    return [
        one for size in range(1, count + 1) for one in itertools.combinations(range(count), size)
    ]


def subset_name(branches: Iterable[int]) -> str:
    """A set of branches as text: `0+2`."""
    return "+".join(map(str, branches))


def train_epoch(training: Training, looks: Looks, epoch: int) -> None:
    """Train an epoch, counted from 0, and the looks beside it."""
    config, graphs = training.config, training.graphs
    lr = learning_rate(config, epoch)
    set_learning_rate(training.optimizer, lr, graphs.lr if graphs else None)
    set_learning_rate(looks.optimizer, lr)
    by_name = schedule_weights(
        epoch, epochs=config.optim.epochs, ramp_up_share=config.distill.ramp_up
    )
    weights = torch.tensor([by_name[name] for name in SCHEDULES], dtype=torch.float64)
    training.clock.set(epoch, 0)
    looks.train(True)
    train_on(
        training,
        epoch_batches(training, epoch),
        weights,
        around=lambda step: LookedStep(hooked(training, epoch, 0, step), looks, weights),
    )
    after_epoch(training, epoch)


def measured(training: Training, looks: Looks, epoch: int) -> list[Row]:
    """The metrics of all looks on the validation images, after so many epochs."""
    looks.train(False)
    batches = training.val.eval_batches(batch_size=EVAL_BATCH)
    found = member_metrics(evaluate(training.network, batches, looks.sums))
    return [
        {"epoch": epoch, "kind": kind, "look": name, **metrics._asdict()}
        for (kind, name), metrics in zip(looks.names, found, strict=True)
    ]


def look(training: Training, designs: Sequence[str] = tuple(FUSION_DESIGNS)) -> list[Row]:
    """Train to the end, and look after each epoch.

    Returns:
        rows of `epoch`, `kind` (one of a training's `member`s, a `subset`, a `head`), `look` (its
        name), its metrics, and CPU seconds so far: `cpu_s` of all, `looks_cpu_s` of the heads.
    """
    rows: list[Row] = []
    looks, started = Looks(training, designs), time.process_time()
    for epoch in range(training.config.optim.epochs):
        train_epoch(training, looks, epoch)
        spent = {"cpu_s": time.process_time() - started, "looks_cpu_s": looks.cpu_s}
        rows += [row | spent for row in measured(training, looks, epoch + 1)]
    looks.close()
    return rows


def looked_at(config: ResolvedConfig, threads: int = 1) -> list[Row]:
    """The looks at a training of its own, as `look` gives them."""
    with prepared(config, StepTimer(threads, None)) as training:
        return look(training)
