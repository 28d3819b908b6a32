"""Exported models that teach."""

from __future__ import annotations

from pathlib import Path

from ffl_ray.data.loader import load_train_val
from ffl_ray.export.formats import write_safetensors
from ffl_ray.export.member import describe, empty_network
from ffl_ray.exported.about import CONFIG, SAFETENSORS
from ffl_ray.exported.member import Member
from support.helpers import small_config


def exported(folder: Path, seed: int = 0, **settings: object) -> Path:
    """A folder as `ffl_ray.export` writes it, of an untrained network."""
    config = small_config(seed=seed, **settings)
    data = load_train_val(config.data)
    network = empty_network(config, data.info, data.image_shape)
    about = describe(config, "ensemble", data)
    folder.mkdir()
    (folder / CONFIG).write_text(about.dump())
    member = Member(network, "ensemble", about.mean, about.std)
    write_safetensors(member, about, folder / SAFETENSORS)
    return folder
