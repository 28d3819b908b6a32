"""The lease of a study where there are no locks: a small file that its holder keeps changing.

No clock of the day is read, neither here nor of the store: a lease is held while it is seen to
change, and free once it was looked at for `WATCH_S` and did not. So machines whose clocks differ,
or jump, agree.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import threading
import time
import uuid
from typing import Any, Protocol

from ffl_ray.errors import StudyError, on_one_line

LOG = logging.getLogger("ffl_ray.storage")
FILE = ".lease.json"
BEAT_S = 2.0
# Six missed beats: a holder that is only slow is not robbed.
WATCH_S = 12.0
POLL_S = 0.5
# Two that find no lease at the same moment write one each, and the later one stays.
SETTLE_S = 1.0
# Before a write, a lease that was not confirmed for this long is looked at first.
FRESH_S = WATCH_S / 2


class Files(Protocol):
    """Where the lease lies; every call is tried once."""

    def read(self, name: str) -> bytes | None:
        """A file's bytes, or None."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Replace a file."""
        ...

    def make_folder(self) -> None:
        """Create the folder."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file."""
        ...


class Lease:
    """A folder held by this process until `release`, or until the process is gone.

    Args:
        files: the folder, in which calls are tried once.
        place: its name for messages.

    Raises:
        StudyError: another living process holds it.
    """

    def __init__(self, files: Files, place: str) -> None:
        self._files = files
        self._place = place
        self._id = uuid.uuid4().hex
        self._beats = 0
        self._taken_by: dict[str, Any] | None = None
        self._confirmed = _now()
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._acquire()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()
        atexit.register(self.release)

    def check(self) -> None:
        """Make sure that the folder is still ours, unless it was given back.

        Raises:
            StudyError: another process took it over, or nobody can say whether one did.
        """
        if self._ended.is_set():
            return
        if self._taken_by is None and _now() - self._confirmed > FRESH_S:
            self._beat()
        if self._taken_by is not None:
            raise StudyError(
                f"{self._place} was taken over by {_name(self._taken_by)} while this process was "
                f"not heard of for {WATCH_S:.0f} s: that one goes on, and this one ends"
            )

    def release(self) -> None:
        """Give the folder back, so that the next one need not wait."""
        atexit.unregister(self.release)
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        try:
            if self._taken_by is None and self._read().get("id") == self._id:
                self._files.delete(FILE)
        except OSError as error:
            LOG.info("the lease of %s could not be removed: %s", self._place, error)

    def _acquire(self) -> None:
        self._wait_until_free()
        self._files.make_folder()
        self._write()
        self._ended.wait(SETTLE_S)
        found = self._read()
        if found.get("id") != self._id:
            raise _in_use(self._place, found)
        self._confirmed = _now()

    def _wait_until_free(self) -> None:
        """Return when there is no lease, or one that nobody keeps."""
        first = self._read()
        if not first:
            return
        for _ in range(round(WATCH_S / POLL_S)):
            self._ended.wait(POLL_S)
            found = self._read()
            if not found:
                return
            if found != first:
                raise _in_use(self._place, found)
        LOG.warning("%s: %s, which held it, is gone; taken over", self._place, _name(first))

    def _keep(self) -> None:
        """Change the lease every few seconds; what fails is tried again at the next beat.

        So an outage is noticed here too, when only the trials have something to write.
        """
        failed_at: float | None = None
        while not self._ended.wait(BEAT_S) and self._taken_by is None:
            try:
                self._beat()
            except OSError as error:
                if failed_at is None:
                    failed_at = _now()
                    LOG.warning("%s does not answer: %s", self._place, on_one_line(error))
                continue
            if failed_at is not None:
                LOG.warning("%s answers again after %.0f s", self._place, _now() - failed_at)
                failed_at = None

    def _beat(self) -> None:
        with self._turn:
            asked = _now()
            found = self._read()
            if found.get("id") != self._id:  # none: who took it over has ended already
                self._taken_by = found
                return
            self._beats += 1
            self._write()
            self._confirmed = asked

    def _read(self) -> dict[str, Any]:
        data = self._files.read(FILE)
        if data is None:
            return {}
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {"id": data.decode(errors="replace")}

    def _write(self) -> None:
        owner = {"id": self._id, "host": socket.gethostname(), "pid": os.getpid()}
        self._files.write(FILE, json.dumps(owner | {"beats": self._beats}).encode())


def _in_use(place: str, owner: dict[str, Any]) -> StudyError:
    return StudyError(f"{place} is in use by {_name(owner)}: wait for it, or choose another --name")


def _name(owner: dict[str, Any]) -> str:
    if "pid" not in owner:
        return "another process"
    return f"process {owner['pid']} on {owner.get('host')}"


def _now() -> float:
    """Seconds since some moment, a sleep of the machine included where that can be had."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
