"""Samples of a running study from outside: its processes, memory, files, disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from ffl_ray.bench.processes import Marked
from ffl_ray.files import user_path
from ffl_ray.orchestration.sessions import MARK as SESSION_MARK

RAY_SESSIONS = Path(os.environ.get("RAY_TMPDIR", user_path())) / "ray"
SHARED_MEMORY = Path("/dev/shm")
KINDS = (
    ("ffl_ray.tune", "driver"),
    ("gcs/gcs_server", "gcs"),
    ("raylet/raylet", "raylet"),
    ("dashboard/agent.py", "dashboard agent"),
    ("runtime_env/agent", "environment agent"),
    ("dashboard/dashboard.py", "dashboard"),
    ("log_monitor.py", "log monitor"),
    ("autoscaler/_private/monitor.py", "monitor"),
    ("ray::ImplicitFunc", "actor"),
    ("ray::train_in_actor", "actor"),
    ("ray::RayTrainWorker", "worker"),
    ("ray::DashboardAgent", "dashboard agent"),
    ("ray::RuntimeEnvAgent", "environment agent"),
    ("ray::IDLE", "idle"),
    ("ray::", "other actor"),
    ("default_worker.py", "starting"),
)
HELPERS = ("dashboard agent", "environment agent", "dashboard", "log monitor", "monitor")


class Process(NamedTuple):
    """A process of the study.

    Attributes:
        process: psutil's handle of it.
        generation: which start of the command it belongs to.
        pss_bytes: memory, what is shared divided among those who share it.
        own_bytes: memory that is its alone.
    """

    process: psutil.Process
    kind: str
    generation: int
    pss_bytes: int = 0
    own_bytes: int = 0
    open_files: int = 0
    threads: int = 0


def measured(marked: Marked) -> tuple[list[Process], int]:
    """A study's living processes, and how many have ended and nobody waits for."""
    living, zombies = marked.find()
    found = []
    for one in living:
        with contextlib.suppress(psutil.Error):
            memory = one.process.memory_full_info()
            found.append(
                Process(
                    one.process,
                    kind_of(one.command),
                    int(one.ending.lstrip(":") or 0),
                    memory.pss,
                    memory.uss,
                    one.process.num_fds(),
                    one.process.num_threads(),
                )
            )
    return found, len(zombies)


def kind_of(command: str) -> str:
    """What a process is, by the program of its command line: a raylet's names all the others."""
    program = " ".join(command.split()[:3])
    return next((kind for part, kind in KINDS if part in program), "other")


def disk_of(folder: Path) -> tuple[int, int]:
    """Bytes that the files below take on disk, and how many files and folders there are."""
    size = count = 0
    for place, folders, files in os.walk(folder):
        count += len(folders) + len(files)
        for name in (*files, *folders):
            with contextlib.suppress(OSError):
                size += 512 * os.lstat(f"{place}/{name}").st_blocks
    return size, count


def sessions_since(start: float) -> list[Path]:
    """Folders of Ray's sessions that are ours and began after a moment, in seconds since 1970."""
    found = []
    for mark in RAY_SESSIONS.glob(f"session_2*/{SESSION_MARK}"):
        with contextlib.suppress(OSError, ValueError):
            _, date, clock, *_ = mark.parent.name.split("_")
            begun = time.mktime(time.strptime(f"{date} {clock}", "%Y-%m-%d %H-%M-%S"))
            if begun >= start - 1:
                found.append(mark.parent)
    return found


def progress(study: Path) -> dict[str, int]:
    """Trials by what became of them, and epochs done, from the trials table."""
    found = {"trials_ended": 0, "trials_failed": 0, "epochs_done": 0}
    for part in (study / "trials").glob("part-*.parquet"):
        with contextlib.suppress(OSError, pa.ArrowException):
            rows = pq.ParquetFile(part).read(["status", "epochs_done"], use_threads=False)
            status = rows["status"].to_pylist()
            found["trials_ended"] += sum(s in ("completed", "pruned", "failed") for s in status)
            found["trials_failed"] += status.count("failed")
            found["epochs_done"] += sum(done or 0 for done in rows["epochs_done"].to_pylist())
    return found


def sample(
    processes: Iterable[Process], zombies: int, study: Path, generation: int, started: float
) -> dict[str, Any]:
    """A row of everything that may leak.

    Args:
        zombies: how many there are.
        generation: the start of the command that runs now; processes of others are orphans.
        started: when the soak began, in seconds since 1970.
    """
    processes = [*processes]
    mine = [process for process in processes if process.generation == generation]
    orphans = [process.kind for process in processes if process.generation != generation]
    return {
        "time": time.time(),
        "generation": generation,
        **progress(study),
        "processes": len(processes),
        "zombies": zombies,
        "orphans": len(orphans),
        "orphan_kinds": ", ".join(sorted(orphans)),
        "open_files": sum(process.open_files for process in processes),
        "threads": sum(process.threads for process in processes),
        **_of("driver", mine),
        **_of("actor", mine),
        "ray_pss_bytes": sum(p.pss_bytes for p in mine if p.kind not in ("driver", "actor")),
        **_disk(study, started),
    }


def _disk(study: Path, started: float) -> dict[str, int]:
    """Bytes and files of the study and of Ray."""
    disk, files = disk_of(study)
    ray_disk, ray_files = disk_of(study / "ray")
    sessions = sessions_since(started)
    return {
        "study_bytes": disk,
        "study_files": files,
        "study_ray_bytes": ray_disk,
        "study_ray_files": ray_files,
        "sessions": len(sessions),
        "sessions_bytes": sum(disk_of(folder)[0] for folder in sessions),
        "shared_memory_bytes": shutil.disk_usage(SHARED_MEMORY).used,
    }


def _of(kind: str, processes: Iterable[Process]) -> dict[str, int | None]:
    """Processes of one kind together; None where there is none."""
    found = [process for process in processes if process.kind == kind]
    totals = {
        "pss_bytes": sum(p.pss_bytes for p in found),
        "own_bytes": sum(p.own_bytes for p in found),
        "open_files": sum(p.open_files for p in found),
        "threads": sum(p.threads for p in found),
    }
    return {f"{kind}s": len(found)} | {
        f"{kind}_{name}": value if found else None for name, value in totals.items()
    }
