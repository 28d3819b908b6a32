"""A training on a GPU, its calls noted and its numbers real ones, on a machine without a GPU."""

from __future__ import annotations

import functools
import gc
import io
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.helpers import MemorySession, small_config
from support.own_methods import ASKING
from support.simulated_cuda import SimulatedCuda
from support.threaded import in_threads
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.backends import cudnn

from ffl_ray.config.method_rows import METHODS as OWN
from ffl_ray.config.settings import ResolvedConfig, ResolvedDistill
from ffl_ray.data.batches import EpochRequest
from ffl_ray.data.dataset import Images
from ffl_ray.data.device_images import DeviceImages
from ffl_ray.data.loader import load_train_val
from ffl_ray.distill.registry import RECIPES, loss_terms_of
from ffl_ray.distill.terms import Term
from ffl_ray.models.network import NetworkOutput
from ffl_ray.training.clock import Clock
from ffl_ray.training.engine import Step, member_sums
from ffl_ray.training.optimizer import new_optimizer
from ffl_ray.training.precision import Precision, set_format
from ffl_ray.training.progress import Progress
from ffl_ray.training.recording import Captures
from ffl_ray.training.session import Report
from ffl_ray.training.setup import new_network, prepare, prepared
from ffl_ray.training.turns import Seat, Turns, seated
from ffl_ray.training.worker import run_epoch, run_worker

GPU = torch.device("cuda", 0)
TINY = "support.tiny_nets:narrow"
# Learning rates that float32 holds exactly, as a GPU keeps them; 5 whole batches an epoch, and one
# image and some; both kinds of batch are validated as well.
SMALL = {
    "model__mix": f"2*{TINY}",
    "data__fraction": 0.2,
    "optim__batch_size": 48,
    "optim__lr": 0.125,
    "optim__lr_decay": 0.5,
    "compute__precision": "float32",
    "optim__epochs": 2,
}
TIMES = {"time", "train_s", "train_cpu_s", "epoch_s", "images_per_s", "accelerator_s"}


@pytest.fixture(autouse=True)
def small_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffl_ray.training.steps.EVAL_BATCH", 13)
    monkeypatch.setattr(Captures, "left_capturing", False)


def reading(when_capturing_alone: bool) -> Callable[..., Any]:
    """A loss of which the host reads a part."""

    def terms_of(settings: ResolvedDistill) -> Callable[..., dict[str, Term]]:
        def terms(output: NetworkOutput, labels: Tensor) -> dict[str, Term]:
            found = loss_terms_of(settings)(output, labels)
            if torch.cuda.is_current_stream_capturing() or not when_capturing_alone:
                found["ce_fused"].value.item()
            return found

        return terms

    return terms_of


def trained(config: ResolvedConfig, cuda: SimulatedCuda | None = None) -> MemorySession:
    session = MemorySession()
    if cuda is None:
        run_worker(config, session)
        return session
    session.device = GPU
    with cuda.running():
        run_worker(config, session)
    return session


def learned(session: MemorySession) -> list[dict[str, object]]:
    """What the rows say beside times and memory."""
    without = TIMES | {"peak_memory_bytes", "recorded"}
    rows = [*session.rows, *session.members[-1]]
    return [{name: row[name] for name in row.keys() - without} for row in rows]


def test_a_training_makes_a_context_before_it_asks_for_memory() -> None:
    cuda, session = SimulatedCuda(), MemorySession()
    session.device = torch.device("cuda")

    with cuda.running():
        run_worker(small_config(**SMALL | {"optim__epochs": 1}), session)

    assert cuda.calls[:2] == ["init", "set_device"]
    assert "reset_peak_memory_stats" in cuda.calls
    assert session.rows[-1]["peak_memory_bytes"] == 4096
    # Measuring kernels takes longer than this training.
    assert not any(measured for _, measured in cuda.convolved)


METHODS = [
    {"distill__method": "ffl", "model__mix": "2*resnet8"},
    {"distill__method": "dkel"},
    {"distill__method": "switokd"},
    # A 5000th of it, by which the maps are trained, is a power of two.
    {"distill__method": "afd", "optim__lr": 625 / 4096},
    {"distill__method": "okddip", "model__mix": f"3*{TINY}"},
    {"distill__method": "kdcl", "distill__kdcl_teacher": "general_batch"},
    {
        "distill__method": "okdph",
        "distill__view_policies": "standard,cutout,cutout",
        "distill__write_back_steps": 2,
    },
    {"distill__method": "one", "optim__optimizer": "adamw", "optim__lr": 0.0078125},
    # A hundredth of it, which the decoders have, is a power of two as well.
    {"distill__method": "ffsd", "model__mix": "3*resnet8", "optim__lr": 25 / 128},
    {"distill__method": ASKING},
    {"distill__method": "ffl", "model__mix": "2*support.tiny_nets:dropping"},
]


