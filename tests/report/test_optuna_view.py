"""A search for Optuna's plots: one range for each parameter over all trials."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from support.studies import POINTS, Made, make_study

from ffl_ray.report.optuna_view import comparable_study
from ffl_ray.report.source import open_study
from ffl_ray.report.style import broken
from ffl_ray.report.table_plots import whole_step
from ffl_ray.results.storage.storage import Storage


def view(folder: Path, *trials: Made) -> optuna.Study:
    make_study(folder, trials)
    return comparable_study(open_study(Storage(str(folder))))


def test_the_count_of_the_last_backbone_follows_and_is_left_out(tmp_path: Path) -> None:
    study = view(tmp_path, *(Made(point) for point in POINTS))

    names = {"num_branches", "mix.resnet20", "fusion.design", "distill.temperature"}
    assert all(set(trial.params) == names for trial in study.trials)
    assert len({str(trial.distributions["mix.resnet20"]) for trial in study.trials}) == 1


def test_numbers_states_values_and_epochs_are_those_of_the_tables(tmp_path: Path) -> None:
    made = [Made(POINTS[0]), Made(POINTS[1], "pruned", 1), Made(POINTS[2], "running", 2)]
    study = view(tmp_path, *made, Made(POINTS[3], "failed", 0, ("Kind", "message")))

    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.FAIL]
    assert [trial.state for trial in study.trials] == states
    assert study.best_value == pytest.approx(0.806)
    assert [len(trial.intermediate_values) for trial in study.trials] == [3, 1, 2, 0]


def test_long_labels_are_broken_and_cut() -> None:
    assert broken("2*resnet20+wrn16_2") == "2*resnet20+wrn16_2"
    assert broken("2*resnet110+densenet_bc100_12") == "2*resnet110+<br>densenet_bc100_12"
    assert broken("2*torchvision:mobilenet_v3_large") == "2*mobilenet_v3_large"
    assert broken("preact_bottleneck_resnet164") == "preact_bottleneck_<br>resnet164"
    assert broken("abcdefghijklmnopqrstuvwxyz") == "abcdefghijklmnopqrstu…"
    assert broken("+".join(["preact_resnet110"] * 9)).count("<br>") == 5


@pytest.mark.parametrize(("last", "step"), [(1, 1), (10, 1), (12, 2), (41, 5), (300, 50)])
def test_ticks_of_whole_numbers_are_round(last: int, step: int) -> None:
    assert whole_step(last) == step
