"""Whether a GPU computes what it should: recorded steps, refusals, memory, numbers."""

from __future__ import annotations

import copy
import gc
import io
import itertools
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.trainings import Bench, Figures, Kept, trained, whole_batches
from ffl_ray.config.methods import METHODS
from ffl_ray.config.overrides import flatten, shown
from ffl_ray.planning.cost import DataSize, training_cost
from ffl_ray.training.setup import Training
from ffl_ray.training.steps import epoch_step
from ffl_ray.training.turns import Seat, Turns, seated


def _design(method: str) -> dict[str, Any]:
    """A fusion design for a method that the default one, which merges no maps, does not suit."""
    return {"fusion__design": "sum"} if "fused_map" in METHODS[method].needs else {}


VARIANTS: dict[str, dict[str, Any]] = {
    **{name: {"distill__method": name} | _design(name) for name in METHODS},
    "ffl adamw": {"optim__optimizer": "adamw", "optim__lr": 1e-3},
    "ffl bfloat16": {"compute__precision": "bfloat16"},
    "kdcl general_batch": {"distill__method": "kdcl", "distill__kdcl_teacher": "general_batch"},
}
# With three streams each they are more than the 32 that PyTorch has.
COME_AND_GO = 12
# PyTorch 175276: graphs of one pool after the other fail without it.
WORKSPACES = b"clearCublasWorkspacesForStream"


def versions(bench: Bench) -> Figures:
    """What this machine runs."""
    yield "python", sys.version.split()[0]
    yield "torch", torch.__version__
    yield "cuda", torch.version.cuda
    yield "cpus", os.cpu_count()
    if bench.device.type != "cuda":
        return
    about = torch.cuda.get_device_properties(bench.device)
    yield "gpu", about.name
    yield "gpu_bytes", about.total_memory
    yield "cudnn", torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    yield "tf32", [torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32]
    library = Path(torch.__file__).parent / "lib/libtorch_cuda.so"
    if library.is_file():
        yield "clears_workspaces", _holds(library, WORKSPACES)


def _holds(file: Path, word: bytes) -> bool:
    end = b""
    with file.open("rb") as opened:
        while block := opened.read(2**24):
            if word in end + block:
                return True
            end = block[-len(word) :]
    return False


def fresh(bench: Bench) -> Figures:
    """A training that is the first to touch the device in its process."""
    changes = {"data__name": bench.small, "optim__epochs": 1}
    settings = flatten(bench.config(**changes))
    yield "settings", {name: shown(value) for name, value in settings.items()}
    session = trained(bench, **changes)
    yield "ended", len(session.rows)
    yield "row", {name: str(value) for name, value in session.rows[-1].items()}


def equal(bench: Bench) -> Figures:
    """Two epochs with a partial batch, recorded and not, of every method: the same bits."""
    with _deterministic():
        for name, changes in VARIANTS.items():
            mix = mix_for(changes.get("distill__method", "ffl"), bench.mix)
            settings = {"data__name": bench.small, "compute__precision": "float32"} | changes
            recorded, plain = (
                trained(bench, model__mix=mix, compute__cuda_graphs=graphs, **settings)
                for graphs in (True, False)
            )
            yield f"{name}.equal", int(_same(recorded, plain))
            if bench.device.type == "cuda":
                yield f"{name}.recorded", int(recorded.rows[-1]["recorded"])


def threads(bench: Bench) -> Figures:
    """Trainings in threads of this process, by turns, against each of them alone: the same bits."""
    settings = {"data__name": bench.small, "compute__precision": "float32"}
    turns, seeds = Turns(), range(max(bench.counts[:3]))

    def beside(seed: int) -> Kept:
        with seated(Seat(turns), bench.device):
            return trained(bench, seed=seed, **settings)

    with _deterministic(), ThreadPoolExecutor(len(seeds)) as pool:
        found = list(pool.map(beside, seeds))
        alone = [trained(bench, seed=seed, **settings) for seed in seeds]
    yield "equal", int(all(map(_same, found, alone)))
    if bench.device.type == "cuda":
        yield "recorded", int(all(one.rows[-1]["recorded"] for one in found))
        yield "lasting", int(_lasts_beside_others(bench, settings))


