"""An exported model that can be run on arrays, by onnxruntime or by torch; loads only that one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from ffl_ray.config.overrides import brief
from ffl_ray.errors import ExportError, on_one_line
from ffl_ray.export.model import Array, Model
from ffl_ray.exported.about import KEY, ONNX, PT2, SAFETENSORS, parse_about
from ffl_ray.exported.checksums import check_sha256

# In the order in which they are looked for: onnxruntime starts in a fraction of torch's time.
FILES = (ONNX, SAFETENSORS, PT2)


def open_model(path: str | Path, num_threads: int = 1, *, trusted: bool = False) -> Model:
    """The model of an exported folder, or of one of its files.

    Of a folder the ONNX file is taken first.

    Args:
        num_threads: for onnxruntime; torch has its own setting.
        trusted: the file may run code: torch unpickles parts of a .pt2 and evaluates others, and
            a config.json may name a backbone of one's own.

    Raises:
        ExportError: it is missing, damaged, not written by `ffl_ray.export`, or could run code.
    """
    place = Path(path)
    if place.is_dir():
        for name in FILES:
            if (place / name).is_file():
                return _opened(place / name, num_threads, trusted)
        raise ExportError(f"{place} must hold one of {', '.join(FILES)}: export it again")
    if not place.is_file():
        raise ExportError(f"no exported model here: {place} is no file and no folder")
    endings = [Path(name).suffix for name in FILES]
    if place.suffix not in endings:
        raise ExportError(f"a model is a folder or ends in {', '.join(endings)}, not {place.name}")
    return _opened(place, num_threads, trusted)


def _opened(path: Path, num_threads: int, trusted: bool) -> Model:
    check_sha256(path)
    try:
        if path.suffix == Path(ONNX).suffix:
            return _checked(onnx_model(path, num_threads), path)
        from ffl_ray.export.torch_runner import torch_model

        return _checked(torch_model(path, trusted=trusted), path)
    except ExportError:
        raise
    except Exception as error:
        line = on_one_line(error)
        raise ExportError(f"{path} can't be read ({type(error).__name__}: {line})") from error


def _checked(model: Model, path: Path) -> Model:
    """The model whose outputs are logits of its classes; what it gives else is an ExportError."""

    def run(images: Float[Array, "batch channels height width"]) -> Float[Array, "batch classes"]:
        wanted = (len(images), len(model.about.classes))
        try:
            logits = model.run(images)
        except Exception as error:
            line = brief(on_one_line(error))
            raise ExportError(f"{path} can't be run ({type(error).__name__}: {line})") from error
        if logits.dtype != np.float32 or logits.shape != wanted:
            raise ExportError(
                f"{path} must give float32 logits of shape {list(wanted)}, and gives "
                f"{logits.dtype} of shape {list(logits.shape)}: export the model again"
            )
        if not np.isfinite(logits).all():
            raise ExportError(f"{path} gives logits that are not finite: export another member")
        return logits

    return Model(model.about, run)


def onnx_model(path: Path, num_threads: int) -> Model:
    """An ONNX file, run by onnxruntime on the CPU; torch is not loaded."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Its own choice pins threads to CPUs, which fails aloud where a container forbids some.
    options.intra_op_num_threads = num_threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    about = parse_about(session.get_modelmeta().custom_metadata_map.get(KEY), path)
    if not session.get_inputs() or not session.get_outputs():
        raise ExportError(f"{path} must have an input and an output: export the model again")
    name = session.get_inputs()[0].name
    return Model(about, lambda images: np.asarray(session.run(None, {name: images})[0]))
