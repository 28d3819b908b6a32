"""A stand-in for the agent of Ray's dashboard, on a machine where Ray has no dashboard.

A raylet starts an agent whatever it is told, reads its ports from files and ends when it does.
Ray's own takes 1.4 s of CPU and 100 MB, and listens to count what nobody asks for. This one says
that it listens nowhere, as Ray's does in its minimal installation:
https://github.com/ray-project/ray/blob/ray-2.60.0/python/ray/dashboard/agent.py
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
CHECK_S = 1.0


def main(options: list[str]) -> None:
    """Be there until the raylet is gone.

    Args:
        options: `--session-dir=` and `--node-id=` among them.
    """
    # Ray tells it: a raylet that has gone by now is no parent any more.
    raylet = int(os.environ.get("RAY_RAYLET_PID", os.getppid()))
    told = dict(option.split("=", 1) for option in options if "=" in option)
    for port in PORTS:
        file = Path(told["--session-dir"], f"{port}_{told['--node-id']}")
        written = file.with_name(f".{file.name}")
        written.write_text("-1")
        written.replace(file)
    while os.getppid() == raylet:
        time.sleep(CHECK_S)


if __name__ == "__main__":
    main(sys.argv[1:])
