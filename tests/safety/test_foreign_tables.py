"""Tables that somebody else wrote: small ones stay small, and nothing is fetched for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from support.studies import Made, make_study, params

from ffl_ray.config.objectives import parse_objectives
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.confirm.__main__ import main as confirm
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.models.registry import check_weights_here
from ffl_ray.results.guard import check_numbers
from ffl_ray.results.history import past_trials
from ffl_ray.results.parts import Parts
from ffl_ray.results.reader import objective_by_epoch, read_rows
from ffl_ray.results.schema import config_columns, row_config
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.searcher import StudySearcher
from ffl_ray.search.space import load_space


def texts(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count), [text])


def lists(count: int) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), pa.repeat(1.0, count))


BOMBS: dict[str, tuple[str, int, dict[str, pa.Array], int]] = {
    "rows": ("epochs", 10_000_000, {}, 1),
    "texts": ("members", 60_000, {"split": texts("x" * 400_000, 60_000)}, 1),
    "lists": ("epochs", 1, {"val.branches.nll": lists(7_000_000)}, 10),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_that_would_fill_memory_is_refused_before_it_is_read(
    kind: str, tmp_path: Path
) -> None:
    table, count, columns, groups = BOMBS[kind]
    (tmp_path / table).mkdir()
    place = tmp_path / table / "part-00000.parquet"
    rows = pa.table({"trial_id": texts("00000", count)} | columns)
    with pq.ParquetWriter(place, rows.schema, compression="zstd") as writer:
        for _ in range(groups):
            writer.write_table(rows)
    assert place.stat().st_size < 100_000
    before = pa.total_allocated_bytes()

    with pytest.raises(StudyError, match=r"can't be read \(its \d+ rows may take \d+ bytes\)"):
        Parts(Storage(str(tmp_path)), table).read("part-00000.parquet")

    assert pa.total_allocated_bytes() - before < 1_000_000


@pytest.mark.parametrize(
    ("ids", "flaw"),
    [
        ([f"{n * 9_999:05d}" for n in range(100)], "there is a trial 989901 among 100"),
        (["00000", "1000000000000"], "there is a trial 1000000000000 among 2"),
        (["00000", "1"], "numbered by five digits"),
        (["00000", "0000_1"], "numbered by five digits"),
        (["00001", "00001"], "numbered by five digits"),
    ],
)
def test_numbers_that_no_trials_have_cost_neither_time_nor_memory(
    ids: list[str], flaw: str
) -> None:
    check_numbers(f"{n:05d}" for n in (*range(0, 9_999, 40), 10_200))

    with pytest.raises(ValueError, match=flaw):
        check_numbers(ids)


def test_a_table_has_nothing_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked(*args: Any, **options: Any) -> None:
        raise AssertionError("something is downloaded")

    monkeypatch.setattr("urllib.request.urlopen", asked)
    monkeypatch.setattr("urllib.request.urlretrieve", asked)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    evil = {
        "data.name": "cifar100", "data.dir": str(tmp_path), "data.download": True,
        "model.mix": ("torchvision:resnet18",) * 2, "model.pretrained": True,
    }  # fmt: skip
    config = row_config(config_columns(with_overrides(Config(), evil)))
    assert not config.data.download
    with pytest.raises(SettingError, match=r"downloads none; put https://.*resnet18"):
        check_weights_here(config)

    point = params(2, 0, "sum", 1.5)
    make_study(tmp_path / "study", [Made(point, settings=evil), Made(point, "running", 1)])
    assert confirm([str(tmp_path / "study"), "--top", "1", "--seeds", "1"]) == 2
    assert "downloads none" in capsys.readouterr().err
    make_study(tmp_path / "other", [Made(point, "running", 1, settings=evil)])
    storage = Storage(str(tmp_path / "other"))
    past = past_trials(read_rows(storage, "trials"), objective_by_epoch(storage))
    with pytest.raises(SettingError, match="downloads none"):
        StudySearcher(
            load_space("digits"), Config(), SearchConfig(), parse_objectives(["fused.accuracy"]),
            make_job=lambda trial_id, config: {}, past=past,
        )  # fmt: skip
    assert not (tmp_path / "torch").exists()
