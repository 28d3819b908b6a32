"""The number format of a training: which one, and a GPU set to it."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from ffl_ray.errors import SettingError

# Multiply-accumulates of an image, forward: below it a CPU gains nothing by bfloat16. Measured by
# `bench train --precisions` with one thread: 5M 0.94 to 0.97, 9M 1.2, 55M 1.3, 92M 1.5 times.
LEAST_CPU_MACS = 20_000_000
NATIVE = ("avx512_bf16", "amx_bf16")


def bfloat16_pays(device: torch.device, macs: int) -> bool:
    """Whether the device computes in bfloat16 by itself, and a network gains by it.

    GPUs do from compute capability 8.0 on. A CPU does with AVX512-BF16 or AMX; its small networks
    are better off in float32.

    Args:
        macs: multiply-accumulates of an image, forward.
    """
    if device.type == "cuda":
        return _has_tensor_cores(device)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return macs >= LEAST_CPU_MACS and any(capabilities.get(name) for name in NATIVE)


def _has_tensor_cores(device: torch.device) -> bool:
    """Those of bfloat16 and TF32."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def format_of(setting: str, device: torch.device, macs: int, workers: int) -> str:
    """A training's format: float32, tf32 or bfloat16; all workers take what each of them can.

    Args:
        setting: compute.precision.
        macs: as in `bfloat16_pays`.
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
    pays = torch.tensor(float(bfloat16_pays(device, macs)), device=device)
    if workers > 1:
        dist.all_reduce(pays, dist.ReduceOp.MIN)
    return "bfloat16" if pays else "float32"


def set_format(name: str) -> None:
    """Have this process's GPU multiply float32 numbers as a format says.

    PyTorch lets convolutions, alone, round float32 to TF32's ten bits unless it is told otherwise.
    """
    multiplied = "tf32" if name == "tf32" else "ieee"
    torch.backends.cuda.matmul.fp32_precision = multiplied
    cudnn: Any = torch.backends.cudnn
    cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = multiplied
