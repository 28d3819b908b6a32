"""Apple's GPU, which no machine here has: what is refused, and that nothing asks it for float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.helpers import MemorySession, small_config
from support.tiny_nets import Scaled
from torch import Tensor

from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import DistillConfig
from ffl_ray.data.batches import Batch
from ffl_ray.distill.ffl import ffl_terms
from ffl_ray.errors import FFLRayError
from ffl_ray.training.engine import Step, train_epoch
from ffl_ray.training.metrics import metric_sums, outcomes, scored
from ffl_ray.training.precision import Precision, float64_home
from ffl_ray.training.setup import choose_device

MPS = torch.device("mps")
MOVES = (Tensor.to, Tensor.cpu)


class AppleTensor(Tensor):
    """A tensor that says it lies on Apple's GPU, and refuses float64 as that does."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is Tensor.device.__get__:
            return MPS
        plain: Any = super().__torch_function__
        found = plain(func, types, args, kwargs or {})
        if func in MOVES and torch.device("cpu") in args:
            return found.as_subclass(Tensor)
        if isinstance(found, AppleTensor) and found.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return found


def on_apple(x: Tensor) -> Tensor:
    return x.as_subclass(AppleTensor)


def test_sums_in_float64_are_those_of_the_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(3, 9, 4, generator=generator), torch.arange(9) % 4

    with pytest.raises(TypeError, match="float64"):
        on_apple(logits).double()
    sums = metric_sums(scored(on_apple(logits), on_apple(labels)))
    found = outcomes(scored(on_apple(logits), on_apple(labels)))

    assert float64_home(MPS) == torch.device("cpu")
    assert torch.equal(sums, metric_sums(scored(logits, labels)))
    assert torch.equal(found, outcomes(scored(logits, labels)))


def test_an_epochs_losses_are_those_of_the_cpu() -> None:
    images, labels = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6)
    settings = resolved_distill(DistillConfig())
    losses = []
    for placed in (lambda x: x, on_apple):
        network = Scaled()
        step = Step(
            network,
            torch.optim.SGD(network.parameters(), lr=0.1),
            lambda output, targets: ffl_terms(output, targets, settings),
            distill_weight=torch.ones(4, dtype=torch.float64),
            precision=Precision("cpu"),
        )
        batches = [Batch(placed(images), placed(labels % 4), 6)] * 2
        losses.append(train_epoch(step, batches).losses)

    assert losses[1] == pytest.approx(losses[0])
    assert losses[0]["ce_fused"] != pytest.approx(float(F.cross_entropy(2 * images, labels % 4)))


@pytest.mark.parametrize(
    ("settings", "world_size", "message"),
    [
        ({}, 2, "compute.device mps must have one worker, not 2"),
        ({"distill.method": "kdcl", "distill.kdcl_teacher": "general"}, 1, "solved in float64"),
    ],
)
def test_what_one_gpu_without_float64_can_not_do_is_refused(
    settings: dict[str, object],
    world_size: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = with_overrides(small_config(), {"compute.device": "mps"})
    session = MemorySession()
    with pytest.raises(FFLRayError, match="compute.device is mps, and there is no GPU of Apple's"):
        choose_device(config, session)

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device(config, session) == MPS
    session.world_size = world_size
    with pytest.raises(FFLRayError, match=message):
        choose_device(with_overrides(config, settings), session)
