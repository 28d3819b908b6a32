"""A study's tables as trials begin, report, fail, end and go on."""

from pathlib import Path

import pytest
from support.tables import EPOCH, FUSED, members, new_study

import ffl_ray.results
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, StudyConfig
from ffl_ray.errors import StudyError
from ffl_ray.results.description import (
    check_goes_on,
    describe_study,
)
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.results.writer import (
    ROWS_PER_PART,
)


def test_an_ended_trial_has_member_rows_of_its_latest_and_best_epoch(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())
    for epoch, best in ((1, 1), (2, 2), (3, 2)):
        row = EPOCH | {"epoch": epoch, "best_epoch": best}
        study.epoch("00000", row, members(epoch), members(best))
    study.end("00000", "completed")

    found = ffl_ray.results.load(str(tmp_path)).members

    assert dict(zip(found.checkpoint, found.epoch, strict=True)) == {"best": 2, "latest": 3}


def test_an_epoch_that_an_attempt_repeats_is_stored_once(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())
    study.epoch("00000", EPOCH | {"epoch": 1, "best_epoch": 1}, members(1), members(1))
    study.start("00000", Config())
    for epoch in (1, 2):
        row = EPOCH | {"epoch": epoch, "best_epoch": 1}
        study.epoch("00000", row, members(epoch), members(1))

    found = ffl_ray.results.load(str(tmp_path)).epochs

    assert list(zip(found.epoch, found.attempt, strict=True)) == [(1, 1), (2, 2)]


def test_a_kill_between_the_writes_of_an_epoch_neither_loses_nor_doubles_it(
    tmp_path: Path,
) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())
    row = EPOCH | {"epoch": 1, "best_epoch": 1}
    study.epoch("00000", row, members(1), members(1))
    study.trials.update("00000", epochs_done=0)  # as if the kill came before this table's turn
    del study

    again = new_study(tmp_path)
    again.start("00000", Config())
    again.epoch("00000", row, members(1), members(1))

    results = ffl_ray.results.load(str(tmp_path))
    assert list(results.epochs.epoch) == [1]
    assert list(results.trials.epochs_done) == [1]
    assert list(results.trials.attempt) == [2]


@pytest.mark.parametrize("padding", [0, ROWS_PER_PART + 3])
def test_a_trial_that_ends_twice_has_its_member_rows_once(padding: int, tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for trial_id, epoch in (("00000", 1), ("00001", 1), ("00000", 2)):
        study.start(trial_id, Config())
        row = EPOCH | {"epoch": epoch, "best_epoch": 1}
        study.epoch(trial_id, row, members(epoch), members(1))
        study.end(trial_id, "failed" if epoch == 1 else "completed")
        if trial_id == "00001":
            study.start("other", Config())
            study.epoch("other", row, members(1)[:1] * padding, [])
            study.end("other", "failed")

    found = ffl_ray.results.load(str(tmp_path)).members

    own = found[found.trial_id != "other"]
    assert len(found) - len(own) == padding
    rows = list(zip(own.trial_id, own.checkpoint, own.epoch, strict=True))
    assert rows == [
        ("00000", "best", 1), ("00000", "latest", 2), ("00001", "best", 1), ("00001", "latest", 1),
    ]  # fmt: skip


def test_epochs_whose_reports_were_lost_are_stored_when_an_attempt_reports_them_again(
    tmp_path: Path,
) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())
    latest = 0
    for epoch in (1, 2, 1, 2, 3, 4):  # the first attempt's reports of 3 and 4 did not arrive
        row = EPOCH | {"epoch": epoch, "best_epoch": 1}
        study.epoch("00000", row, members(epoch), members(1))
        latest = max(latest, epoch)
        assert study.trials["00000"]["epochs_done"] == latest
    study.end("00000", "completed")

    trials, epochs, found = ffl_ray.results.load(str(tmp_path))

    assert list(epochs.epoch) == [1, 2, 3, 4]
    assert list(trials.epochs_done) == [4]
    assert set(found[found.checkpoint == "latest"].epoch) == {4}


