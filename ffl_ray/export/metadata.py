"""The model card for programs: an exported folder's metadata.json."""

from __future__ import annotations

import json
from typing import Any

from ffl_ray.export.card import Source, Written
from ffl_ray.export.check import TOLERANCE
from ffl_ray.exported.about import About
from ffl_ray.results.classes import Classes

LEFT_OUT = ("row", "confirmed", "classes")
METRICS = ("epoch", "accuracy", "top5", "nll", "ece")


def metadata(about: About, source: Source, written: Written) -> str:
    """All that the card says, as JSON."""
    row = source.row
    metrics = {name: row[name] for name in METRICS}
    found = {
        "model": {
            "member": about.member,
            "backbone": row["backbone"],
            "parameters": row["parameters"],
            "macs": row["macs"],
        },
        "input": {
            "shape": ["batch", *about.image_shape],
            "type": "float32",
            "range": [0, 1],
            "normalisation": "inside the model",
            "mean": about.mean,
            "std": about.std,
        },
        "output": {"shape": ["batch", len(about.classes)], "values": "logits"},
        "classes": about.classes,
        "per_class": source.classes and _per_class(source.classes),
        "validation": None if source.is_final else metrics,
        "test": metrics if source.is_final else None,
        "confirmed": source.confirmed._asdict() if source.confirmed else None,
        "source": {k: v for k, v in source._asdict().items() if k not in LEFT_OUT},
        "files": {
            name: {"bytes": size, "sha256": written.sha256[name]}
            | written.differences[name]._asdict()
            for name, size in written.size.items()
        },
        "sha256": written.sha256,
        "tolerance": TOLERANCE,
        "speeds": [speed._asdict() for speed in written.speeds],
    }
    return json.dumps(found, indent=2) + "\n"


def _per_class(found: Classes) -> list[dict[str, Any]]:
    return [
        {"class": name, "images": images, "accuracy": found.accuracy(index)}
        for index, (name, images) in enumerate(zip(found.names, found.images, strict=True))
    ]
