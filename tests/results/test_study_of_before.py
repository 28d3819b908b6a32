"""examples/digits-study, which the version before wrote: it loads, reports, exports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from support.helpers import ROOT

from ffl_ray import results, tune
from ffl_ray.config.methods import resolved
from ffl_ray.data.loader import load_train_val
from ffl_ray.export import __main__ as export
from ffl_ray.export import load_member
from ffl_ray.report import __main__ as report
from ffl_ray.report.source import open_study
from ffl_ray.results.reader import records
from ffl_ray.results.schema import row_config
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.checkpoint import dump_checkpoint
from ffl_ray.training.progress import Progress
from ffl_ray.training.setup import new_network

BEST = "00006"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, with untrained weights of its best trial: the example has its tables alone."""
    place = tmp_path_factory.mktemp("before") / "digits-study"
    shutil.copytree(ROOT / "examples/digits-study", place)
    trials, _, members = results.load(str(place))
    config = row_config(next(row for row in records(trials) if row["trial_id"] == BEST))
    network = new_network(resolved(config), load_train_val(config.data))
    optimizer = torch.optim.SGD(network.parameters())
    rows = members[(members.trial_id == BEST) & (members.checkpoint == "best")]
    progress = Progress(epochs_done=int(rows.epoch.iloc[0]))
    checkpoint = place / "checkpoints" / BEST / "best.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(dump_checkpoint(network, optimizer, progress))
    return place


def test_it_loads_as_tables_and_as_a_study_of_optuna(study: Path) -> None:
    trials, epochs, members = results.load(str(study))

    assert len(trials) == 40
    assert set(trials["distill.ramp_up"]) == {4 / 12}
    assert len(epochs) == trials.epochs_done.sum()
    assert set(members.trial_id) <= set(trials.trial_id)
    assert set(members.role[members.member.str.startswith("branch")]) == {"deployed"}
    assert set(members.role[members.member == "fused"]) == {"whole"}
    assert members.role[members.member == "ensemble"].isna().all()
    assert results.optuna_study(str(study)).best_trial.number == int(BEST)


def test_it_reports(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([str(study), "--format", "md"]) == 0

    said = capsys.readouterr().out
    assert "Best by fused.accuracy: trial " in said
    assert f"of trial {BEST}." in said


def test_a_length_that_it_searched_is_reported_by_its_name_then(
    study: Path, tmp_path: Path
) -> None:
    place = tmp_path / "searched"
    shutil.copytree(study, place)
    part = place / "trials/part-00000.parquet"
    table = pq.read_table(part)
    params = [
        text.replace("distill.temperature", "distill.ramp_up_epochs")
        for text in table["params"].to_pylist()
    ]
    position = table.schema.get_field_index("params")
    pq.write_table(table.set_column(position, table.schema.field(position), [params]), part)

    found = open_study(Storage(str(place)))

    assert "distill.ramp_up_epochs" in found.searched
    assert set(found.trials["distill.ramp_up_epochs"]) == {4}


def test_it_exports_what_its_best_checkpoint_holds(study: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")

    assert export.main([str(study), "--format", "safetensors", "--out", out]) == 0

    about = json.loads((tmp_path / "out/metadata.json").read_text())
    assert about["source"]["trial_id"] == BEST
    assert about["source"]["split_hash"] == "45dfc41b70be4cf9"
    assert load_member(out)(torch.rand(2, 1, 8, 8)).shape == (2, 10)


def test_it_does_not_go_on_since_its_epochs_had_other_distill_weights(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["--name", study.name, "--storage-path", str(study.parent), "--num-samples", "40"]

    assert tune.main([*again, "--set", "compute.precision=float32"]) == 2

    error = capsys.readouterr().err
    assert "distill.ramp_up was 4.0 of 12.0 epochs and is None" in error
    assert error.count("\n") == 1
