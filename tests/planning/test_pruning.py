"""Trials that would be stopped at chance: said in the plan, with the numbers."""

from __future__ import annotations

from support.helpers import FOUR_DIMENSIONS

from ffl_ray.planning.pruning import pruning_advice
from ffl_ray.search.points import points
from ffl_ray.search.space import load_space, settle

SPACE = load_space(FOUR_DIMENSIONS)
SHORT = {"optim.epochs": 12, "optim.batch_size": 128}


def advice(num_train: int, **changes: object) -> str:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    study = settle(SPACE, SHORT | named)
    sampled = list(points(SPACE, study.training, 2))
    return " ".join(pruning_advice(sampled, study.search, num_train, 4))


def test_nine_steps_an_epoch_are_named_with_the_grace_that_helps() -> None:
    said = advice(9 * 128 - 5)

    assert "may be stopped after 54 steps (9 an epoch)" in said
    assert "chance, 0.25 of 4 classes" in said
    assert said.endswith("classes: more epochs, or a smaller optim.batch_size")
    early = {"search__grace": 0.42, "distill__method": "dml", "optim__lr_schedule": "constant"}
    assert "search.grace=0.5," in advice(11 * 128 - 5, **early)
    assert advice(9 * 128 - 5, search__scheduler="none") == ""
    assert advice(50_000) == ""


def test_a_grace_before_the_ramp_up_ends_or_the_rate_has_fallen_is_told_what_would_do() -> None:
    said = advice(50_000, search__grace=0.1, optim__epochs=300)

    assert "search.grace=0.1 judges trials after epoch 30 of 300, too early" in said
    assert "ramp-up lasts until epoch 80" in said
    assert said.endswith("has fallen after epoch 150; --set search.grace=0.5 does not")
    late = advice(50_000, optim__epochs=300, distill__ramp_up=0.9, search__grace=0.5)
    assert late.endswith("; --scheduler none judges nobody")


def test_rungs_in_seconds_are_told_with_what_they_do() -> None:
    said = advice(50_000, optim__epochs=300, search__rung_unit="accelerator-seconds")

    assert said.startswith("search.rung_unit accelerator-seconds: at a rung a trial is held")
    assert advice(50_000, optim__epochs=300) == ""


def test_a_schedule_that_hides_the_order_until_half_of_the_training_prunes_nobody() -> None:
    said = advice(50_000, optim__epochs=300, optim__lr_schedule="step")

    assert "asha stops no trial: the first rung would be epoch 151 of 300" in said
    assert "lr_schedule=cosine has its first rung after epoch 150" in said
