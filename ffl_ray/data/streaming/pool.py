"""Loader processes of a training, and the memory in which they leave the images they decode."""

from __future__ import annotations

import itertools
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import NoReturn

import torch
from jaxtyping import UInt8
from torch import Tensor

from ffl_ray.data.streaming.loader_process import Chunk, Item, Recipe
from ffl_ray.errors import DataError

STEPS_AHEAD = 4
MOST_IN_CHUNK = 16
# What a process has to do: enough for a slow step's time, and few enough that neither its socket
# nor that of its answers is ever full.
MOST_CHUNKS = 32
END_S = 5.0


class LoaderPool:
    """Processes that decode images ahead of a training; none runs before the first is needed.

    Args:
        num_processes: how many.
        trivial: they import what TrivialAugment and other policies need as they start (torchvision,
            some seconds).
    """

    def __init__(self, num_processes: int, *, trivial: bool = False) -> None:
        self.num_processes = num_processes
        self.trivial = trivial
        self.pids: list[int] = []
        self._processes: _Processes | None = None
        self._shared: mmap.mmap | None = None
        self._turn = 0

    def squares(
        self, steps: Iterable[list[Item]], recipe: Recipe, most: int
    ) -> Iterator[UInt8[Tensor, "items size size 3"]]:
        """The images of each step, in order; the next ones are decoded meanwhile.

        A step's pixels are gone when the next ones are asked for: they lie in memory that is
        used again. One call at a time is served: a later one ends an earlier one.

        Args:
            most: items of a step, at most.

        Raises:
            DataError: a file is no image.
            ChildProcessError: a loader process ended.
        """
        processes = self._start()
        processes.finish_all()
        self._turn = turn = self._turn + 1
        step_bytes = most * recipe.size**2 * 3
        shared = self._share(processes, STEPS_AHEAD * step_bytes)
        ahead: deque[_Pending] = deque()
        waiting = enumerate(steps)
        while True:
            for number, items in itertools.islice(waiting, STEPS_AHEAD - len(ahead)):
                first_byte = number % STEPS_AHEAD * step_bytes
                ahead.append(processes.submit(items, recipe, first_byte))
            if not ahead:
                return
            if turn != self._turn:
                raise RuntimeError("a later epoch of these images has begun")
            processes.finish(ahead[0])
            yield _pixels(shared, ahead.popleft(), recipe)

    def close(self) -> None:
        """End the processes; they start again when they are needed again."""
        if self._processes is not None:
            self._processes.end()
            self._processes = None
            self._shared = None
            self.pids = []

    def _share(self, processes: _Processes, num_bytes: int) -> mmap.mmap:
        if self._shared is None or len(self._shared) < num_bytes:
            self._shared = processes.share(num_bytes)
        return self._shared

    def _start(self) -> _Processes:
        if self._processes is None:
            self._processes = _Processes(self.num_processes, trivial=self.trivial)
            self.pids = self._processes.pids
        return self._processes


class _Pending:
    """A step's images on their way.

    Attributes:
        unfinished: chunks of it that are not decoded yet.
    """

    def __init__(self, first_byte: int, count: int) -> None:
        self.first_byte = first_byte
        self.count = count
        self.unfinished = 0


