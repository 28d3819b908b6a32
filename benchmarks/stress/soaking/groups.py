"""Placement groups that a cluster holds, a count every two seconds, until it is gone.

A process of its own: looking joins no cluster, but a call to one that was killed may hang.
`python -m benchmarks.stress.soaking.groups ADDRESS`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable

import psutil

from benchmarks.ray_private import placement_group_counts
from benchmarks.stress.soaking.samples import Process
from ffl_ray.bench.processes import command_of

PERIOD_S = 2.0


class GroupCounter:
    """The latest count, of the cluster whose raylet is among some processes."""

    def __init__(self) -> None:
        self._raylet: psutil.Process | None = None
        self._child: subprocess.Popen[str] | None = None
        self._count: int | None = None

    def count(self, processes: Iterable[Process]) -> int | None:
        """The latest count; None while no cluster has answered yet."""
        raylet = next((one.process for one in processes if one.kind == "raylet"), None)
        if raylet is not None and raylet != self._raylet and (address := gcs_address(raylet)):
            self.close()
            self._raylet = raylet
            self._child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.stress.soaking.groups", address],
                env=os.environ | credentials(raylet),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            threading.Thread(target=self._read, args=(self._child,), daemon=True).start()
        return self._count

    def _read(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            if child is self._child:
                self._count = int(line)

    def close(self) -> None:
        """End the process that counts."""
        self._count = None
        if self._child is not None:
            self._child.kill()
            self._child.wait()


def gcs_address(raylet: psutil.Process) -> str | None:
    """Where the cluster of a raylet has its control service, by the raylet's command line."""
    try:
        found = re.search(r"--gcs-address=(\S+)", command_of(raylet))
    except psutil.Error:
        return None
    return found[1] if found else None


def credentials(raylet: psutil.Process) -> dict[str, str]:
    """What a raylet's environment says of how its cluster lets others in."""
    environment: dict[str, str] = raylet.environ()
    return {name: v for name, v in environment.items() if name.startswith("RAY_AUTH_")}


def main() -> None:
    """Print counts until the cluster is gone."""
    for alive in placement_group_counts(sys.argv[1]):
        sys.stdout.write(f"{alive}\n")
        sys.stdout.flush()
        time.sleep(PERIOD_S)


if __name__ == "__main__":
    main()
