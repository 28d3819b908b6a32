"""The state of a training <-> bytes: resuming gives the run that was never stopped.

Data order and augmentation follow from seed and epoch (`data.batches.EpochRequest`), so
weights, optimiser and the count of epochs and steps are the whole state, and within an epoch what
each worker has summed up. Nothing is unpickled on loading.
"""

from __future__ import annotations

import io
import json
import logging
import zipfile
import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import torch
from torch import nn

from ffl_ray.errors import StudyError, on_one_line
from ffl_ray.training.checkpoint_check import (
    PROGRESS,
    check_epoch,
    check_network_state,
    check_progress,
    checked_report,
    optimizer_state,
)
from ffl_ray.training.progress import Progress, UnfinishedEpoch, WorkerState
from ffl_ray.training.session import Report

LOG = logging.getLogger("ffl_ray.storage")
FORMAT = 3
# Format 2 knew no epoch in flight.
READ_FORMATS = (2, 3)


def dump_checkpoint(
    network: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> bytes:
    """A training's state after a finished epoch or step, as bytes."""
    buffer = io.BytesIO()
    optimizer_state = optimizer.state_dict()
    for group in optimizer_state["param_groups"]:
        group["lr"] = float(group["lr"])
    state = {
        "format": FORMAT,
        "network": network.state_dict(),
        "optimizer": optimizer_state,
        "progress": _dumped_progress(progress),
        "part": _dumped_epoch(progress.unfinished),
    }
    torch.save(state, buffer)
    return buffer.getvalue()


def load_checkpoint(
    data: bytes, network: nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> Progress:
    """The progress of a checkpoint, its state put into a network and an optimiser.

    Args:
        network: of the same config, as the optimiser.

    Raises:
        StudyError: the bytes are no checkpoint of this format.
        OutOfMemoryError: the optimiser's state does not fit on the GPU.
    """
    try:
        state = _checked(data, network)
        found = {} if optimizer is None else optimizer_state(state["optimizer"], optimizer)
        progress = _loaded_progress(state["progress"], state.get("part"))
        network.load_state_dict(state["network"])
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise  # of the GPU that it is read onto
    except Exception as error:
        reason = on_one_line(error)[:300]
        raise StudyError(f"a checkpoint can't be read: {reason}") from error
    if optimizer is not None:
        optimizer.state.clear()
        optimizer.state.update(found)
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


def _checked(data: bytes, network: nn.Module) -> dict[str, Any]:
    """What a file holds, when the network could have been stored so.

    Raises:
        ValueError: it could not.
    """
    if not _is_whole(data):
        raise ValueError("it is cut short or altered")
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if state["format"] not in READ_FORMATS:
        raise ValueError(
            f"its format is {str(state['format'])[:80]}, and this version reads "
            f"{' and '.join(map(str, READ_FORMATS))}"
        )
    check_network_state(state["network"], network)
    check_progress(state["progress"])
    if state.get("part") is not None:
        check_epoch(state["part"], network)
    return state


def _is_whole(data: bytes) -> bool:
    """Whether a file is all there and unaltered: torch writes checksums, and reads none.

    Its parts are not compressed: those that say they are longer than the file would fill memory.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            fits = sum(part.file_size for part in parts.infolist()) <= len(data)
            return fits and parts.testzip() is None
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError):
        return False


def _dumped_progress(progress: Progress) -> dict[str, Any]:
    """All but the unfinished epoch, as values that are read back without running code."""
    values = {name: value for name, value in progress._asdict().items() if name in PROGRESS}
    return values | {
        "report": _dumped_report(progress.report) if progress.report else "",
        "earlier": json.dumps([_dumped_report(report) for report in progress.earlier]),
    }


def _loaded_progress(stored: dict[str, Any], epoch: dict[str, Any] | None) -> Progress:
    """The progress that was dumped; of what a newer version added, nothing."""
    values = {name: value for name, value in stored.items() if name in PROGRESS}
    report, earlier = values.pop("report", ""), values.pop("earlier", "[]")
    return Progress(
        **values,
        report=checked_report(json.loads(report)) if report else None,
        earlier=tuple(checked_report(json.loads(text)) for text in json.loads(earlier)),
        unfinished=_loaded_epoch(epoch),
    )


def _dumped_report(report: Report) -> str:
    return json.dumps(report._asdict(), default=datetime.isoformat)


def _dumped_epoch(epoch: UnfinishedEpoch) -> dict[str, Any] | None:
    if not epoch.steps_done:
        return None
    return epoch._asdict() | {"ranks": [rank._asdict() for rank in epoch.ranks]}


def _loaded_epoch(stored: dict[str, Any] | None) -> UnfinishedEpoch:
    if stored is None:
        return UnfinishedEpoch()
    return UnfinishedEpoch(**{**stored, "ranks": [WorkerState(**r) for r in stored["ranks"]]})
