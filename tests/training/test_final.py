"""A final training: no validation, one look at the test split, and nothing computed twice."""

from __future__ import annotations

import ast
import functools
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from support.helpers import ROOT, MemorySession, Row, small_config
from support.streamed import write_jpegs

import ffl_ray.training.final
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.dataset import Opened
from ffl_ray.data.facts import DataFacts
from ffl_ray.data.loader import load_final, load_train_val, open_test, read_test
from ffl_ray.errors import NoTestSplitError
from ffl_ray.results.schema import arrow_schema
from ffl_ray.training.confusions import from_row
from ffl_ray.training.final import run_final
from ffl_ray.training.predictions import from_texts


def weights(session: MemorySession) -> dict[str, torch.Tensor]:
    network: dict[str, torch.Tensor] = torch.load(io.BytesIO(session.files["latest.pt"]))["network"]
    return network


class Opener:
    """Stands for `open_test`: counts how often it is called, and may fail first."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.error = error

    def __call__(self, settings: DataConfig) -> Opened:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return open_test(settings)


@pytest.fixture
def opener(monkeypatch: pytest.MonkeyPatch) -> Opener:
    made = Opener()
    monkeypatch.setattr(ffl_ray.training.final, "open_test", made)
    return made


def test_train_and_val_together_are_trained_on() -> None:
    settings = DataConfig(fraction=0.5, val_fraction=0.2)

    parts, final = load_train_val(settings), load_final(settings)

    assert len(final.train) == len(parts.train) + len(parts.val)
    assert len(final.val) == 0
    assert final.split_hash != parts.split_hash
    pixels = {image.numpy().tobytes() for image in final.train.pixels}
    assert {image.numpy().tobytes() for image in parts.val.pixels} <= pixels
    tested = {image.numpy().tobytes() for image in open_test(settings).images.pixels}
    assert not pixels & tested


def test_the_test_split_is_opened_once_after_the_last_epoch(opener: Opener) -> None:
    session = MemorySession()

    run_final(small_config(optim__epochs=3, data__fraction=0.1), session)

    assert opener.calls == 1
    assert [row["epoch"] for row in session.rows] == [1, 2, 3]
    assert [len(members) for members in session.members] == [0, 0, 4]
    assert {member["split"] for member in session.members[-1]} == {"test"}
    assert {member["epoch"] for member in session.members[-1]} == {3}
    assert not any(session.best)
    for row in session.rows:
        assert row["objective_value"] is None
        assert row["best_epoch"] is None
        assert set(row) <= set(arrow_schema("epochs").names)
        assert not any(name.startswith("val.") for name in row if row[name] is not None)
    assert set(session.files) == {"latest.pt"}


def test_the_numbers_are_those_of_the_test_split(opener: Opener) -> None:
    session = MemorySession()

    config = small_config(data__fraction=0.6, optim__epochs=4, optim__lr_schedule="cosine")
    run_final(config, session)

    size = len(open_test(DataConfig()).images)
    for member in session.members[-1]:
        assert member["accuracy"] * size == pytest.approx(round(member["accuracy"] * size))
        assert member["accuracy"] > 0.5
        found = from_texts(_of(session.predictions[-1], member["member"]), size)
        assert found.right.mean() == member["accuracy"]
        assert found.nll.mean() == pytest.approx(member["nll"], rel=1e-3)
        by_class, names = from_row(_of(session.classes[-1], member["member"]))
        assert sum(by_class.counts.values()) == size
        assert sum(by_class.counts.get((c, c), 0) for c in range(10)) == found.right.sum()
        assert names == list("0123456789")
        assert by_class.pictures.keys() <= by_class.counts.keys()


def _of(rows: Sequence[Row], member: str) -> Row:
    return next(row for row in rows if row["member"] == member)


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_resumed_final_run_equals_the_run_that_was_never_stopped(stop_after: int) -> None:
    config = small_config(data__fraction=0.1)
    whole = MemorySession()
    run_final(config, whole)
    stopped = MemorySession(stop_after=stop_after)
    with pytest.raises(KeyboardInterrupt):
        run_final(config, stopped)

    resumed = MemorySession(stopped.files)
    run_final(config, resumed)

    assert resumed.members[-1] == whole.members[-1]
    assert resumed.predictions[-1] == whole.predictions[-1]
    assert resumed.classes[-1] == whole.classes[-1]
    assert [row["epoch"] for row in resumed.rows] == list(range(stop_after, 4))
    found = weights(resumed)
    for name, value in weights(whole).items():
        assert torch.equal(value, found[name]), name


def test_a_finished_final_run_reports_again_and_opens_nothing(opener: Opener) -> None:
    session = MemorySession()
    run_final(small_config(optim__epochs=1, data__fraction=0.1), session)

    again = MemorySession(session.files)
    run_final(small_config(optim__epochs=1, data__fraction=0.1), again)

    assert opener.calls == 1
    assert again.rows == session.rows
    assert again.members == session.members
    assert again.predictions == session.predictions


def test_a_test_split_that_can_not_be_opened_costs_no_epoch(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener.error = NoTestSplitError("the test split can't be opened: gone")
    session = MemorySession()
    with pytest.raises(NoTestSplitError, match="gone"):
        run_final(small_config(optim__epochs=2, data__fraction=0.1), session)
    assert [row["epoch"] for row in session.rows] == [1]  # not complete before its test

    opener.error = None
    monkeypatch.setattr("ffl_ray.training.worker.run_epoch", None)
    again = MemorySession(session.files)
    run_final(small_config(optim__epochs=2, data__fraction=0.1), again)

    assert [row["epoch"] for row in again.rows] == [2]
    assert len(again.members[-1]) == 4


def test_a_test_split_of_other_classes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images, info, _ = open_test(DataConfig())
    other = Opened(images, info._replace(classes=("ant", *info.classes[1:])))
    monkeypatch.setattr(ffl_ray.training.final, "open_test", lambda _: other)

    with pytest.raises(NoTestSplitError, match="the classes of the training split.*: 0, ant"):
        run_final(small_config(optim__epochs=1, data__fraction=0.1), MemorySession())


def test_a_folder_without_a_test_part_is_found_before_training(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "train", 3)
    settings = DataConfig(name="folder", dir=str(tmp_path))
    with pytest.raises(NoTestSplitError, match="must hold test/ or val/ beside train/"):
        read_test(settings, DataFacts())

    write_jpegs(tmp_path / "test", 2, ("ant", "cow"))
    with pytest.raises(NoTestSplitError, match="class folders of train/, and lacks 'bee'"):
        read_test(settings, DataFacts())

    (tmp_path / "test" / "cow").rename(tmp_path / "test" / "bee")
    (tmp_path / "test" / "bee" / "1.jpg").write_bytes(b"no image")
    with pytest.raises(NoTestSplitError, match=r"bee/1.jpg can't be read as an image"):
        read_test(settings, DataFacts())

    facts = read_test(settings.model_copy(update={"skip_bad_files": True}), DataFacts())
    assert facts.test_counts == (2, 2)
    assert [name for name, _ in facts.test_skipped] == ["bee/1.jpg"]


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_test_files_of_cifar_are_found_before_training(name: str, tmp_path: Path) -> None:
    with pytest.raises(NoTestSplitError, match="there is no test split: data.dir must hold cifar-"):
        read_test(DataConfig(name=name, dir=str(tmp_path)), DataFacts())


@functools.cache
def nodes_of_package() -> dict[str, list[ast.AST]]:
    """The syntax of every file of the package, by its path in it."""
    package = ROOT / "ffl_ray"
    return {
        str(path.relative_to(package)): list(ast.walk(ast.parse(path.read_text())))
        for path in package.rglob("*.py")
    }


def test_only_the_final_path_names_the_test_split() -> None:
    allowed = {"training/final.py"} | {
        f"data/{name}.py"
        for name in (
            "loader",
            "dataset",
            "digits",
            "cifar",
            "folder",
            "user_dataset",
            "hub",
            "tar_shards",
        )
    }

    naming = set()
    for path, nodes in nodes_of_package().items():
        for node in nodes:
            names = {getattr(node, key, None) for key in ("id", "attr", "name")}
            if {"open_test", "_test_folder"} & names or getattr(node, "value", None) == "open_test":
                naming.add(path)

    assert naming == allowed


def test_only_final_runs_reach_the_final_path() -> None:
    imports: dict[str, set[str]] = {}
    for path, nodes in nodes_of_package().items():
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    imports.setdefault(f"{node.module}.{alias.name}", set()).add(path)

    assert imports["ffl_ray.training.final.run_final"] == {"orchestration/local.py"}
    assert imports.get("ffl_ray.orchestration.final_runs.run_final_runs", set()) <= {
        "confirm/command.py",
        "reproduce/command.py",
    }
