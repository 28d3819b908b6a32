"""A training stopped within an epoch goes on as if it had not been."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.compared import assert_same_weights, weights, without_times
from support.helpers import MemorySession, small_config
from support.processes import in_processes

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import PreemptedError, SettingError
from ffl_ray.training.checkpoint import dump_checkpoint, load_checkpoint
from ffl_ray.training.preemption import is_preempted, leave_mark, remove_mark
from ffl_ray.training.setup import prepared
from ffl_ray.training.worker import run_worker

TINY = {
    "model.mix": "2*resnet8",
    "data.fraction": 0.2,
    "optim.epochs": 2,
    "optim.batch_size": 32,
    "compute.checkpoint_interval_s": 1e-6,
}


class StoppedSession(MemorySession):
    """Stops a training as its n-th checkpoint has been written."""

    def __init__(self, stop_at: int, files: dict[str, bytes] | None = None) -> None:
        super().__init__(files)
        self.stop_at = stop_at
        self.written = 0

    def write(self, name: str, data: bytes) -> None:
        super().write(name, data)
        self.written += 1
        if self.written == self.stop_at:
            raise KeyboardInterrupt


def images(root: Path) -> Path:
    generator = np.random.default_rng(0)
    for label, name in enumerate(("ant", "bee")):
        (root / "train" / name).mkdir(parents=True)
        for index in range(20):
            pixels = generator.integers(60 * label, 160 + 60 * label, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "train" / name / f"{index}.jpg")
    return root


def config_of(kind: str, folder: Path) -> ResolvedConfig:
    streamed: dict[str, object] = {
        "data.name": "folder",
        "data.dir": str(images(folder)),
        "data.image_size": 16,
        "data.residency": "stream",
        "data.fraction": 1.0,
        "optim.batch_size": 8,
        "data.mixing": "mixup",
    }
    pcl: dict[str, object] = {"distill.method": "pcl"}
    draws: dict[str, object] = {"model.mix": "2*support.tiny_nets:dropping"}
    own = {"memory": {}, "stream": streamed, "pcl": pcl, "draws": draws}
    return small_config(**{**TINY, **own[kind]})


@pytest.mark.parametrize("kind", ["memory", "stream", "pcl", "draws"])
def test_a_run_stopped_within_an_epoch_equals_the_run_that_was_never_stopped(
    kind: str, tmp_path: Path
) -> None:
    config = config_of(kind, tmp_path)
    whole = MemorySession()
    never = config.compute.model_copy(update={"checkpoint_interval_s": None})
    run_worker(config.model_copy(update={"compute": never}), whole)

    files: dict[str, bytes] = {}
    rows = []
    for stop_at in (3, 2):  # within the first epoch, then again
        stopped = StoppedSession(stop_at, files)
        with pytest.raises(KeyboardInterrupt):
            run_worker(config, stopped)
        assert torch.load(io.BytesIO(files["latest.pt"]))["part"]["steps_done"] > 1
        rows += stopped.rows
    resumed = MemorySession(files)
    run_worker(config, resumed)

    assert rows == []
    assert without_times(resumed.rows) == without_times(whole.rows)
    assert resumed.best[-1] == whole.best[-1]
    assert_same_weights(weights(resumed.files), weights(whole.files))


def test_the_steps_before_a_stop_are_not_trained_again() -> None:
    config = small_config(**TINY)
    whole, stopped = StoppedSession(10**6), StoppedSession(4)
    run_worker(config, whole)
    with pytest.raises(KeyboardInterrupt):
        run_worker(config, stopped)

    resumed = StoppedSession(10**6, stopped.files)
    run_worker(config, resumed)

    assert stopped.written + resumed.written == whole.written
    assert all(row["train_s"] > 0 for row in resumed.rows)
    assert [row["train_cpu_s"] is None for row in whole.rows] == [False, False]
    assert [row["train_cpu_s"] is None for row in resumed.rows] == [True, False]


def test_free_settings_may_change_and_an_older_checkpoint_goes_on() -> None:
    config = small_config(**TINY)
    stopped = MemorySession(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        run_worker(config, stopped)
    state = torch.load(io.BytesIO(stopped.files["latest.pt"]))
    del state["part"]
    state["format"] = 2
    lines = state["progress"].pop("settings").splitlines()
    for line in ("data.residency=auto", "distill.own_batches=False", "distill.view_policies=()"):
        lines.remove(line)  # which format 2 did not know
    state["progress"]["settings"] = "\n".join(lines)
    buffer = io.BytesIO()
    torch.save(state, buffer)

    other = small_config(**TINY | {"compute.checkpoint_interval_s": None})
    resumed = MemorySession({"latest.pt": buffer.getvalue()})
    run_worker(other, resumed)
    assert [row["epoch"] for row in resumed.rows] == [1, 2]

    with pytest.raises(SettingError, match="these differ: .*data.residency=memory"):
        run_worker(small_config(**TINY | {"data.residency": "memory"}), stopped)


def shared_training(rank: int, count: int) -> dict[str, object]:
    """Two workers that run through, and two that go on from their first stored step."""
    config = small_config(**TINY | {"optim.batch_size": 16, "optim.epochs": 1})
    whole = MemorySession()
    whole.rank, whole.world_size, whole.num_threads = rank, count, 1
    run_worker(config, whole)
    stored: dict[str, bytes] = {}
    kept = MemorySession()
    kept.rank, kept.world_size, kept.num_threads = rank, count, 1
    steps: list[int] = []

    def keep_second(name: str, data: bytes) -> None:
        part = torch.load(io.BytesIO(data))["part"]
        if part and len(steps) < 2:
            steps.append(part["steps_done"])
            stored[name] = data

    kept.write = keep_second  # type: ignore[method-assign]
    run_worker(config, kept)
    resumed = MemorySession(dict(stored))
    resumed.rank, resumed.world_size, resumed.num_threads = rank, count, 1
    run_worker(config, resumed)
    return {
        "steps": steps,
        "whole": weights(whole.files) if rank == 0 else {},
        "resumed": weights(resumed.files) if rank == 0 else {},
        "losses": [s.rows[-1]["loss.total"] for s in (whole, resumed)],
    }


def test_two_workers_go_on_from_one_step_with_their_own_statistics(tmp_path: Path) -> None:
    first, second = in_processes(shared_training, 2, tmp_path)

    assert first["steps"] == [1, 11]  # then the pace is known
    assert_same_weights(first["resumed"], first["whole"])
    for found in (first, second):
        assert found["losses"][0] == found["losses"][1]


def test_other_workers_than_those_that_stored_share_what_is_known(tmp_path: Path) -> None:
    config = small_config(**TINY | {"optim.epochs": 1})
    stopped = StoppedSession(2)
    with pytest.raises(KeyboardInterrupt):
        run_worker(config, stopped)
    with prepared(config, MemorySession()) as training:
        progress = load_checkpoint(stopped.files["latest.pt"], training.network)
        assert progress.unfinished.steps_done
        (only,) = progress.unfinished.ranks
        halves = [only._replace(sums=[value / 2 for value in only.sums])] * 2
        two = progress._replace(unfinished=progress.unfinished._replace(ranks=halves))
        data = dump_checkpoint(training.network, training.optimizer, two)
    expected, found = MemorySession(dict(stopped.files)), MemorySession({"latest.pt": data})
    state = torch.load(io.BytesIO(data)) | {
        "optimizer": torch.load(io.BytesIO(stopped.files["latest.pt"]))["optimizer"]
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    found.files["latest.pt"] = buffer.getvalue()

    for session in (expected, found):
        run_worker(config, session)

    assert found.rows[-1]["loss.total"] == pytest.approx(expected.rows[-1]["loss.total"])
    assert_same_weights(weights(found.files), weights(expected.files))


class WarnedSession(MemorySession):
    """Its machine is warned as the first checkpoint has been written."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []
        self.written = 0.0

    def write(self, name: str, data: bytes) -> None:
        time.sleep(0.2)  # storage may be slow
        super().write(name, data)
        self.written = time.monotonic()
        part = torch.load(io.BytesIO(data))["part"]
        self.steps.append(part["steps_done"] if part else 0)
        if len(self.steps) == 1:
            leave_mark(time.time() + 120)


