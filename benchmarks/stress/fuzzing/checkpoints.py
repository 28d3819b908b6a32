"""Checkpoints and exported models that were cut, altered or made to run code."""

from __future__ import annotations

import functools
import io
import json
import pickle
import random
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.stress.fuzzing.outcome import WrongError
from benchmarks.stress.fuzzing.studies import altered, appended, cut, emptied, garbage
from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.export.formats import torch_program, write_onnx, write_safetensors
from ffl_ray.export.runner import open_model
from ffl_ray.exported.about import CONFIG, About
from ffl_ray.exported.checksums import METADATA, sha256
from ffl_ray.exported.member import Member
from ffl_ray.models.builder import build_network
from ffl_ray.models.network import FusionNetwork
from ffl_ray.training.checkpoint import dump_checkpoint, load_checkpoint
from ffl_ray.training.optimizer import new_optimizer
from ffl_ray.training.progress import Progress
from ffl_ray.training.session import Report

IMAGE = (1, 8, 8)
MIXES = ("2*resnet8", "resnet8+wrn10_1")
DAMAGES = (cut, altered, altered, emptied, garbage, appended)


class Payload:
    """The object that an attacker pickles: unpickling it makes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


class Made(NamedTuple):
    """A training's network, and the checkpoint of it."""

    network: FusionNetwork
    data: bytes


def config_of(mix: str) -> ResolvedConfig:
    """The config of a small network."""
    return resolved_from({"model.mix": mix})


def network_of(config: ResolvedConfig, seed: int) -> FusionNetwork:
    """The network, with other weights for each seed."""
    return build_network(
        config.model, config.fusion, config.distill, image_shape=IMAGE, num_classes=10, seed=seed
    )


@functools.cache
def made(mix: str) -> Made:
    """A checkpoint after an epoch that never was."""
    config = config_of(mix)
    network = network_of(config, 0)
    optimizer = new_optimizer(config, network)
    for parameter in network.parameters():
        parameter.grad = parameter.detach().clone()
    optimizer.step()
    report = Report({"epoch": 1, "time": datetime.now(UTC)}, [], [])
    progress = Progress(epochs_done=1, settings=f"model.mix={mix}", report=report)
    return Made(network, dump_checkpoint(network, optimizer, progress))


def hostile(rng: random.Random, data: bytes, marker: Path) -> bytes:
    """A checkpoint that makes a file when it is unpickled: bare, or within torch's archive."""
    kind = rng.randrange(3)
    if kind == 0:
        return pickle.dumps(Payload(marker), protocol=rng.randint(0, 5))
    out = io.BytesIO()
    if kind == 1:
        torch.save({"format": 3, "network": Payload(marker)}, out)
        return out.getvalue()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            swap = name.endswith("data.pkl")
            new.writestr(name, pickle.dumps(Payload(marker), 2) if swap else old.read(name))
    return out.getvalue()


def strange_state(rng: random.Random, data: bytes) -> bytes:
    """A checkpoint that is whole, with a key lost or of another kind."""
    state: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
    inside = rng.choice((state, state["network"], state["optimizer"], state["progress"]))
    key = rng.choice(list(inside))
    if rng.random() < 0.5:
        del inside[key]
    else:
        inside[key] = rng.choice((None, -1, "x", torch.zeros(3), [1], {"a": 1}))
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


def prepare(place: Path) -> None:
    """Make what is damaged later: exporters take their time."""
    images = np.zeros((2, *IMAGE), dtype=np.float32)
    for name in ("model.onnx", "model.safetensors"):
        open_model(exported(place) / name).run(images)


def case(rng: random.Random, folder: Path) -> None:
    """Load a damaged checkpoint, or a damaged export: refused, or exactly what was written.

    Raises:
        WrongError: other weights, other outputs, or code that ran.
    """
    marker = folder / "ran"
    marker.unlink(missing_ok=True)
    try:
        (export_case if rng.random() < 0.3 else checkpoint_case)(rng, folder, marker)
    finally:
        if marker.exists():
            raise WrongError("code from the file was run")


def checkpoint_case(rng: random.Random, folder: Path, marker: Path) -> None:
    """Damage a checkpoint and load it back."""
    mix = rng.choice(MIXES)
    whole, file = made(mix), folder / "latest.pt"
    kind, data = rng.randrange(10), whole.data
    if kind < 6:
        file.write_bytes(data)
        rng.choice(DAMAGES)(rng, file)
        data = file.read_bytes()
    elif kind == 6:
        data = hostile(rng, data, marker)
    elif kind == 7:
        other = made(MIXES[mix == MIXES[0]]).data
        at = rng.randrange(len(data))
        data = rng.choice((other, data[:at] + other[at:]))
    else:
        data = strange_state(rng, data)
    config = config_of(mix)
    network = network_of(config, 1)
    progress = load_checkpoint(data, network, new_optimizer(config, network))
    same_weights(network, whole.network)
    if not isinstance(progress.epochs_done, int) or not isinstance(progress.settings, str):
        raise WrongError(f"a checkpoint was taken with the progress {progress}")


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    """Check that two networks are equal.

    Raises:
        WrongError: they are not.
    """
    mine = one.state_dict()
    for name, tensor in other.state_dict().items():
        if not torch.equal(tensor, mine[name]):
            raise WrongError(f"{name} has other values than were written")


@functools.cache
def exported(place: Path) -> Path:
    """An exported folder with the files that `predict` reads without trust."""
    folder = place / "exported"
    folder.mkdir()
    config = config_of(MIXES[0])
    settings = {k: list(v) if isinstance(v, tuple) else v for k, v in flatten(config).items()}
    classes = tuple(str(digit) for digit in range(10))
    about = About("fused", settings, IMAGE, classes, (0.5,), (0.5,))
    member = Member(made(MIXES[0]).network, "fused", about.mean, about.std)
    (folder / CONFIG).write_text(about.dump())
    write_safetensors(member, about, folder / "model.safetensors")
    write_onnx(torch_program(member, IMAGE), about, folder / "model.onnx")
    names = (CONFIG, "model.safetensors", "model.onnx")
    hashes = {name: sha256(folder / name) for name in names}
    (folder / METADATA).write_text(json.dumps({"sha256": hashes}))
    return folder


def export_case(rng: random.Random, folder: Path, marker: Path) -> None:
    """Damage an exported model, open and run it."""
    place = folder / "model"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(exported(folder.parent), place)
    name = rng.choice(("model.onnx", "model.safetensors", CONFIG, METADATA))
    hidden = rng.random() < 0.2
    if rng.random() < 0.1:
        name = "model.pt2"
        (place / name).write_bytes(hostile(rng, made(MIXES[0]).data, marker))
    else:
        rng.choice(DAMAGES)(rng, place / name)
    if hidden:
        (place / METADATA).unlink()
    which = name if name.startswith("model.") else "model.safetensors"
    images = np.full((2, *IMAGE), 0.25, dtype=np.float32)
    model = open_model(place / which)
    found = model.run(images)
    whole = open_model(exported(folder.parent) / "model.onnx").run(images)
    if not hidden and not np.allclose(found, whole, atol=1e-4):
        raise WrongError(f"{name} gives other outputs than were written")
