"""What a row's runs allow to say: figures by hand, verdicts on each side of each edge."""

import pytest

from ffl_ray.reproduce.rows import Band, Figure, Row
from ffl_ray.reproduce.verdict import Verdict, figure_of, reproduced, seeds_to_tell, verdict_of
from ffl_ray.results.statistics import Summary

MEMBERS = {"branch0": 0.70, "branch1": 0.74, "ensemble": 0.75, "fused": 0.73}
BAND = Band(71.0, 73.0)


def ours(mean: float, half: float | None) -> Summary:
    if half is None:
        return Summary(1, mean, None, None, None)
    return Summary(3, mean, half, mean - half, mean + half)


@pytest.mark.parametrize(
    ("figure", "value"),
    [("branch0", 0.70), ("mean_branch", 0.72), ("fused", 0.73), ("fused - mean_branch", 0.01)],
)
def test_the_compared_figure_is_a_member_or_a_difference(figure: Figure, value: float) -> None:
    assert figure_of(figure, MEMBERS) == pytest.approx(value)


@pytest.mark.parametrize(
    ("mean", "half", "verdict"),
    [
        (72.0, 0.1, "in band"),
        (72.0, 1.0, "in band"),
        (72.0, 1.1, "undecided"),
        (71.0, 0.1, "in band"),
        (70.9, 0.05, "out of band"),
        (70.9, 0.2, "undecided"),
        (73.1, 0.05, "out of band"),
        (73.1, 0.2, "undecided"),
        (72.0, None, "one run: no verdict"),
    ],
)
def test_in_band_needs_a_narrow_interval_and_out_of_it_is_our_whole_one(
    mean: float, half: float | None, verdict: Verdict
) -> None:
    assert verdict_of(BAND, ours(mean, half), comparable=True) == verdict


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [
        (0.0, "undecided"),
        (0.2, "undecided"),
        (0.4, "in band"),
        (5.0, "in band"),
        (-0.2, "undecided"),
        (-0.4, "out of band"),
    ],
)
def test_a_band_may_be_open(mean: float, verdict: Verdict) -> None:
    assert verdict_of(Band(0.0, None), ours(mean, 0.3), comparable=True) == verdict


def test_inside_an_open_band_the_seeds_that_would_tell_keep_the_interval_off_its_end() -> None:
    wide = Summary(3, 0.5, 0.5, -0.74, 1.74)

    # t(0.975, n - 1) * 0.5 / sqrt(n) is 0.52 with 6 seeds and 0.46 with 7.
    assert verdict_of(Band(0.0, None), wide, comparable=True) == "undecided"
    assert seeds_to_tell(Band(0.0, None), wide) == 7


def test_without_comparability_a_band_or_a_run_there_is_no_verdict() -> None:
    assert verdict_of(BAND, ours(72.0, 0.1), comparable=False) == "not comparable: no verdict"
    assert verdict_of(None, ours(72.0, 0.1), comparable=True) == "no band: no verdict"
    begun = verdict_of(BAND, ours(72.0, 0.1), comparable=True, whole=False)
    assert begun == "not all seeds: no verdict"
    nothing = Summary(0, None, None, None, None)
    assert verdict_of(BAND, nothing, comparable=True) == "not trained"


def test_runs_become_percents_their_interval_and_the_difference() -> None:
    row = Row("ResNet-32", "DML", "dml", "mean_branch", 72.0, 0.5)
    runs = {
        seed: {"branch0": a, "branch1": b}
        for seed, (a, b) in enumerate([(0.71, 0.73), (0.72, 0.74)])
    }

    found = reproduced(row, runs, comparable=True)

    assert found.ours.n == 2
    assert found.ours.mean == pytest.approx(72.5)
    # t(0.975, 1) = 12.706 times the standard error 0.5
    assert found.ours.half == pytest.approx(12.706 * 0.5, rel=1e-4)
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(0.5)
    assert found.difference.half == pytest.approx(found.ours.half)
    assert found.verdict == "undecided"  # 12.7 points wide, and the band 2


def test_an_undecided_row_says_how_many_seeds_would_tell() -> None:
    row = Row("ResNet-32", "DML", "dml", "mean_branch", 72.0, 0.5)

    found = reproduced(row, {0: {"branch0": 0.715}, 1: {"branch0": 0.725}}, comparable=True)

    # t(0.975, n - 1) * 0.707 / sqrt(n) is 1.13 with 4 seeds and 0.88 with 5; the half band is 1.
    assert (found.verdict, found.seeds) == ("undecided", 5)


def test_outside_the_band_the_seeds_that_would_tell_end_the_interval_before_it() -> None:
    band, ours = Band(71.0, 73.0), Summary(5, 73.3, 0.5, 72.68, 73.92)

    assert verdict_of(band, ours, comparable=True) == "undecided"
    # t(0.975, n - 1) * 0.5 / sqrt(n) is 0.302 with 13 seeds and 0.289 with 14.
    assert seeds_to_tell(band, ours) == 14
    assert seeds_to_tell(Band(None, 73.0), ours) == 14


def test_a_range_has_no_difference() -> None:
    row = Row("ResNet-32", "alone", "independent", "branch0", None, range=Band(69.0, 71.0))

    found = reproduced(row, {0: {"branch0": 0.68}, 1: {"branch0": 0.681}}, comparable=True)

    assert found.difference is None
    assert found.verdict == "out of band"


def test_a_row_without_runs_is_not_trained() -> None:
    row = Row("ResNet-32", "DML", "dml", "mean_branch", 72.0, 0.5)

    found = reproduced(row, {}, comparable=True)

    assert (found.ours.n, found.verdict) == (0, "not trained")
