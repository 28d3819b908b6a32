"""The description in an exported model: all that is needed to rebuild it and to feed it.

It stands in the folder as config.json and inside every model file, so that a file can be used
alone. No torch here: `predict` loads onnxruntime only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ffl_ray.config.overrides import brief
from ffl_ray.errors import ExportError

FORMAT = 1
LONGEST_SIDE = 2**14  # of an image that a model is given
CONFIG = "config.json"
LABELS = "labels.txt"
KEY = "ffl_ray"
ONNX, PT2, SAFETENSORS = "model.onnx", "model.pt2", "model.safetensors"
FORMATS = ("pt2", "onnx", "safetensors")
# What is written as module:name in these settings and is no code of the user's.
BROUGHT = {
    "model.mix": ("torchvision", "timm"),
    "model.leader": ("torchvision", "timm"),
    "distill.teacher": ("torchvision", "timm"),
    "data.name": ("hf", "wds"),
}
_CODE = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


class About(NamedTuple):
    """The description of one exported member.

    Attributes:
        member: branch0, ..., ensemble or fused.
        settings: of the training, by dotted name.
        image_shape: channels, height and width.
        classes: their names, in the order of the logits.
        mean: per channel, of pixels in [0, 1]; the model subtracts it itself.
        std: likewise; the model divides by it itself.
        format: of this description.
    """

    member: str
    settings: dict[str, Any]
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    format: int = FORMAT

    def dump(self) -> str:
        """The description as JSON."""
        return json.dumps(self._asdict(), indent=2)


def code_named_in(settings: Mapping[str, Any]) -> list[str]:
    """Every module:function among the values of settings: code that building them would run.

    Networks of libraries, and data sets that are brought, are written alike and are none of it.
    """
    named: list[str] = []
    for setting, value in settings.items():
        inside = value if isinstance(value, list | tuple) else [value]
        words = [w for text in inside if isinstance(text, str) for w in re.split(r"[+*,\s]", text)]
        code = [word for word in words if _CODE.fullmatch(word)]
        named += [w for w in code if w.partition(":")[0] not in BROUGHT.get(setting, ())]
    return named


def parse_about(text: str | bytes | None, place: object) -> About:
    """The description that was dumped.

    Args:
        place: where it was found, for the message.

    Raises:
        ExportError: there is none, it is damaged, or of a newer version.
    """
    if text is None:
        raise ExportError(f"{place} was not written by python -m ffl_ray.export: it lacks {KEY}")
    try:
        found = json.loads(text)
        if not isinstance(found["format"], int):
            raise ValueError(f"the format is {brief(repr(found['format']))}")
        if found["format"] > FORMAT:
            raise ExportError(
                f"{place} has format {found['format']}, and this ffl_ray reads up to {FORMAT}: "
                f"upgrade ffl_ray"
            )
        channels, height, width = found["image_shape"]
        about = About(
            member=found["member"],
            settings=dict(found["settings"]),
            image_shape=(channels, height, width),
            classes=tuple(found["classes"]),
            mean=tuple(found["mean"]),
            std=tuple(found["std"]),
            format=found["format"],
        )
        _check(about)
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ExportError(f"{place} is damaged ({reason}): export the model again") from error
    return about


def _check(about: About) -> None:
    """Check that a description that was read is of the types and sizes of one that is written.

    Raises:
        ValueError: it is not.
    """
    sides, channels = about.image_shape, about.image_shape[0]
    numbers = (*about.mean, *about.std)
    rules = {
        "member": isinstance(about.member, str),
        "image_shape": all(type(side) is int and 0 < side <= LONGEST_SIDE for side in sides),
        "classes": bool(about.classes) and all(isinstance(name, str) for name in about.classes),
        "mean": len(about.mean) == channels and all(isinstance(n, (int, float)) for n in numbers),
        "std": len(about.std) == channels and all(math.isfinite(n) and n > 0 for n in about.std),
    }
    for name, holds in rules.items():
        if not holds:
            raise ValueError(f"{name} can't be {brief(repr(getattr(about, name)))}")
