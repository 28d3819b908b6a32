"""What bounds a search, before it starts and at its end, as a person reads it."""

from __future__ import annotations

import pytest

from ffl_ray.config.settings import SearchConfig
from ffl_ray.console.ending_text import why_ended
from ffl_ray.console.limits_text import Limits, limit_lines, there_text
from ffl_ray.planning.budget import Chosen, Fit

FIT = Fit(
    {"optim.epochs": 20, "data.fraction": 1.0, "optim.batch_size": 32},
    2_000.0,
    (
        Chosen("data.fraction", "1.0"),
        Chosen("optim.epochs", "20", "30", 3_300.0),
        Chosen("optim.batch_size", "32"),
    ),
)


def test_what_a_budget_chose_stands_under_it_with_what_more_would_take() -> None:
    lines = [*limit_lines(Limits(budget_s=2_400.0, fit=FIT))]

    assert lines == [
        "--budget 40m: it ends then; chosen to fit, about 33 min with start and end:",
        "  data.fraction     1.0  (all)",
        "  optim.epochs      20  (30: about 55 min)",
        "  optim.batch_size  32  (by the number of images)",
    ]


def test_a_search_that_goes_on_says_what_it_has_used_and_what_is_there() -> None:
    limits = Limits(budget_s=2_400.0, used_s=75.2, time_budget_s=60.0, there=12, begun=1, trials=16)

    assert [*limit_lines(limits)] == [
        "--budget 40m, 1m15s of them used before: it ends then",
        "--time-budget-s 1m, 1m15s of them used before: it ends then",
    ]
    assert there_text(limits) == " (12 there, 1 to go on, 3 new)"
    assert there_text(limits._replace(begun=0)) == " (12 there, 4 new)"
    assert there_text(Limits(trials=16)) == ""


@pytest.mark.parametrize(
    ("left", "left_s", "came", "text"),
    [
        (0, None, False, ""),
        (0, 90.0, False, "; all have ended, 1m30s before its time was over"),
        (3, 90.0, False, "; it was stopped, with 3 of 20 trials to go"),
        (3, -1.0, True, "; ended by --budget 40m, with 3 of 20 trials to go"),
    ],
)
def test_a_search_says_why_it_ended(left: int, left_s: float | None, came: bool, text: str) -> None:
    assert why_ended(SearchConfig(budget_s=2_400.0), left, left_s, came=came) == text
