"""What an exported card says of a confirmation, and the export of a confirmed network itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.confirmations import make_confirmation, planned, rows_of
from support.exported import Exported
from support.helpers import small_config

from ffl_ray.confirm.chosen import confirmed_form
from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.pairs import Chosen
from ffl_ray.confirm.tables import (
    ConfirmedAccuracy,
    accuracy_of_run,
    confirmed_accuracy,
    read_confirmed,
)
from ffl_ray.data.loader import load_final
from ffl_ray.errors import StudyError
from ffl_ray.export import __main__ as export
from ffl_ray.export import load_member
from ffl_ray.export.choice import Choice, Rows, choose
from ffl_ray.export.rule import Rule
from ffl_ray.results.description import read_description
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.checkpoint import dump_checkpoint
from ffl_ray.training.progress import Progress
from ffl_ray.training.setup import new_network

TINY: dict[str, Any] = {
    "data__fraction": 0.2,
    "optim__epochs": 2,
    "model__mix": "2*resnet8",
}
PLAN = planned(
    [
        Chosen("00000", confirmed_form(small_config(**TINY, fusion__design="sum"))),
        Chosen("00003", confirmed_form(small_config(**TINY, fusion__design="mean"))),
    ],
    (1000, 1001),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the study `s` has a confirmation whose weights, of one seed each, are untrained."""
    found = tmp_path_factory.mktemp("confirmed")
    write(found, PLAN)
    return found


def write(root: Path, plan: Confirmation, completed: int | None = None) -> None:
    data = load_final(plan.final_runs[0].config.data)
    make_confirmation(root / "s", plan, completed, data.split_hash)
    for run in plan.final_runs:
        if run.run_id in plan.winners:
            network = new_network(run.config, data)
            optimizer = torch.optim.SGD(network.parameters())
            place = root / "s/confirmed/checkpoints" / run.run_id / "latest.pt"
            place.parent.mkdir(parents=True)
            place.write_bytes(dump_checkpoint(network, optimizer, Progress(epochs_done=2)))


def command(root: Path, *options: str) -> list[str]:
    words = ["s/confirmed", "--storage-path", str(root), "--format", "safetensors"]
    return [*words, *options]


def test_a_trial_has_the_confirmed_accuracy_of_its_config_and_member(root: Path) -> None:
    storage = Storage(str(root / "s"))
    rows = read_confirmed(storage.child("confirmed"))["summary"]
    row = next(r for r in rows if (r["trial_id"], r["member"]) == ("00003", "branch1"))
    expected = ConfirmedAccuracy(row["accuracy.mean"], row["accuracy.low"], row["accuracy.high"], 2)
    accuracy = confirmed_accuracy(storage, "00003", "branch1")
    assert accuracy is not None
    said = "the mean of the branches is better against independent resnet8, 4 epochs (branch0) at"
    assert said in accuracy.verdicts
    expected = expected._replace(verdicts=accuracy.verdicts)
    run = next(run for run in PLAN.runs if run.arm == "00003")

    assert confirmed_accuracy(storage, "00003", "branch1") == expected
    assert accuracy_of_run(storage.child("confirmed"), run.run_id, "branch1") == expected
    assert confirmed_accuracy(storage, "00001", "branch1") is None
    assert confirmed_accuracy(storage, "00003", "branch7") is None
    assert confirmed_accuracy(storage.child("elsewhere"), "00003", "branch1") is None


def test_a_card_says_whose_the_confirmed_accuracy_is(exported: Exported, tmp_path: Path) -> None:
    shutil.copytree(exported.storage_path / "mixed", tmp_path / "mixed")
    make_confirmation(tmp_path / "mixed", PLAN)
    out = tmp_path / "out"
    options = ["--member", "fused", "--format", "safetensors", "--out", str(out)]

    assert export.main([str(tmp_path / "mixed"), *options]) == 0

    found = confirmed_accuracy(Storage(str(tmp_path / "mixed")), "00000", "fused")
    assert found is not None
    text, about = (out / "README.md").read_text(), json.loads((out / "metadata.json").read_text())
    assert f"Test accuracy: {found.mean:.4f} (95% interval {found.low:.4f} to" in text
    assert "n = 2: that of the same settings trained again on train + val with other seeds" in text
    assert "not of these very weights, which were never measured on the test split" in text
    assert about["confirmed"] == found._asdict()
    assert about["test"] is None
    assert "Verdicts: better against independent 2" in text
    assert about["validation"]["accuracy"] > 0


def test_one_training_has_no_interval() -> None:
    assert ConfirmedAccuracy(0.9, None, None, 1).words == "0.9000 (one training, so no interval)"


