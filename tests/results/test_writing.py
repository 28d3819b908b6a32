"""Writing at every moment: what a reader sees, what a kill leaves, how many files there are."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.studies import make_study

import ffl_ray.results
from ffl_ray.config.settings import Config
from ffl_ray.results import writer
from ffl_ray.results.description import describe_study
from ffl_ray.results.parts import Parts
from ffl_ray.results.reader import objective_by_epoch, read_rows
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import PROGRESS_EVERY_S, StudyTables
from ffl_ray.results.writer import AppendedTable, KeyedTable

PART = 8
TRIALS = ("00000", "00001", "00002")
EPOCHS = 9


class Watched:
    """A storage that notes each write.

    Args:
        storage: where everything really goes.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.writes: list[str] = []
        self.deleted: list[str] = []

    def write(self, name: str, data: bytes | memoryview, *, copied: bool = False) -> None:
        self.writes.append(name)
        self.storage.write(name, data, copied=copied)

    def delete(self, name: str) -> None:
        self.deleted.append(name)
        self.storage.delete(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "ROWS_PER_PART", PART)
    monkeypatch.setattr(writer, "KEYED_ROWS_PER_PART", 2)


def reports() -> Iterator[tuple[str, int]]:
    """Epochs of trials that run at once."""
    for epoch in range(1, EPOCHS + 1):
        for trial_id in TRIALS:
            yield trial_id, epoch


def epoch_row(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "best_epoch": epoch, "objective_value": epoch / 10}


def open_tables(storage: Any) -> StudyTables:
    return StudyTables.open(storage, "study", describe_study("test", {}), [])


def write_all(storage: Any, told: list[tuple[str, int]]) -> None:
    """Report all epochs that are not in `told` yet, the last told one again, as a worker does."""
    tables = open_tables(storage)
    again = dict(told)
    for trial_id in TRIALS:
        tables.start(trial_id, Config())
    for trial_id, epoch in [*again.items(), *reports()]:
        if (trial_id, epoch) in told and again[trial_id] != epoch:
            continue
        members = [{"member": "fused", "epoch": epoch, "split_hash": "ab", "accuracy": 0.1}]
        tables.epoch(trial_id, epoch_row(epoch), members, members)
        told.append((trial_id, epoch))
    for trial_id in TRIALS:
        tables.end(trial_id, "completed")


def stored_epochs(folder: Path) -> Counter[tuple[str, int]]:
    frame = pd.read_parquet(folder / "epochs")
    return Counter(zip(frame["trial_id"], frame["epoch"].tolist(), strict=True))


