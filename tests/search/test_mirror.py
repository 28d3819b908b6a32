"""The mirror in an Optuna storage shows what the searcher's own study knows."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from ffl_ray.config.objectives import parse_objectives
from ffl_ray.errors import StudyError
from ffl_ray.search.mirror import Mirror

ONE = parse_objectives(["fused.accuracy"])
TWO = parse_objectives(["fused.accuracy", "fused.macs"])


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder}/mirror.db"


def begun(study: optuna.Study) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_float("distill.temperature", 1, 8)
    return trial


def as_told(study: optuna.Study) -> list[tuple[object, ...]]:
    return [(t.number, t.state, t.params, t.values, t.intermediate_values) for t in study.trials]


def test_every_trial_is_shown_live_and_at_its_end(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    mirror = Mirror(url_of(tmp_path), "study", ONE)
    shown = optuna.load_study(study_name="study", storage=url_of(tmp_path))
    first, second = begun(study), begun(study)
    for trial in (first, second):
        mirror.begin(study.trials[trial.number])
        trial.report(0.5, step=1)
        mirror.report(trial.number, 1, 0.5)

    live = as_told(shown)
    study.tell(first, 0.7)
    study.tell(second, state=TrialState.PRUNED)
    for trial in (first, second):
        mirror.end(study.trials[trial.number])

    assert [entry[1] for entry in live] == [TrialState.RUNNING, TrialState.RUNNING]
    assert live[0][4] == {1: 0.5}
    assert as_told(shown) == as_told(study)
    assert shown.best_value == 0.7


def test_a_study_that_goes_on_goes_on_in_its_mirror(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    before = Mirror(url_of(tmp_path), "study", ONE)
    done, cut = begun(study), begun(study)
    study.tell(done, 0.7)
    before.open(study.trials)
    before.begin(study.trials[1])
    cut.report(0.2, step=1)

    after = Mirror(url_of(tmp_path), "study", ONE)
    after.open(study.trials)
    after.begin(study.trials[1])
    study.tell(cut, 0.3)
    after.end(study.trials[1])

    shown = optuna.load_study(study_name="study", storage=url_of(tmp_path))
    assert as_told(shown) == as_told(study)


def test_trials_of_another_study_of_this_name_are_refused(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    mirror = Mirror(url_of(tmp_path), "study", ONE)
    mirror.check(None)
    done, cut = begun(study), begun(study)
    study.tell(done, 0.7)
    mirror.open(study.trials)
    mirror.begin(study.trials[cut.number])
    other = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(1))
    begun(other)

    Mirror(url_of(tmp_path), "study", ONE).check(study.trials)

    for known, count in ((other.trials, 1), ([], 1), (None, 2)):
        with pytest.raises(StudyError, match=f"holds {count} trials of another study study, .*del"):
            Mirror(url_of(tmp_path), "study", ONE).check(known)


def test_several_objectives_keep_their_directions(tmp_path: Path) -> None:
    Mirror(url_of(tmp_path), "study", TWO)

    shown = optuna.load_study(study_name="study", storage=url_of(tmp_path))

    assert [d.name for d in shown.directions] == ["MAXIMIZE", "MINIMIZE"]
    with pytest.raises(StudyError, match="holds a study study with other objectives"):
        Mirror(url_of(tmp_path), "study", ONE)


def test_a_storage_that_can_not_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="--optuna-storage sqlite:///.*can't be opened"):
        Mirror(f"sqlite:///{tmp_path}/none/x.db", "study", ONE)
