"""A training on a GPU, its calls noted and its numbers real ones, on a machine without a GPU."""

import torch
from support.helpers import MemorySession, small_config
from support.simulated_cuda import SimulatedCuda

from ffl_ray.training.worker import run_worker

SMALL = {"model__mix": "2*resnet8", "data__fraction": 0.2}


def trained(cuda: SimulatedCuda, device: torch.device, **settings: object) -> MemorySession:
    session = MemorySession()
    session.device = device
    with cuda.running():
        run_worker(small_config(**SMALL, compute__precision="float32", **settings), session)
    return session


def test_a_training_makes_a_context_before_it_asks_for_memory() -> None:
    cuda = SimulatedCuda()

    session = trained(cuda, torch.device("cuda"), optim__epochs=1)

    assert cuda.calls[:2] == ["init", "set_device"]
    assert "reset_peak_memory_stats" in cuda.calls
    assert session.rows[-1]["peak_memory_bytes"] == 4096
