"""Files of a study, on any file system that pyarrow.fs opens; every write is atomic."""

from __future__ import annotations

import copy
import errno
import fcntl
import os
import posixpath
import weakref
from pathlib import Path

from pyarrow import fs

from ffl_ray.errors import StudyError

FULL = (errno.ENOSPC, errno.EDQUOT)


def storage_is_full(error: BaseException) -> bool:
    """Whether no disk space, or no quota of it, was left."""
    return isinstance(error, OSError) and error.errno in FULL


class Storage:
    """A folder that may be local, shared, or in an object store.

    Args:
        uri: a path, or a URI such as s3://bucket/results.

    Raises:
        StudyError: no file system takes such a URI.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        try:
            if "://" in uri:
                self._fs, self._root = fs.FileSystem.from_uri(uri)
            else:
                self._fs = fs.LocalFileSystem()
                self._root = str(Path(uri).expanduser().resolve())
        except (ValueError, OSError) as error:
            raise StudyError(f"storage path {uri!r} can't be opened: {error}") from error

    @property
    def is_local(self) -> bool:
        """Whether the folder is one of this machine's file tree (NFS included)."""
        return isinstance(self._fs, fs.LocalFileSystem)

    @property
    def location(self) -> str:
        """What to show a person, and what pandas opens."""
        return self._root if self.is_local else self.uri

    def child(self, name: str) -> Storage:
        """A folder inside this one."""
        made = copy.copy(self)
        made._root = posixpath.join(self._root, name)
        address, question, query = self.uri.partition("?")
        made.uri = f"{posixpath.join(address, name)}{question}{query}"
        return made

    def exists(self, name: str = "") -> bool:
        """Whether a file or folder of this name is there."""
        found = self._fs.get_file_info(self._path(name)).type
        return bool(found != fs.FileType.NotFound)

    def names(self, folder: str = "") -> list[str]:
        """Names of the files and folders directly inside, sorted."""
        selector = fs.FileSelector(self._path(folder), allow_not_found=True)
        return sorted(info.base_name for info in self._fs.get_file_info(selector))

    def make_folder(self, name: str = "") -> None:
        """Create a folder and those above it.

        Raises:
            StudyError: the file system does not let us.
        """
        try:
            self._fs.create_dir(self._path(name), recursive=True)
        except OSError as error:
            raise StudyError(f"{self.location} can't be created: {error}") from error

    def read(self, name: str) -> bytes | None:
        """A file's bytes, or None when there is no such file."""
        try:
            with self._fs.open_input_file(self._path(name)) as stream:
                data: bytes = stream.read()
                return data
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Replace a file in one step: a reader, or a kill at any moment, finds old or new.

        An object store's upload is one step by itself; elsewhere a hidden file is renamed.
        """
        path = self._path(name)
        if not self.is_local:
            with self._fs.open_output_stream(path) as stream:
                stream.write(data)
            return
        final = Path(path)
        part = final.with_name(f".{final.name}.{os.getpid()}")
        try:
            part.write_bytes(data)
            part.replace(final)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def delete(self, name: str) -> None:
        """Remove a file or a whole folder; nothing happens when it is not there."""
        kind = self._fs.get_file_info(self._path(name)).type
        try:
            if kind == fs.FileType.Directory:
                self._fs.delete_dir(self._path(name))
            elif kind == fs.FileType.File:
                self._fs.delete_file(self._path(name))
        except FileNotFoundError:
            return  # somebody else was faster

    def lock(self, owner: object) -> None:
        """Hold the folder for this process as long as the owner lives; a kill frees it too.

        Where the folder is not on a file tree there is no lock.

        Raises:
            StudyError: another process holds it.
        """
        if not self.is_local:
            return
        held = os.open(Path(self._root) / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        weakref.finalize(owner, os.close, held)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StudyError(
                f"{self.location} is in use by another process: wait for it, or choose another "
                f"--name"
            ) from error
        except OSError:
            return  # a file system without locks

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, name) if name else self._root
