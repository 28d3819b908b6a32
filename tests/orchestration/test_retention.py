"""Checkpoints: of running trials both, of ended ones the top's best, and no others."""

from pathlib import Path

import pytest

from ffl_ray.config.objectives import parse_objectives
from ffl_ray.orchestration.local import write_unless_ended
from ffl_ray.orchestration.retention import CheckpointRetention, best_of_search, latest_of_runs
from ffl_ray.results.best import ranked
from ffl_ray.results.storage.storage import Storage

ONE = parse_objectives(["fused.accuracy"])
TWO = parse_objectives(["fused.accuracy", "fused.macs"])


def row(trial_id: str, status: str, *values: float) -> dict[str, object]:
    return {"trial_id": trial_id, "status": status, "objective_values": list(values)}


ROWS = [
    row("0", "completed", 0.7),
    row("1", "completed", 0.9),
    row("2", "pruned", 0.99),
    row("3", "failed"),
    row("4", "running", 0.1),
    row("5", "completed", 0.8),
    row("6", "interrupted", 0.2),
]


@pytest.fixture
def study(tmp_path: Path) -> Storage:
    for entry in ROWS:
        folder = tmp_path / "checkpoints" / str(entry["trial_id"])
        folder.mkdir(parents=True)
        for name in ("latest.pt", "best.pt"):
            (folder / name).write_bytes(b"weights")
    return Storage(str(tmp_path))


def files(study: Storage) -> dict[str, list[str]]:
    return {name: study.names(f"checkpoints/{name}") for name in study.names("checkpoints")}


def best(study: Storage, count: int) -> CheckpointRetention:
    return CheckpointRetention(study, best_of_search(ONE, count))


def test_what_is_kept_is_what_was_promised(study: Storage) -> None:
    retention = best(study, 2)

    retention.apply(ROWS)

    both = ["best.pt", "latest.pt"]
    assert files(study) == {"1": ["latest.pt"], "4": both, "5": ["latest.pt"], "6": both}


def test_the_plain_baseline_stays_behind_the_best(study: Storage) -> None:
    rows = [one | {"baseline": "plain"} if one["trial_id"] == "0" else one for one in ROWS]

    best(study, 2).apply(rows)

    assert set(files(study)) == {"0", "1", "4", "6"}


def test_what_the_knee_picks_from_stays_behind_the_best(study: Storage) -> None:
    accuracies, macs = {"0": 0.7, "1": 0.9, "5": 0.8}, {"0": 10, "1": 1000, "5": 900}

    def members(trial_id: str) -> list[dict[str, object]]:
        fused = {"member": "fused", "checkpoint": "latest", "accuracy": accuracies[trial_id]}
        return [fused | {"macs": macs[trial_id], "trial_id": trial_id}]

    CheckpointRetention(study, best_of_search(ONE, 2, members)).apply(ROWS)

    assert set(files(study)) == {"0", "1", "4", "6"}


def test_a_better_trial_takes_the_place_of_the_least(study: Storage) -> None:
    retention = best(study, 2)
    retention.apply(ROWS)

    retention.apply([*ROWS[:4], row("4", "completed", 0.85), *ROWS[5:]])

    assert set(files(study)) == {"1", "4", "6"}
    assert files(study)["4"] == ["latest.pt"]


def test_what_a_version_before_kept_stays(study: Storage) -> None:
    study.delete("checkpoints/1/latest.pt")

    best(study, 2).apply(ROWS)

    assert files(study)["1"] == ["best.pt"]


def test_nothing_is_kept_when_nothing_shall_be(study: Storage) -> None:
    best(study, 0).apply(ROWS)

    assert set(files(study)) == {"4", "6"}


def test_of_several_objectives_the_front_comes_first() -> None:
    rows = [
        row("0", "completed", 0.9, 100),
        row("1", "completed", 0.89, 200),
        row("2", "completed", 0.5, 10),
        row("3", "completed", 0.4, 300),
    ]

    assert [entry["trial_id"] for entry in ranked(rows, TWO)] == ["0", "2", "1", "3"]


def test_a_worker_that_was_stopped_in_mid_epoch_leaves_nothing_behind(study: Storage) -> None:
    files_of_2 = study.child("checkpoints/2")
    best(study, 2).apply(ROWS)

    write_unless_ended(files_of_2, "latest.pt", b"late")

    assert "2" not in files(study)


def test_what_was_left_by_a_kill_is_found_at_the_next_start(study: Storage) -> None:
    best(study, 1).apply(ROWS)
    (Path(study.location) / "checkpoints" / "2").mkdir()

    retention = best(study, 1)
    retention.apply(ROWS)

    assert "2" not in files(study)


def test_final_runs_keep_both_files_while_they_go_on_and_of_winners(study: Storage) -> None:
    CheckpointRetention(study, latest_of_runs({"1", "2", "9"})).apply(ROWS)

    both = ["best.pt", "latest.pt"]
    assert files(study) == {"1": both, "4": both, "6": both}


def test_a_config_is_judged_by_its_seeds_whose_files_are_gone_too(study: Storage) -> None:
    lucky, other = {"optim.lr": 0.1}, {"optim.lr": 0.2}
    rows = [
        row("0", "completed", 0.9) | lucky | {"seed": 0},
        row("1", "completed", 0.3) | lucky | {"seed": 1},
        row("5", "completed", 0.8) | other | {"seed": 0},
    ]
    members = [{"member": "fused", "checkpoint": "latest", "images": 400}]
    retention = CheckpointRetention(study, best_of_search(ONE, 1, lambda trial_id: members))

    retention.apply(rows[:2])
    assert set(files(study)) == {"0"}
    study.make_folder("checkpoints/5")
    study.write("checkpoints/5/latest.pt", b"weights")
    retention.expect("5")
    retention.apply(rows)

    assert set(files(study)) == {"5"}


def test_the_trial_that_stands_for_the_best_config_is_one_whose_files_are_there(
    study: Storage,
) -> None:
    best, other = {"optim.lr": 0.1}, {"optim.lr": 0.2}
    rows = [
        row("0", "completed", 0.90) | best | {"seed": 0},
        row("1", "completed", 0.89) | best | {"seed": 1},
        row("2", "completed", 0.91) | other | {"seed": 0},
        row("5", "completed", 0.80) | other | {"seed": 1},
    ]
    study.delete("checkpoints/0")
    members = [{"member": "fused", "checkpoint": "latest", "images": 400}]

    rule = best_of_search(ONE, 1, lambda trial_id: members)
    CheckpointRetention(study, rule).apply(rows)

    assert set(files(study)) == {"1"}
