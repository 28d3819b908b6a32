"""A laptop from which a cluster is launched on machines of one's own, and a store beside them."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from cluster.machines import GATEWAY, Finished, Machine, Network, Running, wait_for

ROOT = Path(__file__).parents[2]
LAPTOP = "laptop"
STORE_PORT = 9000
STORE = f"http://{GATEWAY}:{STORE_PORT}"
STUDIES = f"s3://bucket/studies?scheme=http&endpoint_override={GATEWAY}:{STORE_PORT}"
CREDENTIALS = "[default]\naws_access_key_id = test\naws_secret_access_key = test\n"
SSH_CONFIG = "Host *\n  StrictHostKeyChecking no\n  LogLevel ERROR\n"
ENV = {
    "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    "RAY_UP_enable_autoscaler_v2": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": "/root/ffl_ray:/root/ffl_ray/tests",
}
NOT_COPIED = (".git", ".venv", ".*_cache", "__pycache__", "results", "build", "dist")


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
    """The machines with a repository and a key on the laptop, and a store for all of them.

    Args:
        network: with a machine `LAPTOP`, which is started.
        transcript: is told what is run.
        file: the cluster's, in the repository.
        derive: makes of it the one that the laptop has in its place.
    """

    def __init__(
        self,
        network: Network,
        transcript: Transcript,
        file: str,
        derive: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self.network = network
        self.transcript = transcript
        self.laptop = network[LAPTOP]
        self.laptop.power_on()
        repository = self.laptop.path("/root/ffl_ray")
        shutil.copytree(ROOT, repository, ignore=shutil.ignore_patterns(*NOT_COPIED))
        config = derive(yaml.safe_load((ROOT / file).read_text(encoding="utf-8")))
        (repository / file).write_text(yaml.safe_dump(config, width=1000))
        self.laptop.write("/root/.ssh/id_ed25519", network.private_key, mode=0o600)
        self.laptop.write("/root/.ssh/config", SSH_CONFIG)
        self.laptop.write("/root/.aws/credentials", CREDENTIALS, mode=0o600)
        self._start_store()

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


def uri_of(name: str) -> str:
    """Where a study of this name is."""
    return STUDIES.replace("/studies", f"/studies/{name}")


def stored(lab: Lab, name: str) -> dict[str, Any]:
    """What a study's tables hold, as `watch_study.py` tells it."""
    done = lab.try_(f"python tests/cluster/watch_study.py '{uri_of(name)}' --once")
    assert done.returncode == 0, done.stdout
    trials: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return trials
