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

from benchmarks.stress.soaking.look import Process
from ffl_ray.bench.processes import PROC

PERIOD_S = 2.0


class GroupCounter:
    """The latest count, of the cluster whose raylet is among some processes."""

    def __init__(self) -> None:
        self._raylet: int | None = None
        self._child: subprocess.Popen[str] | None = None
        self._count: int | None = None

    def count(self, processes: Iterable[Process]) -> int | None:
        """None while no cluster has answered yet."""
        raylet = next((process.pid for process in processes if process.kind == "raylet"), None)
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


def gcs_address(raylet: int) -> str | None:
    """Where the cluster of a raylet has its control service, by the raylet's command line."""
    try:
        command = (PROC / str(raylet) / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return None
    found = re.search(r"--gcs-address=(\S+)", command)
    return found[1] if found else None


def credentials(raylet: int) -> dict[str, str]:
    """What a raylet's environment says of how its cluster lets others in."""
    entries = (PROC / str(raylet) / "environ").read_text().split("\0")
    pairs = (entry.partition("=") for entry in entries)
    return {name: value for name, _, value in pairs if name.startswith("RAY_AUTH_")}


def main() -> None:
    """Print counts until the cluster is gone."""
    from ray._private.services import _get_gcs_client_options
    from ray._raylet import GlobalStateAccessor  # type: ignore[attr-defined]
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData  # type: ignore[attr-defined]

    options = _get_gcs_client_options(sys.argv[1])  # type: ignore[no-untyped-call]
    accessor = GlobalStateAccessor(options)
    while accessor.connect():
        tables = map(PlacementGroupTableData.FromString, accessor.get_placement_group_table())
        alive = sum(table.state != PlacementGroupTableData.REMOVED for table in tables)
        sys.stdout.write(f"{alive}\n")
        sys.stdout.flush()
        time.sleep(PERIOD_S)


if __name__ == "__main__":
    main()