def test_a_confirmed_network_is_exported_with_its_own_test_accuracy(
    root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = next(run for run in PLAN.final_runs if run.run_id == "00000")
    row = next(row for row in rows_of(run.config) if row["member"] == "branch1")
    options = ["--trial", "0", "--member", "branch1", "--out", str(out)]

    assert export.main(command(root, *options)) == 0

    text, about = (out / "README.md").read_text(), json.loads((out / "metadata.json").read_text())
    assert f"| accuracy | {row['accuracy']:.4f} |" in text
    assert "On 359 images of the test split, by these very weights, once, after the last" in text
    assert "The same settings over all seeds, this one among them: test accuracy" in text
    assert "n = 2." in text
    assert "train again | `python -m ffl_ray.confirm s`" in text
    assert "random and of the training split" in text
    assert "validation images" not in text
    assert "chose it" not in text
    assert about["test"]["accuracy"] == row["accuracy"]
    assert about["validation"] is None
    assert about["confirmed"]["seeds"] == 2
    network = new_network(run.config, load_final(run.config.data))
    weight = network.state_dict()["classifiers.1.weight"]
    assert torch.equal(load_member(out).state_dict()["network.classifiers.1.weight"], weight)


def test_a_baseline_is_exported_by_its_number_and_never_picked(root: Path, tmp_path: Path) -> None:
    baseline = next(run for run in PLAN.runs if run.arm == "independent 2*resnet8, 2 epochs")

    assert export.main(command(root, "--trial", baseline.run_id, "--out", str(tmp_path / "o"))) == 0
    assert export.main(command(root, "--max-macs", "1M", "--out", str(tmp_path / "picked"))) == 0

    about = json.loads((tmp_path / "o/metadata.json").read_text())
    assert about["test"]["accuracy"] < 0.85
    assert about["confirmed"]["seeds"] == 2
    text = (tmp_path / "picked/README.md").read_text()
    assert "ffl" in text
    assert "independent" not in text.replace("against independent", "")  # but in its verdicts


def better(row: dict[str, Any], arm: str, seed: int) -> dict[str, Any]:
    """The second config has the higher mean, the first one the luckier first seed."""
    accuracy = {("00000", 1000): 0.95, ("00000", 1001): 0.50}.get((arm, seed), 0.90)
    return row | {"accuracy": accuracy}


def test_the_best_of_a_confirmation_goes_by_the_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.confirmations.rows_of", seeds_of(better))
    write(tmp_path, PLAN)
    monkeypatch.chdir(tmp_path)

    assert export.main(command(tmp_path)) == 0

    chosen = next(run for run in PLAN.runs if (run.arm, run.seed) == ("00003", 1000))
    text = (tmp_path / f"s-confirmed-{chosen.run_id}-fused" / "README.md").read_text()
    assert "Chosen by the study's objective among the members. By means over all seeds." in text
    assert "The test split chose it, so expect somewhat less of new images." in text


def seeds_of(change: Callable[..., dict[str, Any]]) -> Callable[..., list[dict[str, Any]]]:
    arms = {run.run_id: run.arm for run in PLAN.runs}
    known = [(run.config, arms[run.run_id]) for run in PLAN.final_runs]

    def changed(config: Any, split_hash: str) -> list[dict[str, Any]]:
        arm = next(name for other, name in known if other == config)
        return [change(row, arm, config.seed) for row in rows_of(config, split_hash)]

    return changed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "can't say which config is best before all have completed, and 3 of their trainings"),
        (["--trial", "1"], "--trial must be a completed training whose weights stayed, the first"),
        (["--trial", "0", "--member", "branch9"], "--member must be one of branch0, branch1"),
    ],
)
def test_what_a_half_finished_confirmation_can_not_give_is_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, PLAN, completed=1)

    status = export.main(command(tmp_path, *options, "--out", str(tmp_path / "o")))

    error = capsys.readouterr().err
    assert (status, len(error.splitlines())) == (2, 1)
    assert message in error
    assert not (tmp_path / "o").exists()
    assert export.main(command(tmp_path, "--trial", "0", "--out", str(tmp_path / "o"))) == 0
    assert "over all seeds" not in (tmp_path / "o/README.md").read_text()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("confirm", "has no weights yet: those of each config's first seed stay once it has"),
        ("reproduce", "is a reproduction, which keeps no weights: train a config to export with"),
    ],
)
def test_a_study_of_final_runs_without_weights_says_why(
    kind: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_confirmation(tmp_path / "s", PLAN)
    place = tmp_path / "s/confirmed/study.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"kind": kind}))

    assert export.main(command(tmp_path)) == 2

    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert message in error


def chosen_of(root: Path, failed: list[tuple[str, int]]) -> Choice:
    """What is exported of the plan after some of its trainings failed, their weights gone."""
    tables = make_confirmation(root / "s", PLAN)
    kept = dict.fromkeys(PLAN.winners, "latest")
    for run in PLAN.runs:
        if (run.arm, run.seed) in failed:
            tables.end(run.run_id, "failed", ("TrainingDivergedError", "the loss became nan"))
            kept.pop(run.run_id, None)
    trials = {row["trial_id"]: row for row in tables.trials.rows}
    description = read_description(tables.storage)
    return choose(Rule(), Rows(description, trials, tables.member_rows(), kept))


@pytest.mark.parametrize(
    ("failed", "chosen", "note"),
    [
        ([("00000", 1001)], "00000", ""),  # whose luck with the other seed is all there is
        ([("00003", 1000), ("00003", 1001)], "00000", ""),
        ([("00003", 1000)], "00000", "note: 00003 left out: the training with the first seed"),
    ],
)
def test_configs_are_compared_over_the_seeds_with_which_none_failed(
    failed: list[tuple[str, int]],
    chosen: str,
    note: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever waited for them would wait for ever."""
    monkeypatch.setattr("support.confirmations.rows_of", seeds_of(better))

    found = chosen_of(tmp_path, failed)

    first = next(run for run in PLAN.runs if (run.arm, run.seed) == (chosen, 1000))
    assert found.candidate.trial_id == first.run_id
    assert found.note.startswith(note)
    assert bool(found.note) == bool(note)


def test_no_seed_with_which_none_failed_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no seed with which none of them failed: choose with --t"):
        chosen_of(tmp_path, [("00000", 1001), ("00003", 1000)])