class _Processes:
    """The processes, each with the chunks it has been given and not answered yet."""

    def __init__(self, count: int, *, trivial: bool) -> None:
        self._memory = _new_memory()
        pairs = [socket.socketpair() for _ in range(count + 1)]
        theirs = [str(pair[1].fileno()) for pair in pairs]
        arguments = ["trivial" if trivial else "plain", str(self._memory), *theirs]
        self._template = subprocess.Popen(
            [sys.executable, "-m", "ffl_ray.data.streaming.loader_process", *arguments],
            pass_fds=(self._memory, *map(int, theirs)),
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | _ONE_THREAD,
        )
        for _, other in pairs:
            other.close()
        self._control, *self._connections = [Connection(own.detach()) for own, _ in pairs]
        self._given: list[deque[_Pending]] = [deque() for _ in self._connections]
        self._backlog: deque[tuple[Chunk, _Pending]] = deque()
        self._end = weakref.finalize(
            self, _end, self._template, [self._control, *self._connections], self._memory
        )
        try:
            self.pids: list[int] = self._control.recv()
        except (EOFError, ConnectionError):
            self.end()
            raise ChildProcessError("the loader processes of images could not start") from None

    def share(self, num_bytes: int) -> mmap.mmap:
        """Memory of this many bytes that all of them see."""
        os.ftruncate(self._memory, num_bytes)
        return mmap.mmap(self._memory, num_bytes)

    def submit(self, items: list[Item], recipe: Recipe, first_byte: int) -> _Pending:
        """Have a step's images decoded, to a place in memory."""
        step = _Pending(first_byte, len(items))
        size = max(1, min(MOST_IN_CHUNK, -(-len(items) // len(self._connections))))
        for first in range(0, len(items), size):
            place = first_byte + first * recipe.size**2 * 3
            chunk = Chunk(place, recipe, items[first : first + size])
            self._backlog.append((chunk, step))
            step.unfinished += 1
        self._hand_out()
        return step

    def finish(self, step: _Pending) -> None:
        """Wait until a step's images are there."""
        while self._receive(timeout=0):
            pass
        while step.unfinished:
            self._receive(timeout=None)

    def finish_all(self) -> None:
        """Wait until nothing is being decoded; what was not begun is dropped."""
        self._backlog.clear()
        while any(self._given):
            self._receive(timeout=None)

    def end(self) -> None:
        """End the processes: they end by themselves where nobody is at the other side."""
        self._end()

    def _hand_out(self) -> None:
        """Give the chunks in order, each to the process that has least to do."""
        while self._backlog:
            index = min(range(len(self._given)), key=lambda i: len(self._given[i]))
            if len(self._given[index]) >= MOST_CHUNKS:
                return
            chunk, step = self._backlog.popleft()
            self._given[index].append(step)
            try:
                self._connections[index].send(tuple(chunk))
            except ConnectionError:
                self._raise_lost()

    def _receive(self, timeout: float | None) -> bool:
        """Take what has been answered; whether anything had been."""
        ready = wait(self._connections, timeout)
        for index, connection in enumerate(self._connections):
            if connection not in ready:
                continue
            try:
                wrong = connection.recv()
            except (EOFError, ConnectionError):
                self._raise_lost()
            self._given[index].popleft().unfinished -= 1
            if wrong:
                raise DataError(wrong)
        self._hand_out()
        return bool(ready)

    def _raise_lost(self) -> NoReturn:
        how = "ended"
        if self._control.poll(END_S):
            try:
                pid, status = self._control.recv()
                how = f"(process {pid}) {_ending(status)}"
            except (EOFError, ConnectionError):
                pass
        raise ChildProcessError(
            f"a loader process of images {how}: if memory ran out, a smaller "
            f"data.num_loader_processes than {len(self._connections)} may help"
        )


_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _end(template: subprocess.Popen[bytes], connections: list[Connection], memory: int) -> None:
    os.close(memory)
    for connection in connections:
        connection.close()
    try:
        template.wait(END_S)
    except subprocess.TimeoutExpired:
        template.kill()
        template.wait()


def _pixels(
    shared: mmap.mmap, step: _Pending, recipe: Recipe
) -> UInt8[Tensor, "items size size 3"]:
    square = recipe.size**2 * 3
    flat = torch.frombuffer(
        shared, dtype=torch.uint8, count=step.count * square, offset=step.first_byte
    )
    return flat.view(step.count, recipe.size, recipe.size, 3)


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with status {os.waitstatus_to_exitcode(status)}"


def _new_memory() -> int:
    """Memory that processes share, by its file descriptor.

    Not in /dev/shm, which a container often limits to 64 MB, a fraction of a prefetched step.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create("ffl_ray_images")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
