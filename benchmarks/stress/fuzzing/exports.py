"""Exported models that are whole and say what no export says: their JSON, their ONNX graph."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from benchmarks.stress.fuzzing.checkpoints import exported
from benchmarks.stress.fuzzing.outcome import WrongError
from benchmarks.stress.fuzzing.structures import strange_json, value
from ffl_ray import predict
from ffl_ray.errors import ExportError
from ffl_ray.export import load_member
from ffl_ray.exported.about import CONFIG, KEY
from ffl_ray.exported.checksums import METADATA

TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.STRING, 0, 99)
Change = Callable[[random.Random, onnx.ModelProto], None]


def _about(rng: random.Random, model: onnx.ModelProto) -> None:
    """Change what the model says of itself."""
    for entry in model.metadata_props:
        if entry.key == KEY:
            entry.value = json.dumps(strange_json(rng, json.loads(entry.value)))


def _outputs(rng: random.Random, model: onnx.ModelProto) -> None:
    """Give it no output, a second one, another one, or one that is no logits."""
    graph, how = model.graph, rng.randrange(4)
    if how == 0:
        del graph.output[:]
        return
    name = rng.choice([node.output[0] for node in graph.node])
    found = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    if how < 3:
        del graph.output[:]
    graph.output.extend([found])
    if how == 2:
        graph.output.extend([helper.make_tensor_value_info("nobody", TensorProto.FLOAT, [1])])


def _behind(rng: random.Random, model: onnx.ModelProto) -> None:
    """Compute something else from the logits: of another rank, type, number, or not finite."""
    graph = model.graph
    old = graph.output[0].name
    constant = numpy_helper.from_array(np.array(rng.choice((0.0, 1e38, 7.0)), np.float32), "c")
    graph.initializer.append(constant)
    nodes = (
        helper.make_node("ReduceMean", [old], ["y"], keepdims=0),
        helper.make_node("Cast", [old], ["y"], to=rng.choice((7, 9, 10, 11, 8))),
        helper.make_node("Div", [old, "c"], ["y"]),
        helper.make_node("Mul", [old, "c"], ["y"]),
        helper.make_node("Concat", [old, old], ["y"], axis=rng.choice((0, 1))),
        helper.make_node("Transpose", [old], ["y"]),
        helper.make_node("Shape", [old], ["y"]),
        helper.make_node("NonZero", [old], ["y"]),
        helper.make_node("SequenceConstruct", [old], ["y"]),
    )
    graph.node.append(rng.choice(nodes))
    del graph.output[:]
    graph.output.append(onnx.ValueInfoProto(name="y"))


def _inputs(rng: random.Random, model: onnx.ModelProto) -> None:
    """Give it no input, a second one, or one of another name, type or shape."""
    graph, how = model.graph, rng.randrange(4)
    if how == 0:
        del graph.input[:]
    elif how == 1:
        graph.input.extend([helper.make_tensor_value_info("more", TensorProto.FLOAT, [1, 2])])
    elif how == 2:
        graph.input[0].type.tensor_type.elem_type = rng.choice(TYPES)
    else:
        shape: list[Any] = rng.choice(([2], [1, 3, 9, 9], [-1, 1, 8, 8], ["n", 1, 8, 8, 2], [0, 0]))
        made = helper.make_tensor_value_info(graph.input[0].name, TensorProto.FLOAT, shape)
        graph.input[0].CopyFrom(made)


def _nodes(rng: random.Random, model: onnx.ModelProto) -> None:
    """Lose, repeat or rename a node, or cut a weight."""
    nodes, weights = model.graph.node, model.graph.initializer
    how, at = rng.randrange(4), rng.randrange(len(nodes))
    if how == 0:
        del nodes[at]
    elif how == 1:
        nodes.append(nodes[at])
    elif how == 2:
        nodes[at].op_type = rng.choice(("Relu", "Loop", "NoSuch", "", "MatMul"))
    else:
        weight = rng.choice(weights)
        weight.dims[:] = [rng.choice((0, 1, 2**40))] * len(weight.dims)


CHANGES: tuple[Change, ...] = (_about, _about, _outputs, _behind, _behind, _inputs, _nodes)


@functools.cache
def _graph(path: Path) -> bytes:
    return path.read_bytes()


def prepare(place: Path) -> None:
    """Make what is changed later, and the image that it is shown."""
    folder = exported(place)
    Image.fromarray(np.full((8, 8), 99, np.uint8)).save(place / "image.png")
    _predict(folder, place, [])


def case(rng: random.Random, folder: Path) -> None:
    """Change an export and classify with it: classes with probabilities, or one line.

    Raises:
        ExportError: what was said.
        WrongError: a status or an output that no prediction has.
    """
    place = folder / "model"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(exported(folder.parent), place)
    if rng.random() < 0.8:
        (place / METADATA).unlink()
    name = rng.choice(("model.onnx", "model.onnx", CONFIG, METADATA))
    file = place / name
    if name == "model.onnx":
        model = onnx.load_from_string(_graph(exported(folder.parent) / name))
        for change in rng.sample(CHANGES, rng.choice((1, 1, 2))):
            with contextlib.suppress(IndexError):
                change(rng, model)
        file.write_bytes(model.SerializeToString())
    elif file.is_file():
        found = strange_json(rng, json.loads(file.read_text()))
        file.write_text(json.dumps(value(rng) if rng.random() < 0.05 else found))
        if name == CONFIG:
            (place / "model.onnx").unlink()
            load_member(place)
    forms: tuple[list[str], ...] = (["--csv"], ["--json"], [], ["--top-k", "3"])
    _predict(place, folder.parent, rng.choice(forms))


def _predict(model: Path, place: Path, more: list[str]) -> None:
    out, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        status = predict.main([str(model), str(place / "image.png"), *more])
    if status not in (0, 1, 2) or said.getvalue().count("\n") > 1:
        raise WrongError(f"predict ends with {status}: {said.getvalue()}")
    if status:
        raise ExportError(said.getvalue().strip())
    # A class may be called nan: then its probability follows.
    shown = re.sub(r'nan"?,? *("probability": )?(?=\d)', "", out.getvalue().lower())
    if not shown or "nan" in shown:
        raise WrongError(f"predict says {out.getvalue()!r}")
