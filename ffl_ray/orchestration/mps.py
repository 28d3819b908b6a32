"""NVIDIA's Multi-Process Service: processes that share a GPU run their kernels side by side.

Without it they take turns. Its price: a fault of one process on the GPU ends those beside it too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile

from ffl_ray.errors import PlanError

PROGRAM = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
WAIT_S = 30.0


def start_mps(parent: str) -> None:
    """Start its daemon, which processes use that start from here on; one that is there is kept.

    Args:
        parent: a folder of this user alone.

    Raises:
        PlanError: it does not start.
    """
    if PIPES in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="mps-", dir=parent)
    os.environ |= {PIPES: folder, LOGS: folder}
    try:
        _control("-d")
    except (OSError, subprocess.SubprocessError) as error:
        stop_mps()
        raise PlanError(
            f"search.mps must be false where {PROGRAM} does not start, not true: {error}"
        ) from error


def stop_mps() -> None:
    """End the daemon that `start_mps` has started."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # it never came up, or is gone
        _control(commands="quit\n")
    shutil.rmtree(os.environ.pop(PIPES), ignore_errors=True)
    os.environ.pop(LOGS, None)


def _control(*options: str, commands: str = "") -> None:
    subprocess.run(
        [PROGRAM, *options],
        input=commands,
        capture_output=True,
        text=True,
        check=True,
        timeout=WAIT_S,
    )
