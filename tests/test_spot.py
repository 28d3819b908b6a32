"""A spot machine's warning is heard, and Ray and the trainings there are told."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from support.metadata import Metadata, served

from ffl_ray.spot import DEADLINES, drain_command, main, wait_for_warning
from ffl_ray.training.preemption import is_preempted, leave_mark, mark_path, remove_mark


@pytest.fixture(autouse=True)
def own_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FFL_RAY_PREEMPTION", str(tmp_path / "mark"))
    return tmp_path / "mark"


@pytest.fixture
def drains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `ray` that writes down its arguments, and whether trainings had been told before."""
    notes = tmp_path / "drains"
    ray = tmp_path / "ray"
    ray.write_text(
        f'#!/bin/sh\necho "$@" >> {notes}\ntest -e {mark_path()} && echo late >> {notes}\nexit 0\n'
    )
    ray.chmod(0o755)
    monkeypatch.setattr("ffl_ray.spot.ray_executable", lambda: str(ray))
    return notes


def wait_until(what: Callable[[], bool]) -> None:
    """Return once it is so, or fail after a minute."""
    ends = time.monotonic() + 60
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.parametrize(("cloud", "notice_s"), [("aws", 120), ("gcp", 30)])
def test_a_warning_drains_the_node_and_then_marks_it(
    cloud: str, notice_s: int, drains: Path, own_mark: Path
) -> None:
    metadata = Metadata()
    with served(metadata) as address:
        listener = threading.Thread(
            target=main,
            args=(["--cloud", cloud, "--metadata", address, "--poll", "0.05", "--node-id", "ab"],),
        )
        listener.start()
        wait_until(lambda: any(line.startswith("GET") for line in metadata.asked))
        before = (own_mark.exists(), drains.exists())
        warned = int(time.time())  # AWS tells whole seconds
        metadata.warn(notice_s)
        listener.join(60)
    heard_by = time.time()

    assert before == (False, False)
    assert is_preempted()
    deadline = float(own_mark.read_text())
    assert warned <= deadline - notice_s <= heard_by
    (line,) = drains.read_text().splitlines()
    assert line.startswith("drain-node --reason=DRAIN_NODE_REASON_PREEMPTION")
    assert line.endswith("--node-id=ab")
    remaining = int(line.split("--deadline-remaining-seconds=")[1].split()[0])
    assert int(deadline - heard_by) <= remaining <= notice_s


def test_a_silent_or_confused_service_is_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Preempted, bind_and_activate=False)
    server.server_bind()  # the port is taken, and nobody listens there yet
    address = f"http://127.0.0.1:{server.server_address[1]}"
    found: list[float] = []
    said: list[str] = []
    listener = threading.Thread(
        target=lambda: found.append(wait_for_warning("gcp", address, 0.05)), daemon=True
    )
    listener.start()

    def told() -> int:
        said.append(capsys.readouterr().out)
        return "".join(said).count("no answer from")

    wait_until(lambda: told() > 0)
    time.sleep(0.3)  # it is asked some times more, and nothing is said of that
    waits = listener.is_alive()
    server.server_activate()
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    listener.join(60)
    server.shutdown()
    serving.join()
    server.server_close()

    assert (waits, len(found), told()) == (True, 1, 1)


class _Preempted(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"TRUE\n")

    def log_message(self, *args: Any) -> None:
        pass


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = Metadata()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    with served(metadata) as address:
        assert DEADLINES["gcp"](address) is None
        assert DEADLINES["aws"](address) is None

    assert metadata.asked[-1] == "GET /latest/meta-data/spot/instance-action"


def test_kubernetes_warns_by_ending_the_pod(drains: Path, own_mark: Path) -> None:
    started = time.time()

    assert main(["--now", "1"]) == 0

    assert time.time() - started > 0.99  # a pod goes when its hook has ended
    assert started + 1 <= float(own_mark.read_text())
    assert "--deadline-remaining-seconds=0" in drains.read_text()


def test_trainings_hear_of_it_where_the_ray_program_is_not_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own_mark: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("ffl_ray.spot.ray_executable", lambda: str(tmp_path / "gone"))

    assert main(["--now", "0.1"]) == 0

    out = capsys.readouterr().out
    assert own_mark.exists()
    assert "the node can't be drained: " in out
    assert f"{tmp_path / 'gone'}" in out
    assert "node drained: False" in out
    assert "no mark can be left" not in out


