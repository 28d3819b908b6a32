"""A process that decodes image files into memory it shares with a training.

`python -m ffl_ray.data.streaming.loader_process` imports what decoding needs once, forks the loader
processes and says how each of them ended. None of them outlives the training: each one reads its
work from a socket of its own, which the system closes with the training's process, however that
ends. Nothing of the training's process is imported or inherited: torch's threads and Ray's are
not there to be forked, and its `__main__` is not run again.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from ffl_ray.data.streaming.decode import Square, middle_square, random_square
from ffl_ray.data.streaming.image_file import Source


class Item(NamedTuple):
    """One image to decode.

    Attributes:
        source: its file, or the part of one that it is.
        seed: of its random crop and whatever follows; none: its middle square.
        policy: that follows, as `data.policies` knows it.
    """

    source: Source
    seed: int | None = None
    policy: str = "standard"


class Recipe(NamedTuple):
    """Square that is made of every file of an epoch.

    Attributes:
        size: side of the square.
        flip: a random crop may be mirrored.
        mean: colour of what a policy cuts out, by channel from 0 to 1.
    """

    size: int
    flip: bool = False
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)


class Chunk(NamedTuple):
    """Images that lie side by side in the shared memory, from a byte on."""

    first_byte: int
    recipe: Recipe
    items: list[Item]


def decode(item: Item, recipe: Recipe) -> Square:
    """One image as the recipe wants it; equal items and recipes give equal pixels."""
    if item.seed is None:
        return middle_square(item.source, recipe.size)
    square = random_square(item.source, recipe.size, item.seed, flip=recipe.flip)
    if item.policy == "standard":
        return square
    return _augmented(item.policy, square, item.seed, recipe.mean)


def serve(connection: Connection, memory: int) -> None:
    """Decode chunk after chunk, until the other side is gone."""
    shared: mmap.mmap | None = None
    while True:
        try:
            chunk = Chunk(*connection.recv())
            square = chunk.recipe.size**2 * 3
            end = chunk.first_byte + len(chunk.items) * square
            if shared is None or len(shared) < end:
                shared = mmap.mmap(memory, 0)
            connection.send(_fill(shared, chunk, square))
        except (EOFError, ConnectionError):
            return


def _fill(shared: mmap.mmap, chunk: Chunk, square: int) -> str:
    """Decode a chunk to its place; what went wrong, or nothing."""
    pixels = np.frombuffer(shared, np.uint8, len(chunk.items) * square, chunk.first_byte)
    size = chunk.recipe.size
    for place, item in zip(pixels.reshape(-1, size, size, 3), chunk.items, strict=True):
        try:
            place[:] = decode(item, chunk.recipe)
        except Exception as error:
            why = error or type(error).__name__
            return f"data.dir: {item.source} can't be read as an image: {why}"
    return ""


def _augmented(policy: str, square: Square, seed: int, mean: Sequence[float]) -> Square:
    from ffl_ray.data.policies import augmented_square  # torch, which plain recipes spare

    return augmented_square(policy, square, seed, mean)


def _warm_up(recipes: str) -> None:
    """Import what decoding needs, once for all processes that are forked from this one."""
    if recipes == "trivial":
        _augmented("trivial", np.zeros((8, 8, 3), np.uint8), 0, ())


def _fork(control: Connection, connections: list[Connection], memory: int) -> list[int]:
    pids = []
    for connection in connections:
        pid = os.fork()
        if pid == 0:
            for other in (control, *connections):
                if other is not connection and not other.closed:
                    other.close()
            serve(connection, memory)
            os._exit(0)
        pids.append(pid)
        connection.close()
    return pids


def main(arguments: list[str]) -> int:
    """Fork a loader process for each socket, and tell the first socket how each one ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C: the training decides
    warnings.simplefilter("ignore")  # on each damaged EXIF tag of each image
    recipes, memory, *sockets = arguments
    control, *connections = [Connection(int(socket)) for socket in sockets]
    _warm_up(recipes)
    pids = _fork(control, connections, int(memory))
    try:
        control.send(pids)
        for _ in pids:
            control.send(os.wait())
    except (BrokenPipeError, ConnectionError):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
