"""Mutual learning of what one is sure of: by hand, at every point of a schedule, at both ends."""

from __future__ import annotations

import math

import pytest
import torch
from support.helpers import small_config
from support.reference import random_output
from torch import Tensor

from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig, ResolvedDistill
from ffl_ray.distill.check import check_config
from ffl_ray.distill.confident_dml import confident_dml_terms, limit
from ffl_ray.distill.registry import RECIPES
from ffl_ray.errors import SettingError
from ffl_ray.models.network import NetworkOutput

LABELS = torch.tensor([3, 1, 4, 1, 5, 9])


def settings_of(**settings: object) -> ResolvedDistill:
    named = {"method": "confident_dml"} | settings
    return resolved_distill(DistillConfig.model_validate(named))


def values(method: str, output: NetworkOutput, settings: ResolvedDistill) -> dict[str, float]:
    terms = RECIPES[method].terms(output, LABELS, settings)
    return {name: term.value.item() for name, term in terms.items()}


def at(share: float, branches: Tensor) -> NetworkOutput:
    return NetworkOutput(branches, share=torch.tensor(share, dtype=torch.float64))


def test_two_images_by_hand_of_which_one_teacher_is_sure_of_one() -> None:
    # Of the entropy of an even guess: .469 and 1 of branch 0, .811 and .722 of branch 1.
    shares = torch.tensor([[[0.9, 0.1], [0.5, 0.5]], [[0.75, 0.25], [0.2, 0.8]]])
    output = NetworkOutput(shares.double().log())
    settings = settings_of(entropy_limit=0.5, entropy_schedule="constant")

    terms = confident_dml_terms(output, torch.tensor([0, 1]), settings)

    taught = 0.9 * math.log(0.9 / 0.75) + 0.1 * math.log(0.1 / 0.25)
    found = {name: term.value.item() for name, term in terms.items()}
    assert found == pytest.approx(
        {
            "ce_branches.0": -(math.log(0.9) + math.log(0.5)) / 2,
            "ce_branches.1": -(math.log(0.75) + math.log(0.8)) / 2,
            "peers_to_branches.0": 0,
            "peers_to_branches.1": taught / 2,
        },
        abs=1e-8,
    )


@pytest.mark.parametrize(
    ("schedule", "end", "expected"),
    [
        ("rising", 1.0, (0, 0.5, 1)),
        ("rising", 0.4, (0, 0.2, 0.4)),
        ("falling", 0.4, (1, 0.7, 0.4)),
        ("falling", 0.0, (1, 0.5, 0)),
        ("constant", 0.4, (0.4, 0.4, 0.4)),
    ],
)
def test_the_limit_comes_about_in_a_straight_line(
    schedule: str, end: float, expected: tuple[float, ...]
) -> None:
    settings = settings_of(entropy_limit=end, entropy_schedule=schedule)
    branches = random_output(3).branches

    found = [float(limit(at(share, branches), settings)) for share in (0, 0.5, 1)]

    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("schedule", "share"), [("constant", 0.7), ("rising", 0.0)])
def test_at_a_limit_of_0_nobody_teaches_not_even_who_is_certain(
    schedule: str, share: float
) -> None:
    end = 0.0 if schedule == "constant" else 1.0
    settings = settings_of(entropy_limit=end, entropy_schedule=schedule)
    branches = random_output(3).branches.float()
    branches[1] = 1000 * torch.eye(10)[:6]
    output = at(share, branches)

    found = values("confident_dml", output, settings)

    alone = values("independent", output, resolved_distill(DistillConfig(method="independent")))
    assert {name: found[name] for name in alone} == alone
    assert [value for name, value in found.items() if name not in alone] == [0, 0, 0]


@pytest.mark.parametrize(
    ("schedule", "end", "share"),
    [("constant", 1.0, 0.0), ("rising", 1.0, 1.0), ("falling", 0, 0.0)],
)
def test_at_a_limit_of_1_it_is_dml_of_even_guesses_too(
    schedule: str, end: float, share: float
) -> None:
    settings = settings_of(entropy_limit=end, entropy_schedule=schedule)
    branches = random_output(3).branches.float()
    branches[1] = 0.1
    output = at(share, branches)

    found = values("confident_dml", output, settings)

    dml = values("dml", output, resolved_distill(DistillConfig(method="dml")))
    assert found == pytest.approx(dml, rel=1e-6)
    assert found["peers_to_branches.0"] > 0.1


def test_a_limit_that_falls_nowhere_is_refused() -> None:
    named: dict[str, object] = {
        "distill__method": "confident_dml",
        "distill__entropy_schedule": "falling",
        "objective": "ensemble.accuracy",
    }
    check_config(small_config(**named, distill__entropy_limit=0.5))

    message = r"entropy_limit must be below 1 where distill.entropy_schedule is falling.*, not 1$"
    with pytest.raises(SettingError, match=message):
        check_config(small_config(**named))
