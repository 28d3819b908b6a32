"""The number format of a training: which one, and a GPU set to it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from ffl_ray.errors import SettingError

# Pixels of an image: below it a CPU gains nothing by bfloat16. CPU time of a step in float32 over
# bfloat16, one thread, AVX512-BF16: 8x8 1M MACs 0.86, 3M 1.07; 16x16 4M 1.24, 14M 1.48; 32x32 16M
# 1.66; with AMX 16x16 3 to 20M 1.4 to 1.7.
LEAST_CPU_PIXELS = 16 * 16
NATIVE = ("avx512_bf16", "amx_bf16")


class Precision(NamedTuple):
    """The number format of the forward pass.

    Attributes:
        name: float32, tf32 or bfloat16.
        cached: keep each weight's bfloat16 copy during a forward pass; a recorded step may not.
    """

    device_type: str
    name: str = "float32"
    cached: bool = True

    @property
    def autocast(self) -> bool:
        """Whether products are computed in bfloat16."""
        return self.name == "bfloat16"

    def context(self) -> torch.autocast:
        """Autocast to bfloat16, or nothing."""
        return torch.autocast(
            self.device_type, torch.bfloat16, enabled=self.autocast, cache_enabled=self.cached
        )


def bfloat16_pays(device: torch.device, pixels: int) -> bool:
    """Whether the device computes in bfloat16 by itself, and networks on such images gain by it.

    GPUs do from compute capability 8.0 on. A CPU does with AVX512-BF16 or AMX; on tiny images it
    is better off in float32. The network has no say: the configs of a study differ in theirs, and
    are compared.

    Args:
        pixels: of an image.
    """
    if device.type != "cpu":
        return _has_tensor_cores(device)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return pixels >= LEAST_CPU_PIXELS and any(capabilities.get(name) for name in NATIVE)


def _has_tensor_cores(device: torch.device) -> bool:
    """Those of bfloat16 and TF32."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def format_of(setting: str, device: torch.device, pixels: int, workers: int) -> str:
    """A training's format: float32, tf32 or bfloat16; all workers take what each of them can.

    Args:
        setting: compute.precision.
        pixels: as in `bfloat16_pays`.
        workers: of the training; with several, each calls this.

    Raises:
        SettingError: the device has no such format.
    """
    if setting == "tf32" and not _has_tensor_cores(device):
        raise SettingError(
            f"compute.precision=tf32 must have a GPU of compute capability 8.0 and up, not {device}"
        )
    if setting != "auto":
        return setting
    pays = torch.tensor(float(bfloat16_pays(device, pixels)), device=device)
    if workers > 1:
        dist.all_reduce(pays, dist.ReduceOp.MIN)
    return "bfloat16" if pays else "float32"


def float64_home(device: torch.device) -> torch.device:
    """Where a training keeps its sums in float64: on its device, but Apple's GPUs have none."""
    return torch.device("cpu") if device.type == "mps" else device


def in_float64(x: Tensor) -> Tensor:
    """Numbers in float64, on the CPU where their device has none."""
    return x.to(float64_home(x.device)).double()


def set_format(name: str) -> None:
    """Have this process's GPU multiply float32 numbers as a format says.

    PyTorch lets convolutions, alone, round float32 to TF32's ten bits unless it is told otherwise.
    The newer `fp32_precision` of each operator is not set: `torch.export` reads these two, and
    refuses where they differ from it.
    """
    torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
    torch.backends.cudnn.allow_tf32 = name == "tf32"
