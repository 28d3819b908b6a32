"""`confirm --tune-baselines` for real: killed in a baseline's search, and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from support.forked import run, start

import ffl_ray.results

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        "FFL_RAY_TEST_SLOW" not in os.environ, reason="a minute: FFL_RAY_TEST_SLOW=1 runs it"
    ),
]
SPACE = """
BASE = {
    "data.fraction": 0.06,
    "data.val_fraction": 0.2,
    "model.mix": "2*resnet8",
    "optim.epochs": 2,
    "optim.batch_size": 32,
    "search.num_samples": 3,
    "search.plain_baseline": False,
}


def search_space(trial):
    trial.suggest_categorical("optim.lr", [0.003, 0.03, 0.1])
    trial.suggest_categorical("fusion.design", ["sum", "mean"])
    return {}
"""


def test_a_tuned_baseline_is_found_again_after_a_kill_and_registered_before_the_test(
    tmp_path: Path,
) -> None:
    path = tmp_path / "space.py"
    path.write_text(SPACE)
    here = ["--storage-path", str(tmp_path), "--cpus-per-trial", "1"]
    assert run("tune", str(path), "--name", "study", *here).returncode == 0
    asked = ["study", *here, "--top", "1", "--seeds", "2", "--arms", "alone"]
    asked += ["--baselines", "epochs", "--tune-baselines", "5"]
    confirmed = tmp_path / "study" / "confirmed"

    process = start("confirm", *asked, out=subprocess.PIPE)
    wait_for_tuning(confirmed)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = json.loads((confirmed / "study.json").read_text())
    again = run("confirm", *asked, timeout_s=600)
    third = run("confirm", *asked)

    assert again.returncode == 0, again.stderr
    assert before["registered"] is None
    assert {one["arm"] for one in before["runs"]} == set(before["chosen"])  # no baseline's yet
    after = json.loads((confirmed / "study.json").read_text())
    (tuned,) = [arm for arm in after["arms"] if arm["trial_id"] is None]
    assert tuned["name"] == "tuned independent resnet8, 2 epochs"
    assert tuned["tuned"]["searched"] == ["optim.lr"]
    search = ffl_ray.results.load(str(confirmed / tuned["tuned"]["study"]))
    assert sorted(search.trials["optim.lr"]) == [0.003, 0.03, 0.1]  # all of its points
    assert set(search.members.split) == {"val"}
    assert after["registered"]["plan"]["arms"][-1] == {
        "name": tuned["name"],
        "settings": after["registered"]["plan"]["arms"][-1]["settings"],
        "tuned": tuned["tuned"],
    }
    rows = pd.read_parquet(confirmed / "comparisons")
    assert set(rows.parity) == {"tuned against tuned"}
    assert set(rows.baseline_trials) == {3}
    assert "tuned against tuned" in third.stdout
    assert third.stdout.splitlines()[-3:] == again.stdout.splitlines()[-3:]


def wait_for_tuning(confirmed: Path) -> None:
    """Return when a baseline's search has begun to train, or after a minute."""
    deadline = time.monotonic() + 60
    while not [*confirmed.glob("tuned/*/trials/part-*.parquet")] and time.monotonic() < deadline:
        time.sleep(0.1)
