"""Which number format a training computes in when it is left to choose."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

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
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return macs >= LEAST_CPU_MACS and any(capabilities.get(name) for name in NATIVE)


def computes_in_bfloat16(setting: str, device: torch.device, macs: int, workers: int) -> bool:
    """Whether a training does; left to choose, all workers do what each of them can.

    Args:
        setting: compute.precision.
        macs: as in `bfloat16_pays`.
        workers: of the training; with several, each calls this.
    """
    if setting != "auto":
        return setting == "bfloat16"
    pays = bfloat16_pays(device, macs)
    if workers == 1:
        return pays
    all_pay = torch.tensor(float(pays), device=device)
    dist.all_reduce(all_pay, dist.ReduceOp.MIN)
    return bool(all_pay)
