"""Files of a study, on any file system that pyarrow.fs opens; every write is atomic.

A call that fails in a way that may pass (`retry`) is tried again for some minutes.
"""

from __future__ import annotations

import copy
import os
import posixpath
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pyarrow import fs

from ffl_ray.errors import StudyError
from ffl_ray.files import inside, locked, replaced
from ffl_ray.results.storage.filesystems import open_uri
from ffl_ray.results.storage.lease import Lease
from ffl_ray.results.storage.retry import Retry, storage_is_full

__all__ = ["COPIES", "Storage", "storage_is_full"]

Result = TypeVar("Result")
COPIES = ".copies"
# What was written is forced to disk this often: doing so with each write costs 4 ms of 2.
FLUSH_EVERY_S = 1.0


class Storage:
    """A folder that may be local, shared, or in an object store.

    Args:
        uri: a path, or a URI such as s3://bucket/results.
        once: try calls once and not for minutes.

    Raises:
        StudyError: no file system takes such a URI, or it holds credentials.
    """

    def __init__(self, uri: str, *, once: bool = False) -> None:
        self.uri = uri
        self._limit_s = 0.0 if once else None
        self._retry = Retry(uri)
        self._lease: Lease | None = None
        self._unlock: weakref.finalize[..., Any] | None = None
        self._unflushed: set[Path] = set()
        self._flushed_at = float("-inf")
        self._fs, self._root = self._retried(lambda: open_uri(uri))

    @property
    def is_local(self) -> bool:
        """Whether the folder is one of this machine's file tree (NFS included)."""
        return isinstance(self._fs, fs.LocalFileSystem)

    @property
    def location(self) -> str:
        """What to show a person, and what pandas opens."""
        return self._root if self.is_local else self.uri

    @property
    def name(self) -> str:
        """The last part of its path."""
        return posixpath.basename(self._root)

    @property
    def parent(self) -> str:
        """The location of the folder above it."""
        if self.is_local:
            return posixpath.dirname(self._root)
        address, question, query = self.uri.partition("?")
        return f"{posixpath.dirname(address.rstrip('/'))}{question}{query}"

    def child(self, name: str) -> Storage:
        """A folder or file inside this one.

        Raises:
            StudyError: the name leads out of it.
        """
        return self._child(name, self._path(name))

    def study(self, name: str) -> Storage:
        """The folder of a study inside this one; a person may have linked it as a whole."""
        there = posixpath.join(self._root, name)
        return self._child(name, os.path.realpath(there) if self.is_local else there)

    def _child(self, name: str, root: str) -> Storage:
        made = copy.copy(self)
        made._root = root
        address, question, query = self.uri.partition("?")
        quoted = name if self.is_local else quote(name)
        made.uri = f"{posixpath.join(address, quoted)}{question}{query}"
        return made

    def once(self, *, held: bool = False) -> Storage:
        """The same folder, each call tried once, whoever holds it.

        Args:
            held: only as long as this process holds it.
        """
        made = copy.copy(self)
        made._limit_s, made._lease = 0.0, self._lease if held else None
        return made

    def path(self, name: str) -> Path:
        """The path of a file or folder inside a local folder, for who opens it without us.

        Raises:
            StudyError: it leads out of the folder, or to what is no file and no folder.
        """
        return Path(self._path(name))

    def exists(self, name: str = "") -> bool:
        """Whether a file or folder of this name is there."""
        return bool(self._kind(self._path(name)) != fs.FileType.NotFound)

    def has_bucket(self) -> bool:
        """Whether the bucket is there; a file tree has none to lack."""
        bucket = self._root.partition("/")[0]
        return self.is_local or bool(self._kind(bucket) != fs.FileType.NotFound)

    def names(self, folder: str = "") -> list[str]:
        """Names of the files and folders directly inside, sorted."""
        selector = fs.FileSelector(self._path(folder), allow_not_found=True)
        found = self._retried(lambda: self._fs.get_file_info(selector))
        return sorted(info.base_name for info in found)

    def make_folder(self, name: str = "") -> None:
        """Create a folder and those above it.

        Raises:
            StudyError: the file system does not let us.
        """
        path = self._path(name)
        try:
            self._change(lambda: self._fs.create_dir(path, recursive=True))
        except OSError as error:
            raise StudyError(f"{self.location} can't be created: {error}") from error

    def read(self, name: str) -> bytes | None:
        """A file's bytes, or None when there is no such file."""
        path = self._path(name)

        def read() -> bytes:
            while True:
                with self._fs.open_input_file(path) as stream:
                    data: bytes = stream.read()
                # An object store is asked for the size first: a file that was replaced by a
                # longer one in between comes cut short.
                if self.is_local or self._fs.get_file_info(path).size in (None, len(data)):
                    return data

        try:
            return self._retried(read)
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes | memoryview, *, copied: bool = False) -> None:
        """Replace a file in one step: a reader, or a kill at any moment, finds old or new.

        An object store's upload is one step by itself; elsewhere a hidden file is renamed.

        Args:
            copied: keep a second copy, in the folder `COPIES`, should the file be damaged. An
                object store has copies of its own.

        Raises:
            StudyError: another process took the folder over.
        """
        path = self._path(name)
        if not self.is_local:
            self._change(lambda: self._upload(path, data))
            return
        self._change(lambda: self._replace(Path(path), data))
        if copied:
            twin = Path(self._path(f"{COPIES}/{name}"))
            self._change(lambda: self._replace(twin, data, make_folder=True))
        if time.monotonic() - self._flushed_at >= FLUSH_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Force what was written to disk, where a power loss can't take it back."""
        while self._unflushed:
            path = self._unflushed.pop()
            for place in (path, path.parent):
                _force(place)
        self._flushed_at = time.monotonic()

    def delete(self, name: str) -> None:
        """Remove a file or a whole folder; nothing happens when it is not there."""
        path = self._path(name)
        kind = self._kind(path)
        try:
            if kind == fs.FileType.Directory:
                self._change(lambda: self._fs.delete_dir(path))
            elif kind == fs.FileType.File:
                self._change(lambda: self._fs.delete_file(path))
        except FileNotFoundError:
            return  # somebody else was faster

    def lock(self, owner: object) -> None:
        """Hold the folder for this process until `unlock`, or the owner's end; a kill frees it too.

        On a file tree the system holds it; where that can't, and in an object store, a lease does.

        Raises:
            StudyError: another process holds it.
        """
        if self._system_lock(owner):
            return
        self._lease = Lease(self.once(), self.location)
        release = weakref.finalize(owner, self._lease.release)
        release.atexit = False
        self._unlock = release

    def _system_lock(self, owner: object) -> bool:
        """Lock a file of the folder; False where there are no locks."""
        if not self.is_local:
            return False
        try:
            descriptor = locked(self.path(".lock"), 0o666)
        except BlockingIOError as error:
            raise StudyError(
                f"{self.location} is in use by another process: wait for it, or choose another "
                f"--name"
            ) from error
        except OSError:
            return False
        self._unlock = weakref.finalize(owner, os.close, descriptor)
        return True

    @property
    def is_held(self) -> bool:
        """Whether this process locked the folder, and did not let others have it since."""
        return self._unlock is not None and self._unlock.alive

    def unlock(self) -> None:
        """Let others hold the folder; nothing where it is not held."""
        if self._unlock is not None:
            self._unlock()

    def _upload(self, path: str, data: bytes | memoryview) -> None:
        with self._fs.open_output_stream(path) as stream:
            stream.write(data)

    def _replace(self, final: Path, data: bytes | memoryview, *, make_folder: bool = False) -> None:
        if make_folder and not final.parent.is_dir():
            final.parent.mkdir(parents=True, exist_ok=True)
        with replaced(final) as file:
            file.write(data)
        self._unflushed.add(final)

    def _kind(self, path: str) -> fs.FileType:
        return self._retried(lambda: self._fs.get_file_info(path).type)

    def _retried(self, act: Callable[[], Result]) -> Result:
        return self._retry(act, self._limit_s)

    def _change(self, act: Callable[[], object]) -> None:
        """Change something, after every wait only if the folder is still held."""

        def attempt() -> None:
            if self._lease is not None:
                self._lease.check()
            act()

        self._retried(attempt)

    def _path(self, name: str) -> str:
        if not name:
            return self._root
        if not stays_inside(name):
            raise StudyError(f"a name in a study must stay inside its folder, not {name!r}")
        if self.is_local:
            inside(Path(self._root), name)
        return posixpath.join(self._root, name)


def stays_inside(name: str) -> bool:
    """Whether a path, relative to a folder, is plain and leads nowhere else."""
    return "\\" not in name and "\0" not in name and not {"", ".", ".."} & set(name.split("/"))


def _force(path: Path) -> None:
    """Have the system write a file, or a folder's list of files, to disk."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # deleted meanwhile
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
