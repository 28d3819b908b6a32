"""A search in a bucket, whose network fails and whose driver is killed: no row is lost."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.helpers import ROOT, command, run
from support.stores import KEYS, Wire, s3_server, uri

import ffl_ray.results
from ffl_ray.errors import StudyError

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        "FFL_RAY_TEST_SLOW" not in os.environ, reason="three minutes: FFL_RAY_TEST_SLOW=1 runs it"
    ),
]
TRIALS, EPOCHS = 6, 5
OUTAGE_S = float(os.environ.get("FFL_RAY_TEST_OUTAGE_S", "20"))
OPTIONS = [
    "--set", "data.fraction=0.1", "--set", f"optim.epochs={EPOCHS}", "--name", "study",
    "--set", "search.grace=1", "--set", "search.plain_baseline=false", "--num-samples", str(TRIALS),
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch, s3_server() as port:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        yield port


class Searching:
    """A search as a process, and what the store holds of it.

    Args:
        server: the store's own port, for looking.
        port: by which the search comes to it.
        path: in the bucket.
        folder: its working folder, in which its log lies.
    """

    def __init__(self, server: int, port: int, path: str, folder: Path) -> None:
        self._server = server
        self._path = path
        self.process = subprocess.Popen(
            command("tune", *OPTIONS, "--storage-path", uri(port, path)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    def stored(self) -> set[tuple[str, int]]:
        """The epochs that anybody can read."""
        try:
            epochs = ffl_ray.results.load(uri(self._server, f"{self._path}/study")).epochs
        except StudyError:
            return set()
        return {(str(t), int(e)) for t, e in zip(epochs["trial_id"], epochs["epoch"], strict=True)}

    def wait_for(self, count: int) -> set[tuple[str, int]]:
        deadline = time.monotonic() + 200
        while len(found := self.stored()) < count and time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.2)
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def test_a_search_outlives_an_outage_and_its_killed_driver(server: int, tmp_path: Path) -> None:
    with Wire(server) as wire:
        place = uri(wire.port, "mine")
        first = Searching(server, wire.port, "mine", tmp_path)
        first.wait_for(4)
        wire.cut()
        time.sleep(OUTAGE_S)
        during = first.stored()
        wire.mend()
        first.wait_for(len(during) + 8)
        second = run("tune", *OPTIONS, "--storage-path", place)
        first.process.kill()
        out, _ = first.process.communicate()
        killed_with = first.stored()

        again = Searching(server, wire.port, "mine", tmp_path)
        told, _ = again.process.communicate(timeout=300)

        reported = run("report", "study", "--storage-path", place)

    trials, epochs, _ = ffl_ray.results.load(uri(server, "mine/study"))
    assert "does not answer" in out
    assert "answers again after" in out
    assert (second.returncode, second.stdout) == (2, "")
    assert f"is in use by process {first.process.pid} on " in second.stderr
    assert again.process.returncode == 0, told
    assert during <= killed_with <= again.stored()
    assert set(trials["status"]) == {"completed"}
    assert len(epochs) == len(again.stored()) == TRIALS * EPOCHS
    assert set(trials["error"].dropna()) == set()
    assert reported.returncode == 0, reported.stderr


def test_a_store_that_stays_away_ends_the_search_in_one_line(
    server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFL_RAY_STORAGE_PATIENCE_S", "5")
    with Wire(server) as wire:
        search = Searching(server, wire.port, "away", tmp_path)
        search.wait_for(3)
        wire.cut()
        out, _ = search.process.communicate(timeout=200)

    assert search.process.returncode == 2, out
    assert "does not answer any more" in out
    assert "Traceback" not in out
