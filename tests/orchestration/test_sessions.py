"""What Ray leaves on this machine is deleted by a later start, and only what is ours."""

import fcntl
import os
from pathlib import Path

from ffl_ray.orchestration.sessions import KEPT, MARK, take_session


def session(folder: Path, second: int, *, ours: bool = True) -> Path:
    made = folder / f"session_2026-11-23_10-00-{second:02d}_000000_{second}"
    (made / "logs").mkdir(parents=True)
    if ours:
        (made / MARK).touch()
    return made


def test_sessions_of_dead_drivers_go_but_for_the_latest_few(tmp_path: Path) -> None:
    dead = [session(tmp_path, second) for second in range(KEPT + 4)]

    take_session(session(tmp_path, 50, ours=False))

    assert [folder.exists() for folder in dead] == [False] * 4 + [True] * KEPT


def test_sessions_of_living_drivers_and_of_others_stay(tmp_path: Path) -> None:
    living, foreign = session(tmp_path, 0), session(tmp_path, 1, ours=False)
    held = os.open(living / MARK, os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    for second in range(2, KEPT + 4):
        session(tmp_path, second)

    take_session(session(tmp_path, 50, ours=False))
    os.close(held)

    assert living.exists()
    assert foreign.exists()
    assert len(list(tmp_path.iterdir())) == 3 + KEPT


def test_a_session_that_was_taken_is_not_deleted_by_the_next_start(tmp_path: Path) -> None:
    first = session(tmp_path, 0, ours=False)
    take_session(first)
    for second in range(1, KEPT + 1):
        session(tmp_path, second)

    take_session(session(tmp_path, 50, ours=False))

    assert first.exists()


def test_a_folder_that_can_not_be_marked_is_passed_over(tmp_path: Path) -> None:
    take_session(tmp_path / "session_2026-11-23_10-00-00_000000_1")

    assert list(tmp_path.iterdir()) == []