def test_a_drain_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_mark: Path
) -> None:
    hanging = tmp_path / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 600\n")
    hanging.chmod(0o755)
    monkeypatch.setattr("ffl_ray.spot.ray_executable", lambda: str(hanging))
    waited: list[float] = []
    wait = subprocess.Popen.wait

    def noted(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        waited.append(math.inf if timeout is None else timeout)
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", noted)

    main(["--now", "0.9"])

    before_mark, to_the_end, after_kill = waited
    assert 0 <= before_mark < 0.301  # a third of the time left
    assert 0 <= to_the_end < 0.901 - before_mark
    assert after_kill == math.inf
    assert own_mark.exists()


def test_a_new_life_of_the_machine_forgets_the_mark_and_a_second_listener_leaves(
    own_mark: Path,
) -> None:
    leave_mark(time.time() + 60)
    command = [sys.executable, "-m", "ffl_ray.spot", "--cloud", "gcp"]
    with served(Metadata()) as address:
        options = ["--metadata", address, "--poll", "0.1"]
        first = subprocess.Popen(command + options, stdout=subprocess.PIPE, text=True)
        assert first.stdout is not None
        assert f"asking {address} every 0.1 s" in first.stdout.readline()
        second = subprocess.run(
            command + options, capture_output=True, text=True, timeout=60, check=True
        )
        first.terminate()
        first.wait()
        first.stdout.close()

    assert not own_mark.exists()
    assert "another one listens" in second.stdout


def test_a_mark_counts_only_from_this_user_or_root_and_for_five_minutes(
    own_mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_preempted()
    leave_mark(time.time() + 1)
    assert is_preempted()
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]

    leave_mark(time.time() - 301)
    assert not is_preempted()
    own_mark.write_text("soon")
    assert not is_preempted()

    remove_mark()
    remove_mark()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(repr(time.time() + 60))
    own_mark.symlink_to(elsewhere)
    assert not is_preempted()

    own_mark.unlink()
    leave_mark(time.time() + 60)
    if os.getuid() == 0:
        os.chown(own_mark, 1234, -1)
    monkeypatch.setattr("os.getuid", lambda: 4321)
    assert not is_preempted()


def test_to_look_for_the_mark_costs_about_what_a_question_to_the_file_system_does(
    own_mark: Path,
) -> None:
    """1.3 times of it; three times where pathlib asks, or a file is opened."""
    place = str(own_mark)
    asked: tuple[Callable[[], bool], ...] = (is_preempted, lambda: os.path.lexists(place))
    least = [math.inf, math.inf]
    for _ in range(20):
        for which, ask in enumerate(asked):
            started = time.perf_counter()
            for _ in range(100):
                ask()
            least[which] = min(least[which], time.perf_counter() - started)

    assert least[0] < 2 * least[1]


def test_the_listener_needs_neither_torch_nor_ray() -> None:
    code = "import sys, ffl_ray.spot; print(sorted({'torch', 'ray', 'numpy'} & set(sys.modules)))"

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"


def test_the_line_that_starts_it_leaves_it_running_when_its_shell_is_gone(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    lines = yaml.safe_load((root / "cluster.yaml").read_text())["worker_start_ray_commands"]
    (line,) = (line for line in lines if "ffl_ray.spot" in line)
    log = tmp_path / "log"
    with served(Metadata()) as address:
        line = line.replace("python -m", f"{sys.executable} -m").replace(
            "~/ffl_ray-spot.log", str(log)
        )
        line = line.replace("--cloud aws", f"--cloud aws --metadata {address}")
        environment = os.environ | {"PYTHONPATH": str(root)}
        subprocess.run(["bash", "-c", line], env=environment, check=True, timeout=60)
        wait_until(lambda: log.exists() and "asking" in log.read_text())
        (pid,) = listeners(address)
        session = os.getsid(pid)
        os.kill(pid, signal.SIGTERM)

    assert session != os.getsid(0)


def listeners(address: str) -> list[int]:
    """Processes that ask this address."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if {"ffl_ray.spot", address} <= set(process.info["cmdline"] or ())
    ]


def test_rays_command_takes_these_options() -> None:
    from ray.scripts.scripts import drain_node

    _, command, *options = drain_command(time.time() + 100, "127.0.0.1:6379", "ab")

    names = {name for parameter in drain_node.params for name in parameter.opts}
    assert command == drain_node.name
    assert {option.split("=")[0] for option in options} <= names
    (reason,) = (p for p in drain_node.params if p.name == "reason")
    assert "DRAIN_NODE_REASON_PREEMPTION" in vars(reason.type)["choices"]
