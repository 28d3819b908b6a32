"""A worker's process between two trainings."""

import subprocess
import sys

import pytest

SCRIPT = """
import os
import threading
from pathlib import Path
import torch
from ffl_ray.orchestration.local import give_back_memory

def held_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

def train():
    for _ in range(3):
        tensors = [torch.ones(2**16) for _ in range(800)]
        pins = [torch.ones(8) for _ in range(2)]
        del tensors[1::2]
        kept.append((tensors.pop(), pins))
        del tensors

kept = []
for _ in range(4):
    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
before = held_mb()
give_back_memory()
print(before - held_mb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone keeps it")
def test_memory_that_a_training_freed_goes_back_to_the_system() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )

    assert float(done.stdout) > 50
