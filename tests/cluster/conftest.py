"""The tests of a file here tell one story: after a failure the rest of it is not tried."""

from __future__ import annotations

import pytest

FAILED = pytest.StashKey[str]()


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Remember in the file that one of its tests failed."""
    if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
        assert item.parent is not None
        item.parent.stash.setdefault(FAILED, item.name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Do not go on with a story that has ended."""
    assert item.parent is not None
    failed = item.parent.stash.get(FAILED, "")
    if failed:
        pytest.skip(f"{failed} failed before")
