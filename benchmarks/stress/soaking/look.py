"""One look at a running study from outside: its processes, memory, files, disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ffl_ray.bench.processes import MARK, PROC
from ffl_ray.orchestration.sessions import MARK as SESSION_MARK

RAY_SESSIONS = Path(os.environ.get("RAY_TMPDIR", f"/tmp/ffl_ray-{os.getuid()}")) / "ray"
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
        generation: which start of the command it belongs to.
        pss_bytes: memory, what is shared divided among those who share it.
        own_bytes: memory that is its alone.
    """

    pid: int
    kind: str
    generation: int
    pss_bytes: int = 0
    own_bytes: int = 0
    open_files: int = 0
    threads: int = 0


class Looker:
    """Finds the processes that carry a mark in their environment, zombies included.

    Args:
        mark: begins the value of the marking variable; behind it may stand the generation.
    """

    def __init__(self, mark: str) -> None:
        self._mark = f"{MARK}={mark}".encode()
        self._generations: dict[int, int] = {}
        self._strangers: dict[int, bytes] = {}

    def processes(self) -> tuple[list[Process], list[int]]:
        """The living ones, and the pids of those that ended and nobody waits for."""
        there = {int(folder.name) for folder in PROC.iterdir() if folder.name.isdigit()}
        for known in (self._strangers, self._generations):
            for gone in known.keys() - there:
                del known[gone]
        found: list[Process] = []
        zombies: list[int] = []
        for pid in sorted(there):
            with contextlib.suppress(OSError):
                self._look_at(pid, found, zombies)
        return found, zombies

    def _look_at(self, pid: int, found: list[Process], zombies: list[int]) -> None:
        folder = PROC / str(pid)
        state = (folder / "stat").read_text().rpartition(")")[2].split()
        if state[0] == "Z":
            # A zombie has no environment: it is known from before, or from its parent.
            if pid in self._generations or int(state[1]) in self._generations:
                zombies.append(pid)
            return
        if pid not in self._generations:
            # Between fork and exec a process still has its parent's environment and command.
            command = (folder / "cmdline").read_bytes()
            if self._strangers.get(pid) == command:
                return
            generation = self._generation(folder)
            if generation is None:
                self._strangers[pid] = command
                return
            self._generations[pid] = generation
        found.append(_measured(folder, pid, self._generations[pid]))

    def _generation(self, folder: Path) -> int | None:
        for entry in (folder / "environ").read_bytes().split(b"\0"):
            if entry.startswith(self._mark):
                return int(entry.removeprefix(self._mark).lstrip(b":") or 0)
        return None


def kind_of(command: str) -> str:
    """What a process is, by the program of its command line: a raylet's names all the others."""
    program = " ".join(command.split()[:3])
    return next((kind for part, kind in KINDS if part in program), "other")


def _measured(folder: Path, pid: int, generation: int) -> Process:
    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    memory = _kilobytes((folder / "smaps_rollup").read_text())
    status = (folder / "status").read_text()
    threads = next(line for line in status.splitlines() if line.startswith("Threads:"))
    return Process(
        pid,
        kind_of(command),
        generation,
        1024 * memory.get("Pss", 0),
        1024 * (memory.get("Private_Clean", 0) + memory.get("Private_Dirty", 0)),
        sum(1 for _ in (folder / "fd").iterdir()),
        int(threads.split()[1]),
    )


def _kilobytes(text: str) -> dict[str, int]:
    """The lines `NAME: N kB` of a file of /proc."""
    rows = (line.split() for line in text.splitlines()[1:])
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) == 3 and row[2] == "kB"}


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


def sample(looker: Looker, study: Path, generation: int, started: float) -> dict[str, Any]:
    """A row of everything that may leak.

    Args:
        generation: the start of the command that runs now; processes of others are orphans.
        started: when the soak began, in seconds since 1970.
    """
    processes, zombies = looker.processes()
    mine = [process for process in processes if process.generation == generation]
    orphans = [process.kind for process in processes if process.generation != generation]
    disk, files = disk_of(study)
    ray_disk, ray_files = disk_of(study / "ray")
    sessions = sessions_since(started)
    return {
        "time": time.time(),
        "generation": generation,
        **progress(study),
        "processes": len(processes),
        "zombies": len(zombies),
        "orphans": len(orphans),
        "orphan_kinds": ", ".join(sorted(orphans)),
        "open_files": sum(process.open_files for process in processes),
        "threads": sum(process.threads for process in processes),
        **_of("driver", mine),
        **_of("actor", mine),
        "ray_pss_bytes": sum(p.pss_bytes for p in mine if p.kind not in ("driver", "actor")),
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