def test_a_reader_sees_each_reported_epoch_once_after_every_single_write(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    seen: list[Counter[tuple[str, int]]] = []

    class Looked(Watched):
        def write(self, name: str, data: bytes | memoryview, *, copied: bool = False) -> None:
            super().write(name, data, copied=copied)
            if name.startswith("epochs/"):
                seen.append(stored_epochs(tmp_path))

    write_all(Looked(Storage(str(tmp_path))), told)

    assert [len(found) for found in seen] == list(range(len(told) + 1))
    assert all(max(found.values(), default=1) == 1 for found in seen)
    assert set(seen[-1]) == set(told) == set(reports())


def test_no_row_moves_to_another_part_and_none_is_deleted(tmp_path: Path) -> None:
    storage = Watched(Storage(str(tmp_path)))
    table = AppendedTable(storage, "epochs")  # type: ignore[arg-type]
    places: dict[int, str] = {}
    for epoch in range(1, 5 * PART):
        table.append([{"trial_id": "00000", "epoch": epoch}])
        for file in (tmp_path / "epochs").glob("part-*.parquet"):
            for found in pq.read_table(file)["epoch"].to_pylist():
                assert places.setdefault(found, file.name) == file.name

    assert storage.deleted == []
    assert len(places) == 5 * PART - 1


class Killed(NamedTuple):
    """What a kill at a write leaves: the folder as it is on disk, and the epochs told so far."""

    folder: Path
    told: list[tuple[str, int]]


def killed_at_writes(root: Path, *, after: bool) -> list[Killed]:
    """A study into `root / "whole"`, and what a kill at every third write would have left of it.

    Args:
        after: whether that write still arrived.
    """
    told: list[tuple[str, int]] = []
    left: list[Killed] = []

    class Copied(Watched):
        def write(self, name: str, data: bytes | memoryview, *, copied: bool = False) -> None:
            moment = len(self.writes)
            if after:
                super().write(name, data, copied=copied)
            if moment % 3 == 0:
                folder = shutil.copytree(root / "whole", root / str(moment))
                left.append(Killed(folder, [*told]))
            if not after:
                super().write(name, data, copied=copied)

    write_all(Copied(Storage(str(root / "whole"))), told)
    return left


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_write_costs_at_most_the_epoch_in_flight(
    after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Progress is stored after every other epoch, however fast the machine is.
    clock = SimpleNamespace(monotonic=count(0, PROGRESS_EVERY_S / 2).__next__)
    monkeypatch.setattr("ffl_ray.results.study.time", clock)
    left = killed_at_writes(tmp_path, after=after)
    whole = read_rows(Storage(str(tmp_path / "whole")), "members")
    assert len(left) > 20
    for folder, told in left:
        if (folder / "epochs" / "part-00000.parquet").exists():
            stored = stored_epochs(folder)
            assert set(told) <= set(stored)
            assert len(stored) <= len(told) + 1
            assert max(stored.values(), default=1) == 1
        write_all(Storage(str(folder)), told)

        assert stored_epochs(folder) == Counter(reports())
        trials, _, members = ffl_ray.results.load(str(folder))
        assert list(trials["trial_id"]) == list(TRIALS)
        assert list(trials["epochs_done"]) == [EPOCHS] * len(TRIALS)
        assert len(members) == len(whole)


def test_there_are_no_more_parts_than_rows_by_the_rows_of_a_part(tmp_path: Path) -> None:
    write_all(Storage(str(tmp_path)), [])

    parts = list((tmp_path / "epochs").glob("*"))

    assert len(parts) == -(-EPOCHS * len(TRIALS) // PART)
    assert len(list((tmp_path / "trials").glob("*"))) == 2


def test_a_running_trials_progress_is_written_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffl_ray.results.study.time.monotonic", lambda: 100.0)
    watched = Watched(Storage(str(tmp_path)))
    tables = open_tables(watched)
    tables.start("00000", Config())
    del watched.writes[:]
    for epoch in (1, 2, 3):
        tables.epoch("00000", epoch_row(epoch), [], [])
    behind = list(pd.read_parquet(tmp_path / "trials").epochs_done)
    monkeypatch.setattr("ffl_ray.results.study.time.monotonic", lambda: 100.3)
    tables.settle()
    tables.settle()

    assert watched.writes == [
        "epochs/part-00000.parquet", "trials/part-00000.parquet",
        "epochs/part-00000.parquet", "epochs/part-00000.parquet", "trials/part-00000.parquet",
    ]  # fmt: skip
    assert behind == [1]
    assert list(pd.read_parquet(tmp_path / "trials").epochs_done) == [3]


def test_a_study_of_an_earlier_versions_parts_goes_on(tmp_path: Path) -> None:
    parts = Parts(Storage(str(tmp_path)), "trials")
    parts.make_first()
    rows = [{"trial_id": f"{number:05d}", "status": "running"} for number in range(5)]
    parts.write(0, parts.arrow(rows))  # more than a part now holds

    again = KeyedTable(Storage(str(tmp_path)), "trials", "trial_id")
    again.update("00003", status="completed")
    again.update("00005", status="failed")
    again.update("00006", status="failed")

    frame = pd.read_parquet(tmp_path / "trials")
    assert list(frame["trial_id"]) == [f"{number:05d}" for number in range(7)]
    assert list(frame["status"]) == ["running"] * 3 + ["completed", "running", "failed", "failed"]


def test_what_a_sampler_goes_on_with_is_what_the_epochs_say(tmp_path: Path) -> None:
    make_study(tmp_path)
    storage = Storage(str(tmp_path))
    expected: dict[str, dict[int, float]] = {}
    for row in read_rows(storage, "epochs"):
        expected.setdefault(row["trial_id"], {})[row["epoch"]] = row["objective_value"]

    assert objective_by_epoch(storage) == expected
    assert len(expected) > 1


def test_a_study_without_an_epoch_goes_on_too(tmp_path: Path) -> None:
    make_study(tmp_path, trials=())

    assert objective_by_epoch(Storage(str(tmp_path))) == {}


def test_trials_that_ran_at_once_are_loaded_one_after_the_other(tmp_path: Path) -> None:
    write_all(Storage(str(tmp_path)), [])

    epochs = ffl_ray.results.load(str(tmp_path)).epochs

    found = list(zip(epochs["trial_id"], epochs["epoch"], strict=True))
    assert found == sorted(reports())
