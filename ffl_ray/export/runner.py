"""An exported model that can be run on arrays, by onnxruntime or by torch; loads only that one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from ffl_ray.errors import ExportError
from ffl_ray.export.about import CONFIG, KEY, About, parse_about
from ffl_ray.export.checksums import check_whole
from ffl_ray.export.silence import silent

if TYPE_CHECKING:
    from torch import nn

Array = np.ndarray
Run = Callable[[Float[Array, "batch channels height width"]], Float[Array, "batch classes"]]


class Model(NamedTuple):
    """A model that was read back.

    Attributes:
        about: what it says of itself.
        run: from images in [0, 1] to logits.
    """

    about: About
    run: Run


def open_model(path: str | Path, num_threads: int = 1, *, trusted: bool = False) -> Model:
    """The model of an exported folder, or of one of its files.

    A folder's ONNX file is taken first, since onnxruntime starts in a fraction of torch's time.

    Args:
        num_threads: for onnxruntime; torch has its own setting.
        trusted: the file may run code: torch unpickles parts of a .pt2 and evaluates others, and
            a config.json may name a backbone of one's own.

    Raises:
        ExportError: it is missing, damaged, not written by `ffl_ray.export`, or could run code.
    """
    place = Path(path)
    if place.is_dir():
        for name, read in READERS.items():
            if (place / name).is_file():
                return _opened(read, place / name, num_threads, trusted)
        raise ExportError(f"{place} must hold one of {', '.join(READERS)}: export it again")
    if not place.is_file():
        raise ExportError(f"no exported model here: {place} is no file and no folder")
    readers = {Path(name).suffix: read for name, read in READERS.items()}
    if place.suffix not in readers:
        raise ExportError(f"a model is a folder or ends in {', '.join(readers)}, not {place.name}")
    return _opened(readers[place.suffix], place, num_threads, trusted)


def read_onnx(path: Path, num_threads: int, trusted: bool) -> Model:
    """An ONNX file, run by onnxruntime on the CPU; torch is not loaded."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Its own choice pins threads to CPUs, which fails aloud where a container forbids some.
    options.intra_op_num_threads = num_threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    about = parse_about(session.get_modelmeta().custom_metadata_map.get(KEY), path)
    name = session.get_inputs()[0].name
    return Model(about, lambda images: np.asarray(session.run(None, {name: images})[0]))


def read_pt2(path: Path, num_threads: int, trusted: bool) -> Model:
    """A torch.export program, run by torch on the CPU."""
    if not trusted:
        raise ExportError(
            f"{path} is a torch.export program, and opening one runs whatever code it holds: "
            f"--trust opens one of your own; model.onnx and model.safetensors need no trust"
        )
    import torch

    extra = {CONFIG: ""}
    with silent():
        program = torch.export.load(path, extra_files=extra)
    return Model(parse_about(extra[CONFIG] or None, path), _run(program.module()))


def read_safetensors(path: Path, num_threads: int, trusted: bool) -> Model:
    """The module that a folder's config.json and weights rebuild."""
    from ffl_ray.export.formats import load_member

    member = load_member(path.parent, trusted=trusted)
    place = path.parent / CONFIG
    return Model(parse_about(place.read_bytes(), place), _run(member))


Reader = Callable[[Path, int, bool], Model]
READERS: dict[str, Reader] = {
    "model.onnx": read_onnx,
    "model.safetensors": read_safetensors,
    "model.pt2": read_pt2,
}


def _opened(read: Reader, path: Path, num_threads: int, trusted: bool) -> Model:
    check_whole(path)
    try:
        return read(path, num_threads, trusted)
    except ExportError:
        raise
    except Exception as error:
        line = " ".join(str(error).split())
        raise ExportError(f"{path} can't be read ({type(error).__name__}: {line})") from error


def _run(module: nn.Module) -> Run:
    import torch

    def run(images: Float[Array, "batch channels height width"]) -> Float[Array, "batch classes"]:
        with torch.no_grad():
            logits: Array = module(torch.from_numpy(images)).numpy()
        return logits

    return run
