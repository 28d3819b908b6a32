"""The three files that a member is written to, each with its description inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ffl_ray.errors import ExportError, SettingError
from ffl_ray.export.about import CONFIG, KEY, About, code_named_in, parse_about
from ffl_ray.export.checksums import check_whole
from ffl_ray.export.member import Member, rebuilt
from ffl_ray.export.silence import silent
from ffl_ray.models.cost import plain_attention

OPSET = 20
BATCH = 2
INPUT, OUTPUT = "images", "logits"
ONNX, PT2, SAFETENSORS = "model.onnx", "model.pt2", "model.safetensors"


def torch_program(
    module: nn.Module, image_shape: tuple[int, int, int]
) -> torch.export.ExportedProgram:
    """A module of images as a torch.export program for any batch."""
    from torch.export import Dim, export

    images = torch.rand(BATCH, *image_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), plain_attention(), silent():
        return export(module, (images,), dynamic_shapes={INPUT: {0: Dim("batch")}})


def write_pt2(program: torch.export.ExportedProgram, about: About, path: Path) -> None:
    """A torch.export program; torch alone opens it."""
    with silent():
        torch.export.save(program, path, extra_files={CONFIG: about.dump()})


def write_onnx(program: torch.export.ExportedProgram, about: About, path: Path) -> None:
    """An ONNX graph with its weights in the same file."""
    with silent():
        exported = torch.onnx.export(
            program,
            program.example_inputs[0] if program.example_inputs else (),
            dynamo=True,
            dynamic_shapes={INPUT: {0: "batch"}},
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            verbose=False,
        )
        assert exported is not None, "dynamo=True gives a program"
        exported.model.metadata_props[KEY] = about.dump()
        exported.save(path, external_data=False)


def write_safetensors(member: Member, about: About, path: Path) -> None:
    """The member's weights alone; its description rebuilds the rest."""
    from safetensors.torch import save

    weights = {name: tensor.contiguous() for name, tensor in member.state_dict().items()}
    path.write_bytes(save(weights, metadata={KEY: about.dump()}))


Trace = Callable[[], torch.export.ExportedProgram]
Writer = Callable[[Member, Trace, About, Path], None]
WRITERS: dict[str, tuple[str, Writer]] = {
    "pt2": (PT2, lambda member, trace, about, path: write_pt2(trace(), about, path)),
    "onnx": (ONNX, lambda member, trace, about, path: write_onnx(trace(), about, path)),
    "safetensors": (
        SAFETENSORS,
        lambda member, trace, about, path: write_safetensors(member, about, path),
    ),
}


def load_member(folder: str | Path, *, trusted: bool = False) -> Member:
    """The module of an exported folder; see `ffl_ray.export.load_member`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    place = Path(folder)
    for name in (CONFIG, SAFETENSORS):
        check_whole(place / name)
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
    except SettingError as error:
        raise ExportError(f"{place / CONFIG} can't be rebuilt: {error}") from error
    try:
        member.load_state_dict(weights)
    except RuntimeError as error:
        line = " ".join(str(error).split())
        raise ExportError(f"{place / SAFETENSORS} does not fit {CONFIG}: {line}") from error
    return member
