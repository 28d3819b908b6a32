"""Verdicts by hand, and the one that this project had wrong."""

from __future__ import annotations

import pytest

from ffl_ray.results.crossed import Effect, over_seeds
from ffl_ray.results.statistics import summary
from ffl_ray.results.verdicts import Difference, Judged, holm, judged


def verdict_of(
    mean: float, deviation: float, direction: str = "up", margin: float | None = 1.0
) -> Judged:
    effect = Effect(5, mean, deviation**2, 0.0)
    return judged([Difference(effect, direction, margin)])[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mean", "deviation", "direction", "verdict"),
    [
        (3.0, 1.0, "up", "better"),
        (3.0, 1.0, "down", "worse"),
        (-3.0, 1.0, "up", "worse"),
        (2.7, 1.0, "up", "undecided"),  # t(4) = 2.776
        (0.1, 0.4, "up", "equal"),  # one-sided t(4) = 2.132
        (0.2, 0.4, "up", "undecided"),
    ],
)
def test_verdicts(mean: float, deviation: float, direction: str, verdict: str) -> None:
    assert verdict_of(mean, deviation, direction).verdict == verdict


def test_without_a_margin_nothing_is_equal() -> None:
    found = verdict_of(0.0, 0.001, margin=None)

    assert (found.verdict, found.p_equal) == ("undecided", None)


def test_an_undecided_one_says_what_would_settle_it() -> None:
    found = verdict_of(1.0, 0.5**0.5 / 2, margin=None)

    assert found.verdict == "better"
    assert found.seeds is None
    found = verdict_of(1.0, 0.5, margin=None)
    assert found.verdict == "undecided"
    assert found.seeds == Effect(5, 1.0, 0.25, 0.0).settled_by(None)
    assert found.detectable == Effect(5, 1.0, 0.25, 0.0).detectable()


def test_one_run_and_no_pair_have_no_verdict() -> None:
    found = judged([Difference(Effect(1, 5.0, 0.0, 0.0), "up"), Difference(None, "up")])

    assert [one.verdict for one in found] == ["one run: no verdict", "no pair: no verdict"]
    assert found[0].p is None


def test_holm_multiplies_by_how_many_are_left_and_never_falls() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, 0.06, 0.06]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_family_corrects_what_alone_would_be_decided() -> None:
    one = Difference(Effect(5, 3.0, 1.0, 0.0), "up")

    assert judged([one])[0].verdict == "better"
    assert [found.verdict for found in judged([one, one])] == ["undecided", "undecided"]


def test_less_than_one_image_is_undecided_as_the_readme_once_did_not_say() -> None:
    """+1, +1, +1, +1 and 0 images of 359 were "+0.22 +- 0.15, better"."""
    differences = summary([1 / 359] * 4 + [0.0])
    assert differences.low is not None
    assert differences.low > 0

    found = judged([Difference(over_seeds(differences, images=359), "up", 0.005)])[0]

    assert found.verdict == "undecided"
