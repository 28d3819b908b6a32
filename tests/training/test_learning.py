"""Each training option learns real digits."""

import pytest
from support.helpers import MemorySession, small_config

from ffl_ray.training.worker import run_worker


@pytest.mark.parametrize(
    "overrides",
    [
        {"data.augment": "trivial"},
        {"data.mixing": "mixup"},
        {"data.mixing": "cutmix"},
        {"distill.label_smoothing": 0.1},
        {"optim.optimizer": "adamw", "optim.lr": 3e-3, "optim.weight_decay": 0.01},
    ],
    ids=["trivial", "mixup", "cutmix", "label_smoothing", "adamw"],
)
def test_digits_are_learned_with(overrides: dict[str, object]) -> None:
    session = MemorySession()

    run_worker(
        small_config(
            data__fraction=1.0,
            optim__epochs=5,
            optim__lr_schedule="linear",
            optim__warmup=0.2,
            **overrides,
        ),
        session,
    )

    losses = [row["loss.ce_fused"] for row in session.rows]
    assert losses[-1] < 0.8 * losses[0]
    assert session.rows[-1]["val.fused.accuracy"] > 0.8
