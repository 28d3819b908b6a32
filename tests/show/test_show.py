"""`ffl-ray show`: a study drawn from its tables, while another process holds it; and steered."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from support.confirmations import make_confirmation, planned
from support.studies import COMPLETED, POINTS, Made, make_study

from ffl_ray.console.terminal import make_console
from ffl_ray.orchestration.stop_asked import StopAsked
from ffl_ray.results.steering import Steering, forget_stop, refused
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.show.__main__ import main
from ffl_ray.show.command import watch
from ffl_ray.show.snapshot import snapshot

RUNNING = (*COMPLETED[:2], Made(POINTS[2], "running", 2), Made(POINTS[3], "pruned", 1))


def contents(folder: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime for path in folder.rglob("*")}


def test_a_running_search_is_shown_while_its_driver_holds_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tables = make_study(tmp_path / "s", RUNNING)  # which keeps the study's lock
    before = contents(tmp_path)

    assert main(["s", "--storage-path", str(tmp_path)]) == 0

    out = capfd.readouterr().out
    assert tables.name == "made"
    assert "made: a search of" in out
    assert "1 running  2 completed  1 pruned  0 failed" in out
    assert any("00002" in line and "2/3" in line for line in out.splitlines())
    assert "best trials, validation after the last epoch" in out
    assert re.search(r"the latest epoch 0:\d\d ago", out)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("trials", [(), (Made(POINTS[0], "running", 0),)], ids=["none", "begun"])
def test_a_search_without_an_epoch_is_shown(
    trials: tuple[Made, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path, trials)

    assert main([str(tmp_path)]) == 0

    assert f"{len(trials)} running  0 completed" in capfd.readouterr().out


def test_what_ran_out_of_time_or_was_stopped_is_over_until_somebody_goes_on_with_it(
    tmp_path: Path,
) -> None:
    def is_left() -> bool:
        return snapshot(Storage(str(tmp_path)), make_console()).is_left

    tables = make_study(tmp_path, RUNNING)
    goes_on = is_left()
    tables.close()
    left = is_left()
    again = make_study(tmp_path, ())

    assert (goes_on, left, is_left()) == (False, True, False)
    tables.close()  # the second time: another process has the study
    assert not is_left()
    again.close()


def test_who_asks_to_watch_a_study_that_was_left_waits_for_its_next_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(tmp_path, RUNNING).close()
    drivers: list[StudyTables] = []
    looks = iter(["starts", "begins", "runs", "ends"])

    def sleep(seconds: float) -> None:
        now = next(looks)
        if now == "begins":
            drivers.append(make_study(tmp_path, ()))
        elif now == "ends":
            drivers.pop().close()

    monkeypatch.setattr(time, "sleep", sleep)
    watch(Storage(str(tmp_path)), 2.0, waits=False)
    waited_for = next(looks)

    watch(Storage(str(tmp_path)), 2.0, waits=True)

    assert waited_for == "starts"
    assert next(looks, None) is None
    assert not drivers


def test_a_confirmation_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_study(tmp_path / "s", COMPLETED[:1])
    plan = planned()
    make_confirmation(tmp_path / "s", plan, completed=2)

    assert main([str(tmp_path / "s" / "confirmed")]) == 0

    out = capfd.readouterr().out
    assert f"s/confirmed: a confirm of {len(plan.runs)}" in out
    assert "1 running  2 completed" in out


def test_a_point_is_asked_for_and_heard_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path)
    driver = Steering(str(tmp_path))
    points = ["fusion.design=sum", "model.mix=2*resnet20 distill.temperature=3"]

    assert driver.new_points() == []
    assert main([str(tmp_path), *(w for p in points for w in ("--enqueue", p))]) == 0

    assert [asked.text for asked in driver.new_points()] == points
    assert driver.new_points() == []
    assert [asked.text for asked in Steering(str(tmp_path)).new_points()] == points
    assert "tries it next" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("fusion.design=concat", "fusion.design must be"),
        ("fusoin.design=sum", "must be one of"),
        ("distill.temperature=80", "distill.temperature must be"),
        ("model.mix=9*resnet20", "must be 2 to 4 branches"),
    ],
)
def test_a_point_outside_of_the_space_is_refused_at_once(
    point: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path)

    assert main([str(tmp_path), "--enqueue", point]) == 2

    assert message in capfd.readouterr().err
    assert Steering(str(tmp_path)).new_points() == []


def test_what_is_no_search_takes_no_points(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path, kind="train")

    assert main([str(tmp_path), "--enqueue", "seed=1"]) == 2

    assert "is no search: it holds a train" in capfd.readouterr().err


def test_what_a_driver_refuses_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_study(tmp_path)
    main([str(tmp_path), "--enqueue", "fusion.design=sum"])
    driver = Steering(str(tmp_path))
    (asked,) = driver.new_points()

    driver.refuse(asked, "fusion.design is not asked for at this point")
    capfd.readouterr()
    main([str(tmp_path)])

    assert refused(Storage(str(tmp_path))) == {
        "fusion.design=sum": "fusion.design is not asked for at this point"
    }
    assert "not tried: fusion.design=sum: fusion.design is not" in capfd.readouterr().out
    assert [one.text for one in Steering(str(tmp_path)).new_points()] == ["fusion.design=sum"]


def test_a_stop_is_heard_until_the_study_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path)
    stopper = StopAsked(Steering(str(tmp_path)), every_s=0)
    patient = StopAsked(Steering(str(tmp_path)), every_s=60)
    assert not stopper.stop_all()
    assert not patient.stop_all()

    assert main([str(tmp_path), "--stop"]) == 0

    assert stopper.stop_all()
    assert not patient.stop_all()  # it looks once a minute
    assert "the same command with --name made goes on" in capfd.readouterr().out
    forget_stop(Storage(str(tmp_path)))
    assert stopper.stop_all()  # it has heard it
    assert not StopAsked(Steering(str(tmp_path)), every_s=0).stop_all()


def test_a_storage_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    gone = Steering(str(tmp_path / "gone"))

    assert gone.new_points() == []
    assert not gone.stop_is_asked()


def test_a_planted_link_is_not_followed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_study(tmp_path / "s")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s" / "steering").symlink_to(tmp_path / "elsewhere")

    assert main([str(tmp_path / "s"), "--stop"]) == 2

    assert "steering" in capfd.readouterr().err
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_training_hears_no_stop_and_that_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path, kind="train")

    assert main([str(tmp_path), "--stop"]) == 2

    assert "hears no --stop: Ctrl-C ends it" in capfd.readouterr().err
    assert not Steering(str(tmp_path)).stop_is_asked()