def test_a_warned_training_stores_its_next_step_and_goes_on_as_if_it_had_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFL_RAY_PREEMPTION", str(tmp_path / "mark"))
    config = small_config(**TINY | {"compute.checkpoint_interval_s": None})
    whole, warned = MemorySession(), WarnedSession()
    run_worker(config, whole)

    with pytest.raises(PreemptedError, match=r"stored after step 1 of epoch 2 and goes on"):
        run_worker(config, warned)
    remove_mark()
    resumed = MemorySession(warned.files)
    run_worker(config, resumed)

    # best.pt and latest.pt of the first epoch, then one step of the second.
    assert warned.steps == [0, 0, 1]
    assert without_times(warned.rows[:1] + resumed.rows[1:]) == without_times(whole.rows)
    assert_same_weights(weights(resumed.files), weights(whole.files))


def warned_training(rank: int, count: int) -> dict[str, object]:
    """Two workers, on machines of their own; only that of rank 1 is warned, after a step."""
    folder = Path(os.environ["FFL_RAY_PREEMPTION"])
    config = small_config(**TINY | {"optim.batch_size": 16, "optim.epochs": 1})
    whole, warned, resumed = MemorySession(), WarnedSession(), MemorySession()
    for session in (whole, warned, resumed):
        session.rank, session.world_size, session.num_threads = rank, count, 1
    os.environ["FFL_RAY_PREEMPTION"] = str(folder / "elsewhere")
    run_worker(config, whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FFL_RAY_PREEMPTION", str(folder / "mark"))
        patch.setattr(
            "ffl_ray.training.epoch_checkpoint.is_preempted", lambda: rank == 1 and is_preempted()
        )
        with pytest.raises(PreemptedError) as stopped:
            run_worker(config, warned)
        stopped_at, written_at = time.monotonic(), warned.written
    resumed.files = warned.files
    run_worker(config, resumed)
    return {
        "steps": warned.steps,
        "stopped_at": stopped_at,
        "written_at": written_at,
        "message": str(stopped.value),
        "whole": weights(whole.files) if rank == 0 else {},
        "resumed": weights(resumed.files) if rank == 0 else {},
        "losses": [s.rows[-1]["loss.total"] for s in (whole, resumed)],
    }


def test_two_workers_stop_at_one_step_when_the_machine_of_either_is_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFL_RAY_PREEMPTION", str(tmp_path))

    first, second = in_processes(warned_training, 2, tmp_path)

    assert first["steps"] == [1, 11]
    assert first["message"] == second["message"]
    # Ray ends the others as soon as one of them fails.
    assert second["stopped_at"] >= first["written_at"]
    assert_same_weights(first["resumed"], first["whole"])
    for found in (first, second):
        assert found["losses"][0] == found["losses"][1]
