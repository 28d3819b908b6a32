"""One classifier of a trained network, alone: chosen, written, checked, described."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ffl_ray.exported.member import Member

__all__ = ["load_member"]


def load_member(folder: str | Path, *, trusted: bool = False) -> Member:
    """The module of an exported folder, from its config.json and model.safetensors.

    It maps images in [0, 1], float32 [batch, channels, height, width], to logits.

    Args:
        trusted: a backbone of one's own that config.json names may be imported and run.

    Raises:
        ExportError: the folder is no export, is damaged, or names code and is not trusted.
    """
    from ffl_ray.exported import member

    return member.load_member(folder, trusted=trusted)
