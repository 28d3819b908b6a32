"""A report of thousands of trials draws a selection, and says which."""

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd

from ffl_ray.config.objectives import parse_objective
from ffl_ray.report.table_plots import MOST_CURVES, evenly, trials_with_curves

NLL = parse_objective("fused.nll")


def study(count: int) -> Any:
    ids = [f"{number:05d}" for number in range(count)]
    values = [float(number) for number in range(count)]
    frame = pd.DataFrame({"trial_id": ids, NLL.name: values})
    return cast(Any, SimpleNamespace(trials=frame, quality=NLL))


def test_few_trials_are_all_drawn_and_of_many_the_best_and_some_of_the_others() -> None:
    few = trials_with_curves(study(MOST_CURVES))
    many = trials_with_curves(study(10_000))

    half = MOST_CURVES // 2
    assert len(few) == MOST_CURVES
    assert len(set(many)) == MOST_CURVES
    assert many[:half] == [f"{number:05d}" for number in range(half)]
    assert [int(b) - int(a) for a, b in zip(many[half:], many[half + 1 :], strict=False)] == [
        99
    ] * (half - 1)


def test_even_steps_begin_with_the_first_and_leave_out_nobody_of_a_few() -> None:
    assert evenly([1, 2, 3], 5) == [1, 2, 3]
    assert evenly(list(range(10)), 5) == [0, 2, 4, 6, 8]
    assert evenly([], 5) == []
