"""The three files that a member is written to, each with its description inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn
from torch.export import Dim, export

from ffl_ray.export.silence import silent
from ffl_ray.exported.about import CONFIG, KEY, ONNX, PT2, SAFETENSORS, About
from ffl_ray.exported.member import Member
from ffl_ray.models.cost import plain_attention

OPSET = 20
BATCH = 2
INPUT, OUTPUT = "images", "logits"


def torch_program(
    module: nn.Module, image_shape: tuple[int, int, int]
) -> torch.export.ExportedProgram:
    """A module of images as a torch.export program for any batch."""
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
