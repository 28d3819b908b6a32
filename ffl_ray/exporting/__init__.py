"""One classifier of a trained network, alone: chosen, written, checked, described."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ffl_ray.exporting.member import Member

__all__ = ["load_member"]


def load_member(folder: str | Path) -> Member:
    """The module of an exported folder, from its config.json and model.safetensors.

    It maps images in [0, 1], float32 [batch, channels, height, width], to logits.

    Raises:
        ExportError: the folder is no export, or is damaged.
    """
    from ffl_ray.exporting import formats

    return formats.load_member(folder)
