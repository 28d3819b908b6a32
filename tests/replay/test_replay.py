"""A replay trains nothing, spends the stored seconds, and judges candidates paired by repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from support.grids import EPOCHS, final_nll, make_grid

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.orchestration.stopping_rules import SuccessiveHalving
from ffl_ray.replay.__main__ import main
from ffl_ray.replay.candidates import ONE_EPOCH, REFERENCE, Candidate, candidates
from ffl_ray.replay.event_loop import Draws, Ended, replayed
from ffl_ray.replay.grid import Grid, Run, open_grid
from ffl_ray.replay.regret import first_at_most, regret_curve, seconds_ratio
from ffl_ray.search.product import Point

NONE = SearchConfig(sampler="random", scheduler="none")
HALVING = {"scheduler": "asha", "grace": 0.5, "reduction_factor": 2, "audit_trials": 0}
ASHA = with_overrides(SearchConfig(), {"sampler": "random", **HALVING})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("grids") / "grid"
    make_grid(place)
    return place


@pytest.fixture(scope="module")
def grid(folder: Path) -> Grid:
    return open_grid(str(folder))


def test_a_grid_has_a_training_a_seed_of_every_point_and_is_worth_their_mean(grid: Grid) -> None:
    worth = grid.worth

    assert (len(grid.runs), grid.epochs, grid.workers) == (6, EPOCHS, 2)
    assert {len(runs) for runs in grid.runs.values()} == {2}
    assert grid.product.names == ("fusion.design", "distill.temperature")
    assert worth["sum", "3.0"] == pytest.approx(
        -(final_nll("sum", 3, 0) + final_nll("sum", 3, 1)) / 2
    )
    assert max(worth, key=lambda point: worth[point]) == ("gated", "1.0")
    assert grid.training_s == pytest.approx(EPOCHS * 1.5)


def test_its_space_proposes_every_point_and_no_seed(grid: Grid) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = set()
    for _ in range(80):
        trial = study.ask()
        found.add(tuple(str(value) for value in grid.product.space.suggest(trial).values()))

    assert found == set(grid.runs)


def test_a_search_without_stopping_spends_the_stored_seconds(grid: Grid) -> None:
    ended = [*replayed(grid._replace(workers=1), NONE, 3, 60.0)]

    spent = np.cumsum([EPOCHS * (1 + (trial.point[0] == "sum")) for trial in ended])
    assert [trial.at_s for trial in ended] == pytest.approx(spent)
    assert {trial.epochs for trial in ended} == {EPOCHS}
    for trial in ended:
        finals = [final_nll(trial.point[0], float(trial.point[1]), seed) for seed in (0, 1)]
        assert -(trial.score or 0) in [pytest.approx(one) for one in finals]


def test_candidates_of_a_repeat_are_given_the_same_points_and_the_same_trainings(
    grid: Grid,
) -> None:
    alone = grid._replace(workers=1)
    plain, halved = (
        {trial.point: trial.score for trial in replayed(alone, search, 5, 20.0)}
        for search in (NONE, ASHA)
    )

    both = [point for point in plain if halved.get(point) is not None]
    assert both
    assert all(plain[point] == halved[point] for point in both)


@pytest.mark.parametrize("unit", ["epochs", "accelerator-seconds"])
def test_who_is_stopped_is_whom_the_rung_rule_stops(grid: Grid, unit: str) -> None:
    search = with_overrides(ASHA, {"rung_unit": unit})
    ended = [*replayed(grid._replace(workers=1), search, 0, 100.0)]
    rule = SuccessiveHalving(search, EPOCHS, maximised=False, latest=EPOCHS / 2)
    draws = Draws(grid, 0)

    for number, trial in enumerate(ended):
        run = draws.run(trial.point)
        spent = np.cumsum(run.seconds)
        judged = range(1, EPOCHS)
        stopped = (
            epoch
            for epoch in judged
            if not rule.lets_pass(f"{number:05d}", epoch, run.values[epoch - 1], spent[epoch - 1])
        )
        assert trial.epochs == next(stopped, EPOCHS)
    assert any(trial.score is None for trial in ended)


def test_one_epoch_first_finishes_the_best(grid: Grid) -> None:
    ended = [*Candidate(ONE_EPOCH, None).run(grid, 0, 60.0)]

    scores = [trial.score or 0 for trial in ended]
    assert scores == sorted(scores, reverse=True)
    assert all(trial.at_s <= 60.0 for trial in ended)
    assert len({trial.point for trial in ended}) == min(len(ended), len(grid.runs))


def test_a_point_that_comes_again_has_its_other_training(grid: Grid) -> None:
    for repeat in range(8):
        draws = Draws(grid, repeat)
        for point, runs in grid.runs.items():
            visits = [draws.run(point) for _ in range(2 * len(runs))]
            assert {id(run) for run in visits[: len(runs)]} == {id(run) for run in runs}
            assert visits[len(runs) :] == visits[: len(runs)]
    first = {Draws(grid, repeat).run(min(grid.runs)).trial_id for repeat in range(8)}
    assert len(first) == len(grid.runs[min(grid.runs)])


def test_regret_is_of_the_answer_and_falls_when_a_better_trial_completes() -> None:
    worth: dict[Point, float] = {("a",): 1.0, ("b",): 0.5, ("c",): 0.0}
    run = Run("00000", (), (), failed=False)
    ended = [
        Ended(2.0, ("c",), run, 3, 0.1),
        Ended(3.0, ("a",), run, 1, None),
        Ended(5.0, ("b",), run, 3, 0.2),
    ]

    curve = regret_curve(ended, worth, np.arange(7.0))

    assert curve.tolist() == [0.5, 0.5, 1.0, 1.0, 1.0, 0.5, 0.5]


def test_the_ratio_of_seconds_is_infinite_where_the_regret_is_never_reached() -> None:
    times = np.arange(5.0)
    theirs = np.tile([4.0, 3.0, 2.0, 1.0, 0.0], (6, 1))
    ours = np.tile([4.0, 1.5, 1.0, 1.0, 1.0], (6, 1))

    assert first_at_most(ours[0], 0.5, times) == np.inf
    assert seconds_ratio(ours, theirs, times, 2.0) == (0.5, 0.5, 0.5)
    assert seconds_ratio(ours, theirs, times, 4.0).value == np.inf


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"left_out": 2}, r"full grid, and .* holds 5 of 6 points"),
        ({"status": "pruned"}, r"00011 of .* is pruned: search with --sampler grid"),
    ],
)
def test_what_is_no_full_grid_is_refused(
    tmp_path: Path, options: dict[str, int], message: str
) -> None:
    make_grid(tmp_path / "grid", **options)  # type: ignore[arg-type]

    with pytest.raises(StudyError, match=message):
        open_grid(str(tmp_path / "grid"))


def test_a_candidate_is_settings_of_a_search_and_random_is_always_there() -> None:
    found = candidates(["sampler=tpe scheduler=asha grace=0.25", ONE_EPOCH])

    assert [one.name for one in found[:1]] == [REFERENCE.name]
    assert found[1].search().grace == 0.25


def test_the_command_writes_a_page_and_tables(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--repeats", "3", "--budget", "6", "--jobs", "1", "--candidate", "sampler=tpe"]

    status = main([str(folder), *options])

    board = pd.read_parquet(folder / "replay" / "leaderboard.parquet")
    repeats = pd.read_parquet(folder / "replay" / "regret.parquet")
    assert status == 0
    assert board["candidate"].tolist() == [REFERENCE.name, "sampler=tpe"]
    assert set(repeats["repeat"]) == {0, 1, 2}
    assert (repeats["regret"] >= 0).all()
    assert board["cpu_share"].between(0, 1, inclusive="neither").all()
    assert "replay.html" in capfd.readouterr().out
    assert "accelerator-seconds" in (folder / "replay" / "replay.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--repeats", "1"], "--repeats must be at least 2, not 1"),
        (["--budget", "inf"], "--budget must be finite, not inf"),
        (["--candidate", "tpe"], "--candidate takes settings of a search"),
        (["--candidate", "sampler=best"], "sampler must be"),
    ],
)
def test_a_wrong_option_is_one_line(
    folder: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("idle", ["warm_start=all", "search.constraints=macs<=5", "seed=3"])
def test_a_setting_that_does_not_act_in_a_replay_is_refused(idle: str) -> None:
    with pytest.raises(SettingError, match=r"--candidate takes sampler, .* does not act here"):
        candidates([f"sampler=tpe {idle}"])
