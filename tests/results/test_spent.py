"""The time that a search has taken is kept, whatever becomes of its process."""

from __future__ import annotations

from pathlib import Path

import pytest

from ffl_ray.results.spent import FILE, note_used, used_s
from ffl_ray.results.storage.storage import Storage


def test_the_latest_note_is_read_and_a_new_search_has_taken_nothing(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))

    before = used_s(storage)
    note_used(storage, 12.34)
    note_used(storage, 75.55)

    assert (before, used_s(storage)) == (0.0, 75.5)


@pytest.mark.parametrize("text", [b"", b"soon", b"[1]", b"-3", b"1e999", b"NaN", b"true\xff"])
def test_a_note_that_can_not_be_read_is_none(text: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(text)

    assert used_s(Storage(str(tmp_path))) == 0.0
