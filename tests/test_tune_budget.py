"""`python -m ffl_ray.tune folder --budget TIME`: fitted, killed, gone on with, and over in time."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image
from support.forked import run, start
from support.helpers import wait_for_epochs

import ffl_ray.results

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        "FFL_RAY_TEST_SLOW" not in os.environ, reason="its budget: FFL_RAY_TEST_SLOW=1 runs it"
    ),
]
BUDGET_S = 240


def write_photos(root: Path) -> Path:
    generator = random.Random(0)
    for name, shade in (("Ähre", 60), ("bee hive", 120), ("cat", 180)):
        (root / name).mkdir(parents=True)
        for index in range(80):
            pixels = bytes(shade + generator.randint(-60, 60) for _ in range(24 * 20 * 3))
            Image.frombytes("RGB", (24, 20), pixels).save(root / name / f"{index}.png")
    return root


def test_a_budget_is_kept_over_a_kill_and_the_search_is_the_same(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    options = ["folder", "--data-dir", str(photos), "--budget", f"{BUDGET_S}s", "--name", "study"]
    options += ["--storage-path", str(tmp_path), "--num-samples", "9"]
    began = time.monotonic()
    process = start("tune", *options, out=subprocess.PIPE)
    wait_for_epochs(tmp_path / "study", 6)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    before = json.loads((tmp_path / "study" / "study.json").read_text())
    first_s = time.monotonic() - began

    again = run("tune", *options)

    took_s = time.monotonic() - began
    assert again.returncode == 0, again.stderr
    after = json.loads((tmp_path / "study" / "study.json").read_text())
    assert after["settings"] == before["settings"]
    assert after["budget"]["values"].keys() >= {"optim.epochs", "data.image_size"}
    assert "search.num_samples" not in after["budget"]["values"]
    assert re.search(r"--budget 4m, (\d+m)?(\d+s)? of them used before: it ends then", again.stdout)
    assert re.search(r"9 trials \(\d+ there(, \d to go on)?, \d new\), ", again.stdout)
    assert took_s <= BUDGET_S + first_s  # what the first start took beside its epochs is not known
    trials = ffl_ray.results.load("study", str(tmp_path)).trials
    assert (trials.status == "completed").any()
    assert set(trials["data.image_size"]) == {after["budget"]["values"]["data.image_size"]}
