"""The machine that a benchmark ran on, in words and numbers."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import torch

import ffl_ray
from ffl_ray.planning.layout import available_cpus

PACKAGES = ("torch", "torchvision", "ray", "optuna", "pyarrow", "pandas")


def machine_facts() -> dict[str, str | int]:
    """Columns of every row: processor, cores, accelerator, system and versions."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    facts: dict[str, str | int] = {
        "machine.cpu": _cpu_name(),
        "machine.cpus": available_cpus(),
        "machine.gpu": gpu,
        "machine.system": f"{platform.system()} {platform.machine()}",
        "version.python": platform.python_version(),
        "version.ffl_ray": ffl_ray.__version__,
    }
    return facts | {f"version.{name}": _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
