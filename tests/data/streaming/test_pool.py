"""Loader processes that die, or whose training does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support.streamed import epoch, streamed

from ffl_ray.data.batches import EpochRequest
from ffl_ray.data.streaming.pool import LoaderPool


def test_a_killed_loader_process_is_a_clear_error(folder: Path) -> None:
    pool = LoaderPool(2)
    images = streamed(folder, pool)
    batches = images.train_batches(EpochRequest(batch_size=2, seed=0, epoch=0))
    next(batches)
    os.kill(pool.pids[1], signal.SIGKILL)

    with pytest.raises(
        ChildProcessError, match=r"\(process \d+\) was killed by SIGKILL: if memory"
    ):
        list(batches)

    pool.close()
    assert len(epoch(images)) == 3  # new processes
    pool.close()


KILLED = """
import sys, time
from ffl_ray.data.streaming.loader_process import Item, Recipe, decode
from ffl_ray.data.streaming.pool import LoaderPool
from ffl_ray.data.streaming.loader_process import Item, Recipe
pool = LoaderPool(2)
found = pool.squares(([Item(sys.argv[1])] for _ in range(10**9)), Recipe(8), 1)
next(found)
print(*pool.pids, flush=True)
for _ in found: pass
"""


def test_no_loader_process_outlives_a_killed_training(folder: Path) -> None:
    path = str(next((folder / "train" / "ant").iterdir()))
    training = subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True
    )
    assert training.stdout is not None
    pids = [int(pid) for pid in training.stdout.readline().split()]
    assert len(pids) == 2

    training.kill()
    training.wait()
    training.stdout.close()

    until = time.monotonic() + 10
    while any(_lives(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    assert [_lives(pid) for pid in pids] == [False, False]


def _lives(pid: int) -> bool:
    try:
        state = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return False
    return state not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
