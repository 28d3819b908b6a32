"""A real search: nobody else can give its Ray orders, and no secret is written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fork_server import FOLDER
from support.forked import Forked, run, run_program, start
from support.helpers import ROOT

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "marker-aws-5b1c",
    "WANDB_API_KEY": "marker-wandb-5b1c",
    "HF_TOKEN": "marker-hf-5b1c",
    "RAY_AUTH_TOKEN": "marker-ray-5b1c" * 4,
}
MARKER = b"-5b1c"
# The second trial's loss becomes NaN: its failure is written too.
SPACE = """BASE = {"optim.epochs": 2, "data.fraction": 0.2, "model.mix": "2*resnet8",
        "search.sampler": "grid", "search.num_samples": 2, "search.scheduler": "none"}


def search_space(trial):
    trial.suggest_categorical("optim.lr", [0.05, 100])
"""
INTRUDER = """
import ray

try:
    ray.init(address="127.0.0.1:{PORT}", logging_level="CRITICAL", log_to_driver=False)
    print("RAN", ray.get(ray.remote(lambda: 1).remote(), timeout=30))
except BaseException as error:
    print("REFUSED", type(error).__name__)
"""


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """A folder of its own for Ray's sessions; paths of sockets must be short."""
    folder = Path(tempfile.mkdtemp(prefix="ffl", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def port_of(ray_folder: Path, search: Forked) -> str:
    while search.poll() is None:
        for found in ray_folder.glob("ray/session_*/gcs_server_port_*"):
            if text := found.read_text():
                return text
        time.sleep(0.1)
    raise AssertionError(search.communicate()[0])


def intrude(port: str, **environment: str) -> subprocess.Popen[str]:
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("RAY_")}
    inherited["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # where a local Ray listens
    return subprocess.Popen(
        [sys.executable, "-c", INTRUDER.replace("{PORT}", port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=inherited | environment,
    )


@pytest.mark.ray
def test_a_search_takes_no_orders_and_writes_no_secrets(tmp_path: Path, ray_folder: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    studies = tmp_path / "studies"
    environment = SECRETS | {"RAY_TMPDIR": str(ray_folder)}
    words = [str(tmp_path / "space.py"), "--name", "mine", "--storage-path", str(studies)]

    # Its workers are started as a user's are, and not forked.
    told: dict[str, str | None] = {**environment, FOLDER: None}
    search = start("tune", *words, out=subprocess.PIPE, cwd=ROOT, **told)
    port = port_of(ray_folder, search)
    intruders = [
        intrude(port, RAY_AUTH_MODE="disabled"),
        intrude(port, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="guessed" * 5),
    ]
    search.send_signal(signal.SIGSTOP)  # it can't end while they knock; Ray goes on without it
    answers = [intruder.communicate(timeout=120)[0] for intruder in intruders]
    search.send_signal(signal.SIGCONT)
    shown = search.communicate(timeout=240)[0]

    assert [answer.split() for answer in answers] == [["REFUSED", "ConnectionError"]] * 2
    assert search.returncode == 0, shown
    assert "TrainingDivergedError" in shown
    for name in ("report", "export"):
        words = [str(studies / "mine"), "--out", str(tmp_path / name)]
        words += ["--format", "safetensors"] * (name == "export")
        done = run(name, *words, timeout_s=240, cwd=ROOT, **environment)
        assert done.returncode == 0, done.stderr
        shown += done.stdout + done.stderr
    written = [p for place in (tmp_path, ray_folder) for p in place.rglob("*") if p.is_file()]
    assert len(written) > 20
    assert [p for p in written if MARKER in p.read_bytes()] == []
    assert MARKER.decode() not in shown


def test_a_local_ray_wants_a_token_and_a_folder_that_is_ours_alone() -> None:
    code = (
        "import os, stat; from ffl_ray.orchestration.ray_setup import prepare_environment as p; "
        "p(local=True); folder = os.environ['RAY_TMPDIR']; "
        "print(os.environ['RAY_AUTH_MODE'], len(os.environ['RAY_AUTH_TOKEN']), "
        "oct(stat.S_IMODE(os.stat(folder).st_mode)), os.stat(folder).st_uid == os.getuid())"
    )
    unset = dict.fromkeys(name for name in os.environ if name.startswith("RAY_"))

    done = run_program(code, timeout_s=60, **unset)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["token", "64", "0o700", "True"]


def test_what_the_user_settled_for_ray_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from ffl_ray.orchestration.ray_setup import prepare_environment

    for name, value in (("RAY_AUTH_MODE", "disabled"), ("RAY_TMPDIR", "/elsewhere")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)

    prepare_environment(local=True)

    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    assert os.environ["RAY_TMPDIR"] == "/elsewhere"
    assert "RAY_AUTH_TOKEN" not in os.environ
