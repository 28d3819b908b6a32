"""Trainings that a search has had: which are looked past, and for how long."""

from __future__ import annotations

from ffl_ray.config.methods import resolved
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import MOST_SEEDS, Config
from ffl_ray.search.repeats import LOOKED_FOR, REPEATED, Repeats


def test_the_last_seed_is_followed_by_the_first() -> None:
    last = with_overrides(resolved(Config()), {"seed": MOST_SEEDS - 1})
    repeats = Repeats([])

    assert repeats.excess(last) == 0.0
    assert [repeats.begun(last, {}).seed for _ in range(3)] == [MOST_SEEDS - 1, 0, 1]
    assert repeats.excess(last) == REPEATED
    assert repeats.begun(last, {"seed": MOST_SEEDS - 1}) == last  # a point's own seed stays


def test_where_nothing_new_was_found_nothing_is_looked_for_again() -> None:
    repeats = Repeats([])
    config = resolved(Config())

    assert repeats.are_passed_over(LOOKED_FOR - 1)
    assert not repeats.are_passed_over(LOOKED_FOR)
    repeats.end(0.0)
    assert repeats.are_passed_over(3)
    repeats.end(REPEATED)
    repeats.begun(config, {})
    assert not repeats.are_passed_over(3)
