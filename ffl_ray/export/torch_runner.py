"""Exported models run by torch: a torch.export program, or the module that the weights rebuild."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ffl_ray.config.user_code import one_line
from ffl_ray.errors import ExportError, SettingError, on_one_line
from ffl_ray.export.about import CONFIG, PT2, SAFETENSORS, About, code_named_in, parse_about
from ffl_ray.export.checksums import check_sha256
from ffl_ray.export.member import Member, rebuilt
from ffl_ray.export.model import Array, Model
from ffl_ray.export.silence import silent


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


def load_member(folder: str | Path, *, trusted: bool = False) -> Member:
    """The module of an exported folder; see `ffl_ray.export.load_member`."""
    place = Path(folder)
    for name in (CONFIG, SAFETENSORS):
        check_sha256(place / name)
    try:
        about = parse_about((place / CONFIG).read_bytes(), place / CONFIG)
        weights = load_file(place / SAFETENSORS)
    except FileNotFoundError as error:
        raise ExportError(f"{place} must hold {CONFIG} and {SAFETENSORS}: {error}") from error
    except SafetensorError as error:
        raise ExportError(f"{place / SAFETENSORS} is damaged: {error}") from error
    own = code_named_in(about.settings)
    if own and not trusted:
        raise ExportError(
            f"{place / CONFIG} names code outside the model, {own[0]}, which would be imported and "
            f"run: --trust allows it for a model of your own, in Python load_member(..., "
            f"trusted=True); model.onnx needs neither"
        )
    try:
        member = rebuilt(about)
    except Exception as error:
        reason = str(error) if isinstance(error, SettingError) else one_line(error)
        raise ExportError(f"{place / CONFIG} can't be rebuilt: {reason}") from error
    try:
        member.load_state_dict(weights)
    except RuntimeError as error:
        line = on_one_line(error)
        raise ExportError(f"{place / SAFETENSORS} does not fit {CONFIG}: {line}") from error
    return member
