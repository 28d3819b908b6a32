"""A laptop, a head and two workers, with `clusters/local.yaml` derived for them.

What differs from the file that people edit is in `derived`, and nowhere else.
"""

from __future__ import annotations

import copy
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from cluster.machines import GATEWAY, Finished, Machine, Network, Running, wait_for

ROOT = Path(__file__).parents[2]
LAPTOP, HEAD, WORKERS = "laptop", "head", ("worker1", "worker2")
STORE_PORT = 9000
STORE = f"http://{GATEWAY}:{STORE_PORT}"
STUDIES = f"s3://bucket/studies?scheme=http&endpoint_override={GATEWAY}:{STORE_PORT}"
CREDENTIALS = "[default]\naws_access_key_id = test\naws_secret_access_key = test\n"
SSH_CONFIG = "Host *\n  StrictHostKeyChecking no\n  LogLevel ERROR\n"
ENV = {
    "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    "RAY_UP_enable_autoscaler_v2": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": "/root/ffl_ray",
}
# A machine that is dead is held for dead after some 8 s, and the autoscaler looks every 2 s.
IMPATIENT = (
    "export RAY_health_check_initial_delay_ms=2000 RAY_health_check_period_ms=1000 "
    "RAY_health_check_timeout_ms=2000 RAY_health_check_failure_threshold=3 "
    "AUTOSCALER_UPDATE_INTERVAL_S=2 AUTOSCALER_HEARTBEAT_TIMEOUT_S=15; "
)
NOT_COPIED = (".git", ".venv", ".*_cache", "__pycache__", "results", "build", "dist")


def derived(config: Mapping[str, Any], head: str, workers: Sequence[str]) -> dict[str, Any]:
    """`clusters/local.yaml` for the machines of a test.

    Its addresses, user and key are filled in. No wheel is fetched: the environment of this test
    stands where the file would make one, and the package is the copy that `ray up` made. The
    credentials of the store are mounted. A worker offers one CPU, so that two workers of a trial
    need two of them, and a dead machine is noticed sooner.

    Args:
        config: the file.
        head: its address.
        workers: theirs.
    """
    made = copy.deepcopy(dict(config))
    made["provider"] |= {"head_ip": head, "worker_ips": [*workers]}
    made["auth"] = {"ssh_user": "root", "ssh_private_key": "~/.ssh/id_ed25519"}
    made["file_mounts"]["~/.aws/credentials"] = "~/.aws/credentials"
    made["setup_commands"] = [
        f"ln -sfn {sys.prefix} ~/.ffl_env",
        "grep -q PYTHONPATH ~/.bashrc || echo 'export PYTHONPATH=$HOME/ffl_ray' >> ~/.bashrc",
        *(command for command in config["setup_commands"] if ".bashrc" in command),
    ]
    made["head_start_ray_commands"][-1] = (
        IMPATIENT + made["head_start_ray_commands"][-1] + " --object-store-memory=100000000"
    )
    made["worker_start_ray_commands"][-1] += " --num-cpus=1 --object-store-memory=100000000"
    return made


class Transcript:
    """What a person would see of a run, with the seconds of each step; printed as it happens."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """A line, after the seconds since the start."""
        print(f"{time.monotonic() - self._started:6.1f}s  {text}", flush=True)

    def show(self, text: str, last: int = 12) -> None:
        """The end of what a command printed."""
        lines = [line.rstrip() for line in text.splitlines() if line.strip() and "INFO" not in line]
        for line in lines[-last:]:
            print(f"         | {line[:150]}", flush=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say how long something took, or failed after."""
        begun = time.monotonic()
        self.say(what)
        try:
            yield
        except BaseException:
            self.say(f"FAILED after {time.monotonic() - begun:.1f} s: {what}")
            raise
        self.say(f"{what}: {time.monotonic() - begun:.1f} s")


class Lab:
    """The machines with a repository and a key on the laptop, and a store for all of them."""

    def __init__(self, network: Network, transcript: Transcript) -> None:
        self.network = network
        self.transcript = transcript
        self.laptop = network[LAPTOP]
        for name in (LAPTOP, HEAD, *WORKERS):
            network[name].power_on()
        self._fill_laptop()
        self._start_store()

    @property
    def nodes(self) -> list[Machine]:
        """The machines that Ray runs on."""
        return [self.network[name] for name in (HEAD, *WORKERS)]

    def _fill_laptop(self) -> None:
        repository = self.laptop.path("/root/ffl_ray")
        shutil.copytree(ROOT, repository, ignore=shutil.ignore_patterns(*NOT_COPIED))
        file = repository / "clusters" / "local.yaml"
        addresses = [one.address for one in self.nodes]
        config = derived(yaml.safe_load(file.read_text()), addresses[0], addresses[1:])
        file.write_text(yaml.safe_dump(config, width=1000))
        self.laptop.write("/root/.ssh/id_ed25519", self.network.private_key, mode=0o600)
        self.laptop.write(
            "/root/.ssh/config", "Host *\n  StrictHostKeyChecking no\n  LogLevel ERROR\n"
        )
        self.laptop.write("/root/.aws/credentials", CREDENTIALS, mode=0o600)

    def _start_store(self) -> None:
        words = [sys.executable, "-m", "moto.server", "-H", GATEWAY, "-p", str(STORE_PORT)]
        self.network.on_bridge(words, {})
        wait_for("a bucket", self._make_bucket, 60)

    def _make_bucket(self) -> bool:
        ask = f"urllib.request.Request('{STORE}/bucket', method='PUT')"
        code = f"import urllib.request; urllib.request.urlopen({ask}, timeout=5)"
        return self.laptop.run(f'python -c "{code}"', ENV).returncode == 0

    def start(self, line: str) -> Running:
        """Start a command line on the laptop, in the repository."""
        return self.laptop.start(f"cd ffl_ray && {line}", ENV)

    def run(self, line: str, *, timeout_s: float = 180) -> str:
        """What a command line prints on the laptop, in the repository; it has to succeed."""
        self.transcript.say(f"$ {line}")
        done = self.try_(line, timeout_s=timeout_s)
        assert done.returncode == 0, f"{line} exited {done.returncode}:\n{done.stdout}"
        return done.stdout

    def try_(self, line: str, *, timeout_s: float = 180) -> Finished:
        """The same, whatever the exit status, and without a word."""
        return self.laptop.run(f"cd ffl_ray && {line}", ENV, timeout_s=timeout_s)


def ray_processes(machine: Machine) -> list[str]:
    """The command lines of Ray's processes on a machine."""
    marks = ("/ray/", "ray::", "gcs_server", "raylet")
    return [
        one
        for one in machine.processes()
        if any(mark in one for mark in marks) and "sshd" not in one
    ]
