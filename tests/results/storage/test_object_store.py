"""A study on a real S3-compatible server: written, read, cut off, and held by one process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from support.helpers import ROOT, run
from support.stores import KEYS, Wire, s3_server, uri
from support.studies import make_study

import ffl_ray.results
from ffl_ray.config.settings import Config
from ffl_ray.errors import StudyError
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage import filesystems
from ffl_ray.results.storage.access import open_for_reading, open_for_writing
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
# A holder that renews its lease often, so that a test need not wait long to see it gone.
HOLDER = """
import sys, time
from ffl_ray.results.storage import lease
lease.BEAT_S, lease.WATCH_S, lease.POLL_S, lease.SETTLE_S, lease.FRESH_S = 0.3, 3.0, 0.2, 0.3, 1.5
from ffl_ray.errors import StudyError
from ffl_ray.results.storage.storage import Storage
storage, owner = Storage(sys.argv[1]), lambda: None
try:
    storage.lock(owner)
    print("held", flush=True)
    for line in sys.stdin:
        storage.write("written", line.encode())
        print("wrote", flush=True)
except StudyError as error:
    print("error", error, flush=True)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch, s3_server() as port:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        yield port


@pytest.fixture
def wire(server: int) -> Iterator[Wire]:
    with Wire(server) as found:
        yield found


def open_tables(storage: Storage) -> StudyTables:
    return StudyTables.open(storage, "study", describe_study("test", {}), [])


def epoch_row(epoch: int) -> dict[str, object]:
    return {"epoch": epoch, "best_epoch": epoch, "objective_value": epoch / 10}


def test_a_study_in_a_bucket_is_read_by_its_uri(server: int) -> None:
    place = uri(server, "mine/study")

    make_study(place).close()

    trials = ffl_ray.results.load(place).trials
    named = ffl_ray.results.load("study", uri(server, "mine")).trials
    frame = pd.read_parquet(uri(server, "mine/study/trials"))
    assert set(trials.status) == {"completed"}
    assert list(named.trial_id) == list(trials.trial_id) == list(frame.trial_id)
    assert not Storage(place).exists(".lease.json")


def test_an_outage_in_the_middle_costs_no_row(
    wire: Wire, server: int, caplog: pytest.LogCaptureFixture
) -> None:
    tables = open_tables(Storage(uri(wire.port, "outage")))
    tables.start("00000", Config())
    tables.epoch("00000", epoch_row(1), [], [])
    wire.cut()
    started = time.monotonic()
    threading.Timer(3, wire.mend).start()

    for epoch in (2, 3):
        tables.epoch("00000", epoch_row(epoch), [], [])
    tables.end("00000", "completed")

    assert time.monotonic() - started >= 3
    assert list(ffl_ray.results.load(uri(server, "outage")).epochs.epoch) == [1, 2, 3]
    assert "does not answer; trying again for" in caplog.text
    assert "answers again after" in caplog.text


def test_what_could_not_be_stored_is_stored_with_the_next_row(
    wire: Wire, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFL_RAY_STORAGE_PATIENCE_S", "0.2")
    tables = open_tables(Storage(uri(wire.port, "gone")))
    tables.start("00000", Config())
    wire.cut()
    with pytest.raises(OSError, match="NETWORK_CONNECTION"):
        tables.epoch("00000", epoch_row(1), [], [])
    wire.mend()
    tables.epoch("00000", epoch_row(2), [], [])

    assert list(ffl_ray.results.load(uri(server, "gone")).epochs.epoch) == [1, 2]


REFUSED: dict[str, tuple[str, Callable[[int], str]]] = {
    "no bucket": ("there is no such bucket", lambda port: uri(port, "x", "nobody-made-it")),
    "no server": ("it does not answer", lambda port: uri(1, "x")),
    "no such option": ("Unexpected query parameter", lambda port: uri(port, "x") + "&colour=red"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_store_that_can_not_be_used_is_refused_at_once(case: str, server: int) -> None:
    message, place = REFUSED[case]
    started = time.monotonic()

    for opening in (open_for_reading, open_for_writing):
        with pytest.raises(StudyError, match=message):
            opening(place(server))

    assert time.monotonic() - started < 20


def test_a_server_that_never_answers_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystems, "ANSWER_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(StudyError, match="it does not answer"):
            open_for_writing(uri(silent.getsockname()[1], "x"))

    assert time.monotonic() - started < 10


def set_calls_without_rights(port: int, count: str) -> None:
    """How many calls moto answers before it asks for rights."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/moto-api/reset-auth",
        data=count.encode(),
        headers={"Content-Type": "text/plain"},
        method="POST",
    )
    urllib.request.urlopen(request, timeout=30).close()


def test_who_has_no_right_is_told_so_in_one_line(server: int) -> None:
    set_calls_without_rights(server, "0")
    try:
        with pytest.raises(StudyError, match="access is denied; give credentials|know these cred"):
            open_for_writing(uri(server, "x"))
    finally:
        set_calls_without_rights(server, "inf")


def test_a_command_with_a_wrong_bucket_is_one_line_and_trains_nothing(server: int) -> None:
    done = run("train", "--storage-path", uri(server, "x", "nobody-made-it"), "--name", "study")

    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "there is no such bucket; create it first" in done.stderr


class Holder:
    """A process that holds a folder of the store."""

    def __init__(self, place: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | environment,
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def write(self) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write("line\n")
        self.process.stdin.flush()
        return self.says()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def test_a_folder_of_a_bucket_is_held_by_one_process_until_that_is_gone(server: int) -> None:
    place = uri(server, "held")
    first = Holder(place)
    assert first.says() == "held"
    second = Holder(place)
    refusal = second.says()
    first.process.send_signal(signal.SIGSTOP)
    third = Holder(place)
    taken_over = third.says()
    first.process.send_signal(signal.SIGCONT)
    displaced = first.write()
    third.process.send_signal(signal.SIGKILL)
    started = time.monotonic()
    fourth = Holder(place)
    after_kill, waited_s = fourth.says(), time.monotonic() - started
    fourth.process.communicate()  # end of input: it ends by itself
    left = Storage(place).exists(".lease.json")
    for holder in (first, second, third):
        holder.end()

    pid = first.process.pid
    assert refusal.startswith("error ")
    assert f"is in use by process {pid} on {socket.gethostname()}: wait for it" in refusal
    assert taken_over == "held"
    assert f"was taken over by process {third.process.pid} on " in displaced
    assert after_kill == "held"
    assert waited_s > 3
    assert not left


@pytest.mark.skipif(
    "FFL_RAY_TEST_SLOW" not in os.environ, reason="ten seconds: FFL_RAY_TEST_SLOW=1 runs it"
)
@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime: Debian's package faketime")
def test_clocks_that_differ_by_years_do_not_matter(server: int) -> None:
    place = uri(server, "clocks")
    skewed = {"LD_PRELOAD": str(FAKETIME), "DONT_FAKE_MONOTONIC": "1"}
    past = Holder(place, FAKETIME="-3000d", **skewed)
    assert past.says() == "held"
    future = Holder(place, FAKETIME="+3000d", **skewed)
    refusal = future.says()
    past.process.send_signal(signal.SIGKILL)
    heir = Holder(place, FAKETIME="+3000d", **skewed)
    inherited = heir.says()
    for holder in (past, future, heir):
        holder.end()

    assert "is in use by process" in refusal
    assert inherited == "held"
