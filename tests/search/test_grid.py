"""A grid proposes every point once."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from ffl_ray.errors import SettingError
from ffl_ray.search import grid
from ffl_ray.search.grid import Grid, every_point, key_of


def conditional(trial: optuna.Trial) -> None:
    kind = trial.suggest_categorical("kind", ["a", "b", None])
    trial.suggest_int("count", 1, 3 if kind == "a" else 2)
    trial.suggest_float("share", 0.1, 0.3, step=0.1)


def test_every_point_of_a_conditional_space_is_found_once() -> None:
    found = list(every_point(conditional))

    assert len(found) == len({key_of(point) for point in found}) == (3 + 2 + 2) * 3
    assert {point["share"] for point in found} == {0.1, 0.2, 0.3}


def test_a_grid_gives_what_no_trial_has_had_in_an_order_of_its_seed() -> None:
    whole = list(every_point(conditional))
    had = {key_of(point) for point in whole[::2]}

    def given(seed: int) -> list[str]:
        points = Grid(conditional, seed)
        return [key_of(points.take(had)) for _ in range(len(whole) - len(had))]

    first = given(0)
    assert set(first) == {key_of(point) for point in whole} - had
    assert first == given(0) != given(1)
    assert Grid(conditional, 0).take({key_of(point) for point in whole}) == {}


@pytest.mark.parametrize(
    ("suggest", "said"),
    [
        (lambda t: t.suggest_float("optim.lr", 0.1, 1), "optim.lr has none"),
        (lambda t: t.suggest_int("seed", 0, 10**9), "seed has 1,000,000,001"),
        (lambda t: [t.suggest_int(name, 0, 9) for name in "abc"], "at most 100 points"),
    ],
)
def test_what_is_no_grid_is_refused(
    suggest: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "MOST_POINTS", 100)

    with pytest.raises(SettingError, match=said):
        list(every_point(suggest))
