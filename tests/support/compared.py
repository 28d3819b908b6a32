"""Trainings held against each other: their weights, and their rows without times."""

from __future__ import annotations

import io
from typing import Any

import torch

TIMES = {
    *("time", "train_s", "train_cpu_s", "epoch_s", "images_per_s", "accelerator_s"),
    "peak_memory_bytes",
}


def weights(files: dict[str, bytes], name: str = "latest.pt") -> dict[str, torch.Tensor]:
    network: dict[str, torch.Tensor] = torch.load(io.BytesIO(files[name]))["network"]
    return network


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: v for name, v in row.items() if name not in TIMES} for row in rows]


def assert_same_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name