def _lasts_beside_others(bench: Bench, settings: dict[str, Any]) -> bool:
    """Whether a training learns, bit for bit, what it learns alone while a dozen come and go."""
    turns, long = Turns(), settings | {"optim__epochs": COME_AND_GO}

    def beside(number: int) -> Kept:
        own = settings | {"seed": number, "optim__epochs": 1}
        with seated(Seat(turns), bench.device):
            return trained(bench, **own if number else long)

    with _deterministic(), ThreadPoolExecutor(2) as pool:
        lasting, *_ = pool.map(beside, range(1 + COME_AND_GO))
        return _same(lasting, trained(bench, **long))


@contextmanager
def _deterministic() -> Iterator[None]:
    """Have a computation that is done twice give the same bits."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False


def mix_for(method: str, mix: str) -> str:
    """A mix such as 2*resnet32, with as many branches as a method needs at least."""
    count, _, backbone = mix.partition("*")
    return f"{max(int(count), METHODS[method].least_branches)}*{backbone}"


def _same(one: Kept, other: Kept) -> bool:
    weights, others = (
        torch.load(io.BytesIO(kept.latest), weights_only=True)["network"] for kept in (one, other)
    )
    return all(torch.equal(weights[name], others[name]) for name in weights)


def refused(bench: Bench) -> Figures:
    """A training whose step can't be recorded, twice, and one after it."""
    held = []
    for _ in range(2):
        session = trained(bench, data__name=bench.small, distill__method=bench.of_this("asking"))
        gc.collect()
        torch.cuda.empty_cache()
        held.append(torch.cuda.memory_allocated())
    yield "ended", int(len(session.rows) == 2)
    yield "left_bytes", held[1] - held[0]
    yield "own_stream", torch.cuda.current_stream() == torch.cuda.default_stream()
    after = trained(bench, data__name=bench.small)
    yield "recorded_after", int(after.rows[-1]["recorded"])


def memory(bench: Bench) -> Figures:
    """What a process holds of a GPU that nobody else uses."""
    torch.cuda.init()  # type: ignore[no-untyped-call]
    yield "bare_context_gb", _beside_tensors() / 1e9
    for name, data, size, changes in (
        ("", bench.of_this("images"), DataSize(100, 45_000, 5_000), {}),
        ("_224", bench.of_this("large"), DataSize(10, 900, 100), {"model__mix": "2*resnet20"}),
    ):
        torch.cuda.reset_peak_memory_stats()
        with bench.training(data__name=data, **changes) as training:
            _steps(bench, training, 40)
            bench.synchronize()
            estimate = training_cost(training.config, size).memory_bytes
            held = torch.cuda.max_memory_reserved()
            yield f"context_gb{name}", _beside_tensors() / 1e9
            yield f"held_gb{name}", held / 1e9
            yield f"allocated_gb{name}", torch.cuda.max_memory_allocated() / 1e9
            yield f"of_estimate{name}", held / estimate
        del training
        gc.collect()
        torch.cuda.empty_cache()


def _beside_tensors() -> int:
    """Bytes of a GPU that are in use and not torch's: contexts, libraries, graphs."""
    free, total = torch.cuda.mem_get_info()
    return total - free - torch.cuda.memory_reserved()


def _steps(bench: Bench, training: Training, count: int) -> None:
    """Steps as fast as the host can ask for them."""
    step = epoch_step(training, 1.0)
    training.network.train()
    for batch in itertools.islice(iter(whole_batches(bench, training, 4), None), count):
        step.run(batch)


def numbers(bench: Bench) -> Figures:
    """How far logits are from float64's, and how often two of them are equal."""
    for precision in ("float32", "bfloat16"):
        settings = {"data__name": bench.small, "compute__precision": precision}
        with bench.training(**settings) as training, torch.no_grad():
            with torch.enable_grad():
                _steps(bench, training, 3)
            images = whole_batches(bench, training, 1)().images
            network = training.network.eval()
            with training.precision.context():
                logits = network(images).members.double()
            exact = copy.deepcopy(network).double()(images.double()).members
            yield f"{precision}_error", float((logits - exact).abs().max() / exact.abs().max())
            first, second = logits.topk(2, dim=-1).values.unbind(-1)
            if precision == "bfloat16":
                yield "ties", float((first == second).double().mean())