def test_trainings_in_threads_record_and_replay_what_each_does_alone() -> None:
    own: list[dict[str, object]] = [
        {"seed": 1},
        {"seed": 2, "compute__precision": "tf32", "optim__optimizer": "adamw"},
    ]
    configs = [small_config(**SMALL | one | {"optim__epochs": 1}) for one in own]
    alone = [trained(config, SimulatedCuda()) for config in configs]
    beside, cuda, turns = [MemorySession() for _ in configs], SimulatedCuda(), Turns()

    def work(config: ResolvedConfig, session: MemorySession) -> Callable[[], object]:
        session.device = GPU

        def train() -> None:
            with cuda.here(), seated(Seat(turns), GPU):
                run_worker(config, session)

        return train

    with cuda.installed():
        raised = in_threads([work(*each) for each in zip(configs, beside, strict=True)])

    assert raised == [None, None]
    assert list(map(learned, beside)) == list(map(learned, alone))
    assert [row["recorded"] for session in beside for row in session.rows] == [True, True]
    assert len(cuda.modes) == 4
    assert cuda.default_stream not in cuda.worked_on


@pytest.mark.parametrize("settings", METHODS, ids=lambda s: "-".join(map(str, s.values())))
def test_recorded_steps_give_what_steps_one_by_one_give(settings: dict[str, object]) -> None:
    config = small_config(**SMALL | settings | {"objective": "ensemble.accuracy"})
    cuda = SimulatedCuda()

    found, expected = trained(config, cuda), trained(config)

    assert learned(found) == learned(expected)
    assert [row["recorded"] for row in found.rows] == [True, True]
    assert [row["recorded"] for row in expected.rows] == [None, None]
    # A training step and an evaluation step, once a training.
    assert cuda.modes == ["thread_local", "thread_local"]
    assert cuda.calls.count("replay") > 8
    assert "record_stream" not in cuda.calls


def test_branches_on_streams_of_their_own_learn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFL_RAY_BRANCH_STREAMS", "1")
    cuda = SimulatedCuda()

    found = trained(small_config(**SMALL), cuda)

    assert learned(found) == plainly_learned()
    assert [row["recorded"] for row in found.rows] == [True, True]
    # The one branch after the first: forked from the trunk, joined by the fusion.
    assert cuda.calls.count("wait_stream") > 10


def test_a_training_that_ended_leaves_nothing_in_the_gpus_memory() -> None:
    session = MemorySession()
    kept: list[weakref.ref[Any]] = []
    session.device = GPU

    def train() -> None:
        with prepared(small_config(**SMALL), session) as training:
            progress = Progress()
            for _ in range(2):
                progress = run_epoch(training, progress, session.write)
            assert training.graphs is not None
            assert training.graphs.replays > 0
            images = training.train
            assert isinstance(images, DeviceImages)
            kept.extend(map(weakref.ref, (training.network, training.graphs, images.images.pixels)))

    gc.collect()
    gc.disable()
    try:
        with SimulatedCuda().running():
            train()
        # Without waiting for a collection of cycles: the next trial comes at once.
        assert [ref() for ref in kept] == [None, None, None]
    finally:
        gc.enable()


def test_in_a_process_of_many_branches_have_no_streams_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FFL_RAY_BRANCH_STREAMS", "1")
    session = MemorySession()
    session.device = GPU

    with SimulatedCuda().running():
        with prepared(small_config(**SMALL), session) as alone:
            assert len(alone.network.branch_streams) == 1
        with seated(Seat(Turns()), GPU), prepared(small_config(**SMALL), session) as training:
            assert training.network.branch_streams == []


class FailingSession(MemorySession):
    def report(self, report: Report) -> None:
        raise OSError("nobody hears it")


def test_what_was_recorded_goes_with_a_training_whose_error_somebody_holds() -> None:
    cuda, session = SimulatedCuda(), FailingSession()
    session.device = GPU

    with cuda.running(), pytest.raises(OSError, match="nobody hears it") as held:
        run_worker(small_config(**SMALL), session)

    assert held.value.__traceback__ is not None
    assert cuda.calls.count("reset") == 2  # a training step, an evaluation


def test_what_is_validated_with_lies_on_the_gpu_once() -> None:
    session = MemorySession()

    with prepared(small_config(**SMALL), session) as training:
        assert training.held_out is training.val


@functools.cache
def plainly_learned() -> list[dict[str, object]]:
    return learned(trained(small_config(**SMALL)))


