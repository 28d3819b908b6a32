"""Works in threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


def in_threads(works: Sequence[Callable[[], object]]) -> list[BaseException | None]:
    """What each work raised, all in threads of their own at one time."""
    raised: list[BaseException | None] = [None] * len(works)

    def run(place: int) -> None:
        try:
            works[place]()
        except BaseException as error:
            raised[place] = error

    threads = [
        threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(works))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a work has no end"
    return raised
