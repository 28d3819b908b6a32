"""`python -m ffl_ray.train` from the outside."""

import re
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from support.forked import run, start
from support.helpers import start as start_anew
from support.helpers import wait_for_epochs

import ffl_ray.results
from ffl_ray.console.stopping import STOPPING
from ffl_ray.planning.spare_cpus import planned_cpus
from ffl_ray.results.storage.storage import Storage
from ffl_ray.train import main

SMALL = [
    "--set", "model.mix=2*resnet8", "--set", "data.fraction=0.3", "--set", "optim.batch_size=64",
    "--set", "distill.ramp_up=0.5", "--name", "study", "--cpus-per-trial", "1",
]  # fmt: skip


def comparable(epochs: pd.DataFrame) -> list[tuple[object, ...]]:
    columns = ["epoch", "loss.total", "objective_value", "val.ensemble.nll"]
    return list(epochs[columns].itertuples(index=False, name=None))


def test_a_training_prints_its_members_and_fills_the_tables_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = [*SMALL, "--set", "optim.epochs=2", "--storage-path", str(tmp_path)]

    done = run("train", *options)
    assert done.returncode == 0, done.stderr
    kept = ["--config", f"{tmp_path}/study/config.yaml", "--name", "study", "--cpus-per-trial", "1"]
    again = main([*kept, "--storage-path", str(tmp_path)])

    assert done.stderr == ""
    assert "epoch   2/2  loss" in done.stdout
    assert f'pd.read_parquet("{tmp_path}/study/trials")' in done.stdout
    assert planned_cpus(Storage(f"{tmp_path}/study")) == 1
    results = ffl_ray.results.load("study", str(tmp_path))
    assert list(results.trials.status) == ["completed"]
    assert list(results.epochs.epoch) == [1, 2]
    latest = results.members[results.members.checkpoint == "latest"]
    assert set(latest.member) == {"branch0", "branch1", "ensemble", "fused"}
    assert latest.set_index("member").role.dropna().to_dict() == {
        "branch0": "deployed", "branch1": "deployed", "fused": "whole",
    }  # fmt: skip
    assert set(latest.split) == {"val"}
    shown = capfd.readouterr().out
    assert again == 0
    assert "loss" not in shown
    assert "fused" in shown


def test_a_dry_run_says_what_it_takes_and_writes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = [*SMALL, "--optim.epochs", "400", "--storage-path", str(tmp_path)]

    assert main([*options, "--dry-run"]) == 0

    shown, errors = capfd.readouterr()
    assert errors == ""
    assert re.search(r"400 epochs, 1 worker of 1 thread: about [\d.]+ (s|min|h); memory", shown)
    assert [*tmp_path.iterdir()] == []


def test_killed_and_called_again_it_ends_as_if_nothing_had_happened(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = [*SMALL, "--set", "model.mix=2*resnet20", "--set", "optim.epochs=8"]
    assert main([*options, "--storage-path", str(tmp_path / "whole")]) == 0
    killed = start("train", *options, "--storage-path", str(tmp_path / "killed"))
    part = tmp_path / "killed" / "study" / "epochs" / "part-00000.parquet"
    # Six epochs are left to whoever looks, should it be slow and the training fast.
    wait_for_epochs(tmp_path / "killed" / "study", 2, every_s=0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    done_before = len(pd.read_parquet(part.parent))
    assert 2 <= done_before < 8

    capfd.readouterr()
    again = main([*options, "--storage-path", str(tmp_path / "killed")])

    shown, errors = capfd.readouterr()
    assert again == 0, errors
    # An epoch's row is stored before its trial's: a kill between the two shows it once more.
    assert shown.count("loss") <= 8 - done_before + 1
    found, expected = (
        ffl_ray.results.load("study", str(tmp_path / name)).epochs for name in ("killed", "whole")
    )
    assert comparable(found) == comparable(expected)


def test_ctrl_c_ends_cleanly_and_keeps_the_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    options = [*SMALL, "--set", "optim.epochs=200", "--storage-path", str(tmp_path)]
    process = start_anew("train", *options, out=subprocess.PIPE, OMP_DISPLAY_ENV="VERBOSE")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch   2/"):
            process.send_signal(signal.SIGINT)
            break
    out, errors = process.communicate(timeout=60)

    results = ffl_ray.results.load("study", str(tmp_path))

    assert process.returncode == 130
    assert STOPPING in out.splitlines()
    assert out.splitlines()[-1] == "to go on: the same command with --name study"
    *openmp, last = errors.splitlines()
    assert last == "interrupted"
    # What torch's OpenMP says of itself: its threads spin for microseconds alone.
    assert {line.strip() for line in openmp if "SPINCOUNT" in line} == {"GOMP_SPINCOUNT = '600'"}
    assert list(results.trials.status) == ["interrupted"]
    assert len(results.epochs) >= 2


def test_a_diverging_training_is_recorded_as_failed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wild = ["--set", "optim.lr=100", "--set", "optim.weight_decay=1"]

    status = main([*SMALL, *wild, "--storage-path", str(tmp_path)])

    assert status == 2
    assert capfd.readouterr().err.startswith("error: the training loss became")
    trial = ffl_ray.results.load("study", str(tmp_path)).trials.iloc[0]
    assert (trial.status, trial.error_type) == ("failed", "TrainingDivergedError")
