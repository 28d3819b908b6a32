"""What a running study is asked from outside, as files in its folder `steering`.

Whoever may write the study's storage may ask: for points to be tried next, and for a stop. The
driver reads, and deletes nothing but an old stop: a point that some trial had is not tried again.
"""

from __future__ import annotations

import contextlib
import uuid
from datetime import UTC, datetime
from typing import NamedTuple

from ffl_ray.results.storage.storage import Storage

FOLDER = "steering"
STOP = f"{FOLDER}/stop"
POINT, REFUSED = "point-", "refused-"
LONGEST = 4096


class Asked(NamedTuple):
    """A point that was asked for: the name of its file, and its text."""

    name: str
    text: str


def ask_for(storage: Storage, text: str) -> None:
    """Ask a study for a point, such as `model.mix=2*resnet20 fusion.design=sum`."""
    storage.make_folder(FOLDER)
    moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    storage.write(f"{FOLDER}/{POINT}{moment}-{uuid.uuid4().hex[:8]}", text.encode())


def ask_to_stop(storage: Storage) -> None:
    """Ask a study's driver to end as by Ctrl-C."""
    storage.make_folder(FOLDER)
    storage.write(STOP, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC".encode())


def forget_stop(storage: Storage) -> None:
    """Forget an earlier stop: the study begins, or goes on."""
    storage.delete(STOP)


def refused(storage: Storage) -> dict[str, str]:
    """The points that a driver refused, each with its reason."""
    texts = {name: _text(storage, f"{FOLDER}/{name}") for name in storage.names(FOLDER)}
    return {
        texts.get(name.replace(REFUSED, POINT, 1), name): reason
        for name, reason in texts.items()
        if name.startswith(REFUSED)
    }


class Steering:
    """What a driver hears of a study's folder; a storage that does not answer costs nothing.

    Args:
        location: of the study. It is opened anew for each look: libraries pickle who holds this.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._seen: set[str] = set()

    def new_points(self) -> list[Asked]:
        """The points that were asked for since the last look, in order."""
        with contextlib.suppress(OSError):
            storage = self._storage()
            names = [name for name in storage.names(FOLDER) if name.startswith(POINT)]
            new = [name for name in names if name not in self._seen]
            found = [Asked(name, _text(storage, f"{FOLDER}/{name}")) for name in new]
            self._seen.update(new)
            return found
        return []

    def refuse(self, point: Asked, reason: str) -> None:
        """Say why a point can't be tried."""
        with contextlib.suppress(OSError):
            name = point.name.replace(POINT, REFUSED, 1)
            self._storage().write(f"{FOLDER}/{name}", reason.encode())

    def stop_is_asked(self) -> bool:
        """Whether somebody asked for a stop."""
        with contextlib.suppress(OSError):
            return self._storage().exists(STOP)
        return False

    def _storage(self) -> Storage:
        return Storage(self._location, once=True)


def _text(storage: Storage, name: str) -> str:
    return (storage.read(name) or b"")[:LONGEST].decode(errors="replace")
