"""Exported models run by torch: a torch.export program, or the module that the weights rebuild."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import nn

from ffl_ray.errors import ExportError
from ffl_ray.export.model import Array, Model
from ffl_ray.export.silence import silent
from ffl_ray.exported.about import CONFIG, PT2, About, parse_about
from ffl_ray.exported.member import load_member


def torch_model(path: Path, *, trusted: bool) -> Model:
    """The model of a .pt2 or .safetensors file, run on the CPU.

    Raises:
        ExportError: it could run code and is not trusted, or it is damaged.
    """
    read = _program if path.suffix == Path(PT2).suffix else _rebuilt
    about, module = read(path, trusted)

    def run(images: Float[Array, "batch channels height width"]) -> Float[Array, "batch classes"]:
        with torch.no_grad():
            logits: Array = module(torch.from_numpy(images)).numpy()
        return logits

    return Model(about, run)


def _program(path: Path, trusted: bool) -> tuple[About, nn.Module]:
    """A torch.export program."""
    if not trusted:
        raise ExportError(
            f"{path} is a torch.export program, and opening one runs whatever code it holds: "
            f"--trust opens one of your own; model.onnx and model.safetensors need no trust"
        )
    extra = {CONFIG: ""}
    with silent():
        program = torch.export.load(path, extra_files=extra)
    return parse_about(extra[CONFIG] or None, path), program.module()


def _rebuilt(path: Path, trusted: bool) -> tuple[About, nn.Module]:
    """The module that a folder's config.json and weights rebuild."""
    member = load_member(path.parent, trusted=trusted)
    place = path.parent / CONFIG
    return parse_about(place.read_bytes(), place), member
