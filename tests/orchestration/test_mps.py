"""NVIDIA's MPS is started before Ray and ends with it, where a user allows it."""

import os
from pathlib import Path

import pytest

from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.errors import PlanError
from ffl_ray.orchestration import start as start_module
from ffl_ray.orchestration.mps import LOGS, PIPES, PROGRAM
from ffl_ray.orchestration.ray_setup import own_ray
from ffl_ray.planning.layout import Machines

DAEMON = '#!/bin/sh\necho "$1$(cat) $CUDA_MPS_PIPE_DIRECTORY" >> "$TOLD"\n'


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a daemon on this machine, and a Ray that starts no process, are told."""
    program, told = tmp_path / PROGRAM, tmp_path / "told"
    program.write_text(DAEMON)
    program.chmod(0o755)
    for name in (PIPES, LOGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TOLD", str(told))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))

    def start_ray(address: str | None) -> None:
        with told.open("a") as file:
            file.write(f"ray {os.environ.get(PIPES)}\n")

    monkeypatch.setattr(start_module, "start_ray", start_ray)
    monkeypatch.setattr(start_module, "cluster_machines", lambda: Machines(4, 1))
    return told


def start(address: str | None, *, mps: bool) -> None:
    with own_ray():
        start_module._start_ray(address, Config(), SearchConfig(mps=mps))


def test_the_daemon_is_there_when_ray_starts_and_ends_after_it(told: Path) -> None:
    start(None, mps=True)

    first, ray, last = (line.rpartition(" ") for line in told.read_text().splitlines())
    assert [first[0], ray[0], last[0]] == ["-d", "ray", "quit"]
    assert {first[2], ray[2]} == {last[2]}
    assert not Path(last[2]).exists()
    assert not {PIPES, LOGS} & set(os.environ)


def test_it_is_not_started_unless_a_user_allows_it(told: Path) -> None:
    start(None, mps=False)

    assert told.read_text() == "ray None\n"


def test_where_it_does_not_start_that_is_said_and_nothing_is_left(
    told: Path, tmp_path: Path
) -> None:
    (tmp_path / PROGRAM).write_text("#!/bin/sh\nexit 1\n")

    with pytest.raises(PlanError, match="search.mps must be false where nvidia-cuda-mps-control"):
        start(None, mps=True)

    assert not told.exists()
    assert list(tmp_path.glob("mps-*")) == []


def test_nodes_of_a_cluster_start_their_own(told: Path) -> None:
    with pytest.raises(PlanError, match="search.mps must be false with --address"):
        start("auto", mps=True)
