"""The plan as a person reads it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType
from support.helpers import FOUR_DIMENSIONS

from ffl_ray.console.limits_text import Limits
from ffl_ray.console.plan_view import plan_lines, plan_table
from ffl_ray.console.terminal import hours
from ffl_ray.data.facts import DataFacts
from ffl_ray.planning.forecast import Forecast
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.limits import Room
from ffl_ray.planning.preflight import Preflight
from ffl_ray.search.points import points
from ffl_ray.search.space import load_space, settle

GB = 10**9
SPACE = load_space(FOUR_DIMENSIONS)
SAMPLED = list(points(SPACE, settle(SPACE, {}).training, 4))
FORECAST = Forecast(16, 2, 1800.0, 0.5, 2 * GB, GB, [GB, 2 * GB, 6 * GB], (100_000, 2_000_000))
PREFLIGHT = Preflight(Plan(2, 1, 4, 1), FORECAST, Room(5 * GB, True, 5 * GB), 1, 100 * GB, SAMPLED)
FACTS = DataFacts(
    "ab", 27, 9, 3, ("ant", "bee", "cat"), (12, 13, 12), skipped=(("cat/3.jpg", "no image"),)
)


def shown(view: RenderableType) -> str:
    console = Console(width=140, file=io.StringIO(), record=True)
    console.print(view)
    return console.export_text()


def test_the_whole_plan_names_everything_that_a_search_takes() -> None:
    text = " ".join(shown(plan_table(PREFLIGHT)).split())

    for part in (
        "16 trials, 2 at once",
        "each trial 1 worker, 4 CPUs, 1 GPU",
        "about 2.0 h with weak trials pruned (50% of the epochs), 4.0 h if none is",
        "at most 2.0 GB of 100.0 GB free",
        "GPU memory 1.0 GB to 6.0 GB of 5.0 GB for each worker",
        "parameters 100,000 to 2,000,000",
        "num_branches 2 to 4",
        "mix.resnet20 0 to 4",
        "fusion.design concat_depthwise, concat_pointwise, sum, gated",
        "distill.temperature 1.0 to 8.0, logarithmic",
        "1 of 3 sampled configs won't fit the memory: they will fail",
    ):
        assert part in text


def test_the_short_plan_is_a_few_lines_about_what_is_left() -> None:
    text = shown(plan_lines(PREFLIGHT, trials=4))

    assert len(text.splitlines()) <= 5
    assert "about 30 min with weak trials pruned (50% of the epochs), 60 min if none is" in text


def test_pruning_that_saves_nothing_that_is_seen_is_said_once() -> None:
    quick = PREFLIGHT._replace(forecast=FORECAST._replace(trial_s=14.0, share=0.9))

    text = shown(plan_lines(quick, trials=16))

    assert "about 2 min, with weak trials pruned (90% of the epochs) or not" in text


def test_the_label_of_several_limits_stands_once() -> None:
    text = shown(plan_table(PREFLIGHT, Limits(budget_s=2_400.0, time_budget_s=600.0)))

    lines = text.splitlines()
    (first,) = [place for place, line in enumerate(lines) if "--budget 40m" in line]
    assert lines[first].split()[0] == "limit"
    assert lines[first + 1].split()[:2] == ["--time-budget-s", "10m:"]


def test_classes_counts_and_skipped_files_are_in_both_views() -> None:
    known = PREFLIGHT._replace(facts=FACTS)

    for view in (plan_table(known), plan_lines(known, trials=4)):
        text = shown(view)
        assert "3 classes (ant 12, bee 13, cat 11): 27 images to train, 9 to validate" in text
        assert "skipped cat/3.jpg: no image" in text


def test_a_driver_that_would_hold_trials_up_is_said_in_both_views() -> None:
    advised = PREFLIGHT._replace(advice=["one driver takes about 83 reports a second"])

    texts = [shown(plan_table(advised)), shown(plan_lines(advised, trials=4))]

    assert all("one driver takes about 83 reports a second" in text for text in texts)


def test_how_trials_share_a_gpu_is_said_in_both_views_with_what_was_measured() -> None:
    plan = Plan(8, 1, 2, 0.125, in_one_process=True)
    measured = PREFLIGHT._replace(plan=plan, sharing="images/s of a GPU: alone 100")

    texts = [shown(plan_table(measured)), shown(plan_lines(measured, trials=4))]

    assert all("1 worker, 2 CPUs, 0.125 GPUs in a process that they share" in x for x in texts)
    assert all("images/s of a GPU: alone 100" in text for text in texts)


def test_what_is_not_known_is_said_or_left_out() -> None:
    unknown = PREFLIGHT._replace(
        plan=Plan(2, 2, 4, 0),
        forecast=FORECAST._replace(trial_s=None, parameters=(7, 7)),
        room=Room(None, False, None),
        free_disk_bytes=None,
        misfits=0,
    )

    text = " ".join(shown(plan_table(unknown)).split())

    assert "time unknown: no machine was free to measure it" in text
    assert "each trial 2 workers, 8 CPUs, no GPU" in text
    assert "disk at most 2.0 GB memory 1.0 GB to 6.0 GB for each worker parameters 7" in text
    assert "won't fit" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")],
)
def test_time_is_shown_in_the_unit_that_a_person_plans_in(seconds: float, text: str) -> None:
    assert hours(seconds) == text
