"""What is missing for machines of one's own is said in one plain line."""

import os

import pytest
from cluster.here import missing


def test_a_user_without_rights_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert missing() == "machines of one's own take root"


def test_missing_programs_are_named_as_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "")

    said = missing()

    assert said is not None
    for package in ("openssh-client", "rsync", "util-linux"):
        assert package in said
    assert "\n" not in said
