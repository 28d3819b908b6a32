"""The command `reproduce`: what it refuses, which runs it plans, and a whole small one on Ray."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import pytest
from support.forked import run

from ffl_ray.reproduce.__main__ import main, parser
from ffl_ray.reproduce.presets import presets_digest
from ffl_ray.reproduce.published import TABLES
from ffl_ray.reproduce.reproduction import (
    Reproduction,
    final_runs,
    held_against,
    reproduction_of,
)
from ffl_ray.results.description import read_description
from ffl_ray.results.reader import find_study

SMALL = (
    *("anchors", "--set", "data.name=digits", "--backbone", "resnet8"),
    *("--epochs", "1", "--fraction", "0.2"),
)


def asked_for(*options: str) -> Reproduction:
    args: argparse.Namespace = parser().parse_args([*options, "--set", "data.name=digits"])
    return reproduction_of(args)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["pcl-cifar-100"],
         "TABLE must be one of pcl-cifar100, pcl-cifar10, cmff-cifar100, "
         "ffsd-cifar100, mcl-cifar100, anchors, not "
         "'pcl-cifar-100'; the nearest known is 'pcl-cifar100'"),
        (["anchors"], "--data-dir must name the folder that holds the files of cifar100"),
        (["anchors", "--data-dir", "/no/such"], "data.dir must be an existing folder, not"),
        (["anchors", "--seeds", "0"], "--seeds must be 1 to 1000, not 0"),
        (["anchors", "--epochs", "0"], "optim.epochs must be greater than or equal to 1, not 0"),
        (["anchors", "--fraction", "0"], "data.fraction must be greater than 0, not 0"),
        (["anchors", "--fraction", "1.5"], "data.fraction must be less than or equal to 1, not"),
        (["anchors", "--backbone", "resnet9"], "model.mix: resnet9: a CIFAR ResNet's depth is"),
        (["anchors", "--rows", "resnet-32/alon"],
         "--rows must name rows of the table, such as resnet-32/alone"),
        (["anchors", "--set", "optim.lrr=1"], "unknown setting 'optim.lrr'"),
    ],
)  # fmt: skip
def test_a_wrong_input_is_one_line_on_stderr_and_status_2(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([*options, "--storage-path", str(tmp_path)])

    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith(f"error: {message}")
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_a_table_the_tables_are_listed() -> None:
    done = run("reproduce")

    assert done.returncode == 0
    assert "pcl-cifar100" in done.stdout
    assert "anchors" in done.stdout


def test_a_study_knows_the_presets_it_began_with() -> None:
    of_table = {name: asked_for(name).settings()["reproduce.presets"] for name in TABLES}

    assert of_table == {name: presets_digest(table) for name, table in TABLES.items()}


def test_two_figures_of_one_network_are_one_training() -> None:
    runs = final_runs(asked_for("anchors", "--seeds", "2", "--seed", "5"))

    assert [(one.run_id, one.config.seed) for one in runs] == [
        ("00000", 5),
        ("01000", 5),
        ("00001", 6),
        ("01001", 6),
    ]
    assert runs[1].label == "resnet-32/branch, resnet-32/fused-above-branch, seed 5"
    assert [len(one.config.model.mix) for one in runs] == [1, 2, 1, 2]


def test_a_runs_id_stays_when_rows_and_seeds_are_added() -> None:
    few = final_runs(asked_for("pcl-cifar100", "--seeds", "1", "--rows", "*/ffl-s", "vgg-16/pcl"))
    more = final_runs(asked_for("pcl-cifar100", "--seeds", "3"))

    by_id = {one.run_id: one.config for one in more}
    assert len(by_id) == len(more) == 105
    assert len(few) == 6
    assert all(by_id[one.run_id] == one.config for one in few)


def test_a_row_gets_the_runs_of_its_own_training_alone() -> None:
    asked = asked_for("anchors", "--seeds", "2")
    runs = final_runs(asked)
    accuracies = {
        "00000": {"branch0": 0.70},
        "00001": {"branch0": 0.69},
        "01000": {"branch0": 0.72, "branch1": 0.74, "fused": 0.75},
    }

    alone, branch, above = held_against(asked, runs, accuracies, ended=accuracies)

    assert (alone.ours.n, branch.ours.n, above.ours.n) == (2, 1, 1)
    assert alone.ours.mean == pytest.approx(69.5)
    assert branch.ours.mean == pytest.approx(73)
    assert above.ours.mean == pytest.approx(2)


def test_a_row_has_no_verdict_before_all_its_runs_have_ended(tmp_path: Path) -> None:
    options = ["anchors", "--seeds", "2", "--data-dir", str(tmp_path)]
    asked = reproduction_of(parser().parse_args(options))
    runs, members = final_runs(asked), {"branch0": 0.7, "branch1": 0.7, "fused": 0.7}
    accuracies = dict.fromkeys(["00000", "00001", "01000"], members)

    alone, branch, above = held_against(asked, runs, accuracies, ended=accuracies)

    assert alone.verdict != "not all seeds: no verdict"
    assert branch.verdict == above.verdict == "not all seeds: no verdict"
    failed = held_against(asked, runs, accuracies, ended=[*accuracies, "01001"])
    assert [one.verdict for one in failed[1:]] == ["one run: no verdict"] * 2


@pytest.mark.ray
def test_a_small_reproduction_ends_in_a_table_without_verdicts_and_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = ("--storage-path", str(tmp_path), "--name", "small", "--cpus-per-trial", "1")
    rows = ("--rows", "*/branch", "*/fused*")

    first = run("reproduce", *SMALL, *place, *rows, "--seeds", "2")
    again = main([*SMALL, *place, "--rows", "*/branch", "--seeds", "2"])
    other = main([*SMALL, *place, "--set", "optim.lr=0.2"])

    assert first.returncode == 0, first.stderr
    line = (
        "scaled down to 1 of 300 epochs, 0.2 of the images and backbone resnet8, changed to "
        "data.name=digits: not comparable with the published value, so no verdict"
    )
    assert line in first.stdout
    found = pd.read_parquet(tmp_path / "small" / "reproduced").set_index("row")
    assert list(found.index) == ["resnet-32/branch", "resnet-32/fused-above-branch"]
    assert set(found["verdict"]) == {"not comparable: no verdict"}
    assert list(found["n"]) == [2, 2]
    assert found["band_low"].tolist() == [0.72, 0.0]
    assert line.startswith(found["departures"].iloc[0])
    trials = pd.read_parquet(tmp_path / "small" / "trials").set_index("trial_id")
    assert sorted(trials.index) == ["01000", "01001"]
    assert sorted(trials["seed"]) == [0, 1]
    members = pd.read_parquet(tmp_path / "small" / "members")
    assert set(members["split"]) == {"test"}
    of_branches = members[members["member"].str.startswith("branch")]
    mean = of_branches.groupby("trial_id")["accuracy"].mean().mean()
    assert found.loc["resnet-32/branch", "mean"] == pytest.approx(mean)
    assert read_description(find_study("small", str(tmp_path)))["kind"] == "reproduce"
    shown, errors = capfd.readouterr()
    assert again == 0
    assert "small: all 2 trainings ended before" in shown
    assert other == 2
    assert "goes on only with the settings it began with" in errors


@pytest.mark.ray
def test_real_cifar_is_trained_and_tested(cifar_data: Path, tmp_path: Path) -> None:
    options = (
        *("anchors", "--data-dir", str(cifar_data), "--backbone", "resnet8", "--epochs", "1"),
        *("--fraction", "0.01", "--seeds", "2", "--rows", "*/alone", "--cpus-per-trial", "1"),
    )

    done = run("reproduce", *options, "--storage-path", str(tmp_path), "--name", "real")

    assert done.returncode == 0, done.stderr
    (row,) = pd.read_parquet(tmp_path / "real" / "reproduced").to_dict("records")
    assert (row["n"], row["data.name"], row["model.mix"]) == (2, "cifar100", "resnet8")
    assert 0 < row["mean"] < 0.2
