"""Files and folders that nobody else has prepared: the one place where paths are opened to write.

A name that can be guessed may be a link, a pipe or a device by the time it is opened, in a folder
that others write to as in a study that somebody sent. What is new is made under a random name and
moved to its place in one step; what is there already is opened only where it is a regular file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ffl_ray.errors import SettingError, StudyError

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe is opened without waiting for its other end, seen to be one, and closed.
KNOWN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def expanded(path: str) -> Path:
    """A path whose `~` is a home folder.

    Raises:
        SettingError: it is that of a user whom this machine does not know.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SettingError(
            f"{path!r} begins with a user whom this machine does not know"
        ) from error


def with_tilde(path: str) -> str:
    """A path with `~` for this user's home folder, whose name others need not read."""
    home, place = Path.home(), expanded(path)
    return f"~/{place.relative_to(home)}" if place.is_relative_to(home) else path


def beside(path: Path) -> Path:
    """A hidden name in the same folder that nobody can guess."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


@contextmanager
def replaced(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file that takes its place in one step: a reader, or a kill, finds the old or the new one.

    What stands there is replaced, be it a link; nothing is written through it.
    """
    unfinished = beside(path)
    try:
        with os.fdopen(os.open(unfinished, NEW, mode), "w+b") as file:
            yield file
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def opened(path: Path, flags: int, mode: int = 0o666) -> int:
    """A descriptor of a regular file under a known name: a lock, a log, a mark.

    Raises:
        OSError: it can't be opened, or is a link, a pipe or a device.
    """
    descriptor = os.open(path, flags | KNOWN, mode)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def read_own(path: str | Path, *, others: tuple[int, ...] = ()) -> bytes | None:
    """A file's bytes when nobody else can have written them; None otherwise, or without it.

    Args:
        others: users who may have written it too.
    """
    try:
        with os.fdopen(opened(Path(path), os.O_RDONLY), "rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid not in (os.getuid(), *others) or facts.st_mode & 0o022:
                return None
            return file.read()
    except OSError:
        return None


def locked(path: Path, mode: int = 0o600, *, wait: bool = False) -> int:
    """A descriptor that holds the lock of a file until it is closed, or its process is gone.

    Raises:
        BlockingIOError: another process holds it, and nobody was to wait.
        OSError: the file can't be opened, or locked on this file system.
    """
    descriptor = opened(path, os.O_RDWR | os.O_CREAT, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def is_private(folder: Path) -> bool:
    """Whether a folder is this user's, and nobody else can put a file into it; it is made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.stat()
    return facts.st_uid == os.geteuid() and not facts.st_mode & 0o022


def user_path() -> str:
    """Where a folder of this user's own is on this machine, if `user_folder` has made it."""
    return f"/tmp/ffl_ray-{os.getuid()}"


def user_folder() -> Path:
    """A folder of this machine that this user alone can enter, under a short and known name.

    Raises:
        PermissionError: another user has made it.
    """
    folder = Path(user_path())
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "it must be a folder of this user", str(folder))
    folder.chmod(0o700)
    return folder


def inside(folder: Path, name: str) -> Path:
    """The path of a name in a study's folder, when nothing on the way leads elsewhere.

    Raises:
        StudyError: a part of it is a link, a pipe or a device.
    """
    path = folder
    for part in Path(name).parts:
        path = path / part
        try:
            kind = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            what = f"a link to {os.readlink(path)}" if stat.S_ISLNK(kind) else "no regular file"  # noqa: PTH115
            raise StudyError(
                f"{path} is {what}, and a study is read and written in its own folders and files "
                f"only: move what belongs to it here, or link the whole study"
            )
    return path
