"""The state of a training <-> bytes: resuming gives the run that was never stopped.

Data order and augmentation follow from seed and epoch (`DeviceImages.train_batches`), so
weights, optimiser and epoch count are the whole state. Nothing is unpickled on loading.
"""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import torch
from torch import nn

from ffl_ray.errors import StudyError

FORMAT = 2


class Progress(NamedTuple):
    """What a checkpoint says beside weights and optimiser.

    Attributes:
        epochs_done: finished epochs.
        best_epoch: the one with the best objective, counted from 1; 0 before the first.
        best_score: its value, turned so that more is better.
        accelerator_s: seconds of all workers so far.
        settings: the config it was trained with, as text.
        report: what was, or was about to be, reported of the latest epoch, as JSON.
    """

    epochs_done: int = 0
    best_epoch: int = 0
    best_score: float = float("-inf")
    accelerator_s: float = 0.0
    settings: str = ""
    report: str = ""


def dump_checkpoint(
    network: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> bytes:
    """A training's state after a finished epoch."""
    buffer = io.BytesIO()
    state = {
        "format": FORMAT,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": progress._asdict(),
    }
    torch.save(state, buffer)
    return buffer.getvalue()


def load_checkpoint(
    data: bytes, network: nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> Progress:
    """Put a state back into a network and an optimiser of the same config.

    Raises:
        StudyError: the bytes are no checkpoint of this format.
    """
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            raise ValueError(f"its format is {state['format']}, and this version reads {FORMAT}")
        network.load_state_dict(state["network"])
        if optimizer is not None:
            optimizer.load_state_dict(state["optimizer"])
        return Progress(**state["progress"])
    except Exception as error:
        raise StudyError(f"a checkpoint can't be read: {error}") from error