def test_a_trial_that_failed_before_it_began_can_begin_again(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.start("00000", Config())
    study.errored("00000", ("ActorDiedError", "no memory"))
    study.start("00000", Config())
    study.epoch("00000", EPOCH | {"epoch": 1, "best_epoch": 1}, members(1), members(1))
    study.end("00000", "completed")

    trial = ffl_ray.results.load(str(tmp_path)).trials.iloc[0]

    assert (trial.status, trial.attempt, trial.epochs_done) == ("completed", 2, 1)


def test_a_study_goes_on_with_its_settings_and_no_others(tmp_path: Path) -> None:
    new_study(tmp_path)
    new_study(tmp_path)

    with pytest.raises(StudyError, match=r"goes on only with .* --a was 1 and is 2"):
        StudyTables.open(Storage(str(tmp_path)), "study", describe_study("test", {"a": 2}), FUSED)
    with pytest.raises(StudyError, match="holds a study of kind test"):
        StudyTables.open(Storage(str(tmp_path)), "study", describe_study("other", {"a": 1}), FUSED)


def test_a_setting_that_a_studys_version_did_not_know_had_its_default(tmp_path: Path) -> None:
    storage, settings = Storage(str(tmp_path)), flatten(StudyConfig())
    known = {name: value for name, value in settings.items() if name != "data.residency"}
    StudyTables.open(storage, "study", describe_study("search", known), FUSED)

    assert check_goes_on(storage, "search", settings)
    with pytest.raises(StudyError, match="data.residency was auto and is stream"):
        check_goes_on(storage, "search", settings | {"data.residency": "stream"})


def of_before(settings: dict[str, object], epochs: int, length: float | None) -> dict[str, object]:
    """The settings of a study as the version before kept them."""
    old = {"distill.ramp_up_epochs": length, "optim.warmup_epochs": 0, "search.grace_epochs": None,
           "distill.ema_decay": 0.999}  # fmt: skip
    gone = {name.removesuffix("_epochs") for name in old}
    return {n: v for n, v in settings.items() if n not in gone} | old | {"optim.epochs": epochs}


@pytest.mark.parametrize(
    ("epochs", "length", "was"),
    [
        (300, None, None),
        (300, 80.0, "0.26"),
        (30, 8.0, "8.0 of"),
        (30, None, "80 of"),
    ],
)
def test_a_study_of_the_version_before_goes_on_where_its_epochs_have_the_same_weights(
    tmp_path: Path, epochs: int, length: float | None, was: str | None
) -> None:
    shared = {"optim.epochs": epochs, "model.trunk_stages": 2, "search.grace": 1 / 9}
    settings = flatten(with_overrides(StudyConfig(), shared))
    storage = Storage(str(tmp_path))
    old = describe_study("search", of_before(settings, epochs, length))
    StudyTables.open(storage, "study", old, FUSED)

    if was is None:
        assert check_goes_on(storage, "search", settings)
    else:
        with pytest.raises(StudyError, match=f"distill.ramp_up was {was}.* and is None: choose"):
            check_goes_on(storage, "search", settings)
    with pytest.raises(StudyError, match="model.trunk_stages was 2 and is None: choose"):
        check_goes_on(storage, "search", settings | {"model.trunk_stages": None})
    if epochs == 300 and length:
        assert check_goes_on(storage, "search", settings | {"distill.ramp_up": length / 300})


def test_who_does_not_get_the_lock_writes_no_description(tmp_path: Path) -> None:
    class Holder:
        """Whoever was faster."""

    holder = Holder()
    Storage(str(tmp_path)).lock(holder)

    with pytest.raises(StudyError, match="is in use by another process"):
        new_study(tmp_path)

    assert not (tmp_path / "study.json").exists()


def test_a_study_has_one_writer(tmp_path: Path) -> None:
    held = new_study(tmp_path)

    with pytest.raises(StudyError, match="is in use by another process"):
        new_study(tmp_path)
    del held
    closed = new_study(tmp_path)
    closed.close()
    new_study(tmp_path)


def test_who_loses_the_race_for_a_study_describes_nothing(tmp_path: Path) -> None:
    winner = Storage(str(tmp_path))
    owner = type("Owner", (), {})()
    winner.lock(owner)

    with pytest.raises(StudyError, match="is in use by another process"):
        StudyTables.open(Storage(str(tmp_path)), "study", describe_study("test", {}), FUSED)

    assert not winner.exists("study.json")