@pytest.mark.parametrize(
    ("version", "fault"),
    [("2.11", "waits"), ("2.11", "waits in it"), ("2.15", "waits in it"), ("2.15", "memory")],
)
def test_what_can_t_be_recorded_is_trained_step_by_step_and_said(
    version: str, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected, cuda = plainly_learned(), SimulatedCuda(version, memory_ends=fault == "memory")
    if fault != "memory":
        terms_of = reading(when_capturing_alone=fault == "waits in it")
        monkeypatch.setattr("ffl_ray.training.steps.loss_terms_of", terms_of)
    stream = cuda.stream

    # The second one is the next trial in the same process.
    for found in (trained(small_config(**SMALL), cuda), trained(small_config(**SMALL), cuda)):
        assert learned(found) == expected
        assert [row["recorded"] for row in found.rows] == [False, False]

    assert cuda.stream is stream
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert any(text.startswith("a training step is not recorded") for text in warnings)


def test_memory_that_ends_in_a_step_ends_one_training_alone() -> None:
    cuda = SimulatedCuda()
    cuda.last_operator = 300
    stream = cuda.stream

    with pytest.raises(torch.OutOfMemoryError):
        trained(small_config(**SMALL), cuda)

    assert cuda.stream is stream
    assert not cuda.watching
    assert not torch.backends.cudnn.benchmark
    assert learned(trained(small_config(**SMALL), cuda)) == plainly_learned()


def test_kernels_are_measured_for_whole_batches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffl_ray.training.cuda_graphs.TUNED_STEPS", 1)
    cuda = SimulatedCuda()

    trained(small_config(**SMALL | {"optim__epochs": 1}), cuda)

    sizes = {size for size, _ in cuda.convolved}
    assert cuda.convolved == {(size, size == SMALL["optim__batch_size"]) for size in sizes}


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_float32_is_float32_and_tf32_has_its_own_name(precision: str) -> None:
    backends: Any = torch.backends
    parts = backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn
    session = MemorySession()
    session.device = GPU

    with SimulatedCuda().running():
        # What the trial before left.
        set_format("tf32" if precision == "float32" else "float32")
        training = prepare(small_config(**SMALL | {"compute__precision": precision}), session)

    assert training.precision.name == precision
    rounds = precision == "tf32"
    assert [part.fp32_precision == "tf32" for part in parts] == [rounds] * 3
    # PyTorch's exporter reads them, and raises an error where they disagree with the others.
    assert (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32) == (rounds, rounds)


@pytest.mark.parametrize("method", RECIPES)
def test_a_step_in_bfloat16_touches_the_gpu_alone_and_gives_float32(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_stages = method == "ffl" or "stage_maps" in OWN[method].needs
    mix = f"{max(2, OWN[method].least_branches)}*{'resnet8' if of_stages else TINY}"
    config = small_config(model__mix=mix, distill__method=method, objective="ensemble.accuracy")
    data = load_train_val(config.data)
    outputs: list[NetworkOutput] = []
    assert isinstance(data.train, Images)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)

    # Tensors without memory, of a device that is not there: a mix of devices is an error.
    with torch.device("meta"):
        network = new_network(config, data)
    with FakeTensorMode(allow_non_fake_inputs=True):
        # Built there, PCL's averages would be copied from memory that is nobody's.
        network.to_empty(device=GPU)
        images = DeviceImages(data.train, data.info, GPU)
        request = EpochRequest(batch_size=32, seed=0, epoch=0, num_views=config.num_views)
        precision = Precision("cuda", "bfloat16")
        step = Step(
            network,
            new_optimizer(config, network),
            loss_terms_of(config.distill),
            torch.zeros((), dtype=torch.float64, device=GPU),
            precision,
            clock=Clock(config.optim, len(data.train), 1, GPU),
        )
        network.register_forward_hook(lambda *args: outputs.append(args[2]))
        loss = step.forward(next(images.train_batches(request)))
        batch = next(images.eval_batches(batch_size=13))
        sums = member_sums(network.eval(), precision, batch)

    logits = [x for output in outputs for x in output if isinstance(x, torch.Tensor)]
    assert {(x.device, x.dtype) for x in logits} == {(GPU, torch.float32)}
    assert (loss.total.device, loss.total.dtype) == (GPU, torch.float32)
    assert {(x.device, x.dtype) for x in (loss.row.sums, sums)} == {(GPU, torch.float64)}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("settings", METHODS, ids=lambda s: "-".join(map(str, s.values())))
def test_on_a_gpu_recorded_steps_give_the_parameters_of_steps_one_by_one(
    settings: dict[str, object], precision: str
) -> None:
    found = []
    named = SMALL | settings
    real = named | {"model__mix": str(named["model__mix"]).replace(TINY, "resnet8")}
    for records in (True, False):
        own = {"compute__cuda_graphs": records, "compute__precision": precision}
        session = MemorySession()
        session.device = GPU
        with cudnn.flags(enabled=True, deterministic=True):
            run_worker(small_config(**real | own), session)
        weights = torch.load(io.BytesIO(session.files["latest.pt"]), weights_only=True)["network"]
        found.append((weights, [row["recorded"] for row in session.rows]))

    (recorded, replays), (plain, none) = found
    assert replays == [True, True]
    assert none == [False, False]
    for name, value in plain.items():
        assert torch.equal(recorded[name], value), name
