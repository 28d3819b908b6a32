"""Trials that would be stopped at chance: said in the plan, with the numbers."""

from __future__ import annotations

from ffl_ray.planning.pruning import pruning_advice
from ffl_ray.search.points import points
from ffl_ray.search.space import load_space, settle

SPACE = load_space("digits")
SHORT = {"optim.epochs": 9, "optim.batch_size": 128, "search.grace": 1 / 9}


def advice(num_train: int, **changes: object) -> str:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    study = settle(SPACE, SHORT | named)
    sampled = list(points(SPACE, study.training, 2))
    return " ".join(pruning_advice(sampled, study.search, num_train, 4))


def test_seven_steps_an_epoch_are_named_with_the_grace_that_helps() -> None:
    said = advice(7 * 128 - 5)

    assert "may be stopped after 7 steps (7 an epoch)" in said
    assert "chance, 0.25 of 4 classes" in said
    assert "search.grace=0.56," in said
    assert advice(7 * 128 - 5, search__grace=0.56) == ""
    assert advice(7 * 128 - 5, search__scheduler="none") == ""
    assert advice(50_000) == ""
