"""The state of a training <-> bytes: resuming gives the run that was never stopped.

Data order and augmentation follow from seed and epoch (`DeviceImages.train_batches`), so
weights, optimiser and the count of epochs and steps are the whole state, and within an epoch what
each worker has summed up. Nothing is unpickled on loading.
"""

from __future__ import annotations

import io
import logging
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ffl_ray.errors import StudyError

LOG = logging.getLogger("ffl_ray.storage")
FORMAT = 3
# Format 2 knew no epoch in flight.
READ_FORMATS = (2, 3)


class RankPart(NamedTuple):
    """What one worker alone knows of an epoch in flight.

    Attributes:
        sums: of each loss term over its images, and how many those are.
        statistics: its batch norm statistics; none where it is the only worker.
    """

    sums: list[float]
    statistics: dict[str, Tensor]


class Part(NamedTuple):
    """An epoch in flight.

    Attributes:
        steps_done: finished steps.
        seconds: it has taken.
        names: of the loss terms.
        ranks: the workers, in order.
    """

    steps_done: int
    seconds: float
    names: list[str]
    ranks: list[RankPart]


class Progress(NamedTuple):
    """What a checkpoint says beside weights and optimiser.

    Attributes:
        epochs_done: finished epochs.
        best_epoch: the one with the best objective, counted from 1; 0 before the first.
        best_score: its value, turned so that more is better.
        accelerator_s: seconds of all workers so far.
        settings: the config it was trained with, as text.
        report: what was, or was about to be, reported of the latest epoch, as JSON.
        earlier: the same of epochs before it that may not have arrived, as a JSON list of them.
        part: the epoch in flight, if any.
    """

    epochs_done: int = 0
    best_epoch: int = 0
    best_score: float = float("-inf")
    accelerator_s: float = 0.0
    settings: str = ""
    report: str = ""
    earlier: str = "[]"
    part: Part | None = None


def dump_checkpoint(
    network: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> bytes:
    """A training's state after a finished epoch or step."""
    buffer = io.BytesIO()
    state = {
        "format": FORMAT,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": progress._replace(part=None)._asdict(),
        "part": _plain(progress.part),
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
        if not _is_whole(data):
            raise ValueError("it is cut short or altered")
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if state["format"] not in READ_FORMATS:
            raise ValueError(
                f"its format is {state['format']}, and this version reads "
                f"{' and '.join(map(str, READ_FORMATS))}"
            )
        network.load_state_dict(state["network"])
        if optimizer is not None:
            optimizer.load_state_dict(state["optimizer"])
        return _checked(Progress(**{**state["progress"], "part": _part(state.get("part"))}))
    except Exception as error:
        raise StudyError(f"a checkpoint can't be read: {error}") from error


def _checked(progress: Progress) -> Progress:
    """The same, once its values are of their kinds.

    Raises:
        ValueError: one is not.
    """
    for name, default in Progress._field_defaults.items():
        kind, value = type(default), getattr(progress, name)
        numbers = (int, float) if kind is float else kind
        if name != "part" and not isinstance(value, numbers):
            raise ValueError(f"its {name} is {str(value)[:100]!r}")
    return progress


def latest_checkpoint(read: Callable[[str], bytes | None]) -> bytes | None:
    """What a training goes on from: its latest checkpoint, or the best where that is damaged.

    A power loss, or another tool, can cut a file. Epochs that are trained again are the same ones
    again, and rows that are stored stay as they are.

    Args:
        read: gives a stored file of the training, or None.

    Returns:
        None where nothing is stored, or nothing that can be read: it begins from scratch.
    """
    data = read("latest.pt")
    if data is None or _is_whole(data):
        return data
    best = read("best.pt")
    usable = best is not None and _is_whole(best)
    LOG.warning(
        "latest.pt is damaged; the training goes on from %s",
        "its best epoch, best.pt" if usable else "scratch",
    )
    return best if usable else None


def _is_whole(data: bytes) -> bool:
    """Whether a file is all there and unaltered: torch writes checksums, and reads none."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            return parts.testzip() is None
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError):
        return False


def _plain(part: Part | None) -> dict[str, Any] | None:
    """As values that are read back without running code."""
    if part is None:
        return None
    return part._asdict() | {"ranks": [rank._asdict() for rank in part.ranks]}


def _part(plain: dict[str, Any] | None) -> Part | None:
    if plain is None:
        return None
    return Part(**{**plain, "ranks": [RankPart(**rank) for rank in plain["ranks"]]})
