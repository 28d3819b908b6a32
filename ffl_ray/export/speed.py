"""Size and latency of members beside the full network, on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ffl_ray.export.formats import torch_program, write_onnx
from ffl_ray.export.member import describe
from ffl_ray.export.runner import onnx_model
from ffl_ray.export.trained import Trained
from ffl_ray.exported.about import ONNX, About
from ffl_ray.exported.member import Member
from ffl_ray.models.colours import OfColours
from ffl_ray.models.cost import count_macs, count_parameters
from ffl_ray.models.latency import median_ms
from ffl_ray.models.output import NetworkOutput

FULL = "full network"


class Speed(NamedTuple):
    """The cost of a classifier on this machine.

    Attributes:
        name: a member, or `FULL`, which gives the logits of all members.
        parameters: it has.
        macs: multiply-accumulates of one image.
        file_bytes: of its ONNX file.
        torch_ms: for one image, the median of `latency.RUNS`.
        onnx_ms: likewise, by onnxruntime.
    """

    name: str
    parameters: int
    macs: int
    file_bytes: int
    torch_ms: float
    onnx_ms: float


def speeds(trained: Trained, names: Sequence[str]) -> Iterator[Speed]:
    """The cost of these members, then of the full network."""
    info = trained.data.info
    for name in names:
        yield _speed(
            name,
            Member(trained.network, name, info.mean, info.std),
            describe(trained.config, name, trained.data),
        )
    full = OfColours(trained.network, info.mean, info.std, _members).eval()
    yield _speed(FULL, full, describe(trained.config, FULL, trained.data))


def _members(output: NetworkOutput) -> Tensor:
    """The logits of every member."""
    return output.members


def _speed(name: str, module: nn.Module, about: About) -> Speed:
    images = torch.rand(1, *about.image_shape, generator=torch.Generator().manual_seed(0))
    macs, _ = count_macs(lambda: module(images))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ONNX
        write_onnx(torch_program(module, about.image_shape), about, path)
        run = onnx_model(path, torch.get_num_threads()).run
        file_bytes = path.stat().st_size
    array: np.ndarray = images.numpy()
    with torch.no_grad():
        return Speed(
            name=name,
            parameters=count_parameters(module),
            macs=macs,
            file_bytes=file_bytes,
            torch_ms=median_ms(lambda: module(images), images.device),
            onnx_ms=median_ms(lambda: run(array), images.device),
        )


HEADINGS = (
    "classifier", "parameters", "share", "MACs", "share", "ONNX bytes", "share",
    "torch ms", "share", "ONNX ms", "share",
)  # fmt: skip


def rows_of(measured: Sequence[Speed]) -> list[tuple[str, ...]]:
    """The measurements as text, each with its share of the full network's."""
    full = next(speed for speed in measured if speed.name == FULL)
    rows = []
    for speed in measured:
        cells = [speed.name]
        for value, of_full in zip(speed[1:], full[1:], strict=True):
            cells += [f"{value:,}" if isinstance(value, int) else f"{value:.3f}"]
            cells += [f"{value / of_full:.2f}"]
        rows.append(tuple(cells))
    return rows
