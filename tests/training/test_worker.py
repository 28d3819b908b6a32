"""One training from start to end: repeatable, resumable, and clear about what goes wrong."""

import io
import re

import pytest
import torch
from support.compared import assert_same_weights, weights, without_times
from support.helpers import MemorySession, small_config

from ffl_ray.errors import PlanError, SettingError, TrainingDivergedError
from ffl_ray.results.schema import arrow_schema
from ffl_ray.training.worker import run_worker


@pytest.mark.parametrize("mix", ["2*resnet8", "resnet8+resnet8+wrn10_1"])
def test_the_same_seed_twice_is_bit_identical(mix: str) -> None:
    first, second = MemorySession(), MemorySession()

    for session in (first, second):
        run_worker(small_config(model__mix=mix, data__fraction=0.15, optim__epochs=2), session)

    assert without_times(first.rows) == without_times(second.rows)
    assert_same_weights(weights(first.files), weights(second.files))


OPTIONS: dict[str, dict[str, object]] = {
    "defaults": {},
    "trivial": {"data.augment": "trivial"},
    "mixup": {"data.mixing": "mixup"},
    "cutmix": {"data.mixing": "cutmix", "distill.label_smoothing": 0.1},
    "adamw": {"optim.optimizer": "adamw", "optim.lr": 1e-3, "optim.warmup": 0.5},
}


@pytest.mark.parametrize(("stop_after", "options"), [(1, "defaults"), *((2, o) for o in OPTIONS)])
def test_a_resumed_run_equals_the_run_that_was_never_stopped(stop_after: int, options: str) -> None:
    config = small_config(data__fraction=0.15, **OPTIONS[options])
    whole = MemorySession()
    run_worker(config, whole)
    stopped = MemorySession(stop_after=stop_after)
    with pytest.raises(KeyboardInterrupt):
        run_worker(config, stopped)

    resumed = MemorySession(stopped.files)
    run_worker(config, resumed)

    assert resumed.rows[0] == stopped.rows[-1]  # nobody knows whether its report arrived
    assert without_times(stopped.rows + resumed.rows[1:]) == without_times(whole.rows)
    assert resumed.best[-1] == whole.best[-1]
    assert_same_weights(weights(resumed.files), weights(whole.files))
    assert_same_weights(weights(resumed.files, "best.pt"), weights(whole.files, "best.pt"))


@pytest.mark.parametrize("damaged", [("latest.pt",), ("latest.pt", "best.pt")])
def test_a_run_with_damaged_checkpoints_ends_like_the_one_that_was_never_stopped(
    damaged: tuple[str, ...],
) -> None:
    config = small_config(data__fraction=0.15)
    whole = MemorySession()
    run_worker(config, whole)
    stopped = MemorySession(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        run_worker(config, stopped)
    for name in damaged:
        stopped.files[name] = stopped.files[name][:1000]

    resumed = MemorySession(stopped.files)
    run_worker(config, resumed)

    assert without_times(resumed.rows[-1:]) == without_times(whole.rows[-1:])
    assert_same_weights(weights(resumed.files), weights(whole.files))


def test_a_finished_run_does_not_run_again() -> None:
    session = MemorySession()
    run_worker(small_config(optim__epochs=1), session)

    again = MemorySession(session.files)
    run_worker(small_config(optim__epochs=1), again)

    assert again.rows == session.rows
    assert again.files == session.files


def test_a_checkpoint_of_other_settings_is_refused() -> None:
    session = MemorySession()
    run_worker(small_config(optim__epochs=1), session)

    with pytest.raises(SettingError, match=r"these differ.*optim.lr=0.05.*optim.lr=0.1"):
        run_worker(small_config(optim__epochs=1, optim__lr=0.05), MemorySession(session.files))


@pytest.mark.parametrize(("epochs", "goes_on"), [(300, True), (3, False)])
def test_a_checkpoint_of_the_version_before_goes_on_where_its_epochs_have_the_same_weights(
    epochs: int, goes_on: bool
) -> None:
    config = small_config(model__mix="2*resnet8", data__fraction=0.1, optim__epochs=epochs)
    stopped, again = MemorySession(stop_after=1), MemorySession(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        run_worker(config, stopped)
    for name, data in stopped.files.items():
        state = torch.load(io.BytesIO(data), weights_only=True)
        lines = state["progress"]["settings"].splitlines()
        lines = [x for x in lines if not x.startswith(("distill.ramp_up=", "optim.warmup="))]
        old = ["distill.ramp_up_epochs=80.0", "optim.warmup_epochs=0"]
        state["progress"]["settings"] = "\n".join(sorted([*lines, *old]))
        torch.save(state, buffer := io.BytesIO())
        again.files[name] = buffer.getvalue()

    differ = r"differ: \['distill.ramp_up=0.26\d*', 'distill.ramp_up=80.0 of 3.0 epochs'\]"
    with pytest.raises(KeyboardInterrupt if goes_on else SettingError) as ended:
        run_worker(config, again)
    assert goes_on or re.search(differ, str(ended.value))


def test_digits_are_learned_by_every_member() -> None:
    session = MemorySession()

    run_worker(
        small_config(data__fraction=1.0, optim__epochs=8, optim__lr_schedule="cosine"), session
    )

    losses = [row["loss.total"] for row in session.rows]
    assert losses[-1] < losses[0] / 4
    assert all(member["accuracy"] > 0.93 for member in session.members[-1])


def test_rows_name_columns_of_the_tables_and_members_are_n_plus_2() -> None:
    session = MemorySession()

    run_worker(small_config(optim__epochs=1, model__mix="3*resnet8"), session)

    assert set(session.rows[0]) <= set(arrow_schema("epochs").names)
    assert set(session.members[0][0]) <= set(arrow_schema("members").names)
    names = [member["member"] for member in session.members[0]]
    assert names == ["branch0", "branch1", "branch2", "ensemble", "fused"]


def test_best_is_the_first_epoch_of_the_highest_objective() -> None:
    session = MemorySession()

    run_worker(small_config(), session)

    accuracies = [row["val.fused.accuracy"] for row in session.rows]
    assert session.rows[-1]["best_epoch"] == 1 + accuracies.index(max(accuracies))


def test_a_diverging_training_ends_with_the_epoch_and_the_learning_rate() -> None:
    config = small_config(optim__lr=100.0, optim__weight_decay=1.0)

    with pytest.raises(TrainingDivergedError, match=r"became (nan|inf) in epoch \d; .*than 100.0"):
        run_worker(config, MemorySession())


def test_bfloat16_learns_too() -> None:
    session = MemorySession()

    run_worker(small_config(compute__precision="bfloat16", optim__epochs=2), session)

    assert session.rows[1]["loss.total"] < session.rows[0]["loss.total"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(PlanError, match="compute.device is cuda, and this process was given no"):
        run_worker(small_config(compute__device="cuda"), MemorySession())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_learns_what_the_cpu_learns() -> None:
    sessions = MemorySession(), MemorySession()
    sessions[1].device = torch.device("cuda", 0)

    for session in sessions:
        run_worker(small_config(optim__epochs=2), session)

    losses = [session.rows[-1]["loss.total"] for session in sessions]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_a_batch_too_small_for_the_workers_is_refused() -> None:
    session = MemorySession()
    session.world_size = 40

    with pytest.raises(SettingError, match="each of the 40 workers at least 2 images, not 64"):
        run_worker(small_config(), session)
