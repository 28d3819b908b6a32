"""A teacher from outside beside every method: the method is what it is without one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from support.helpers import MemorySession, small_config
from support.teachers import exported
from torch import nn

from ffl_ray.config.methods import METHODS, Method, made_of, with_reachable_objective
from ffl_ray.config.settings import ResolvedConfig, ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.check import check_config
from ffl_ray.distill.hooks import Moment
from ffl_ray.distill.networks import build_trained
from ffl_ray.distill.teacher import TEACHER, Teacher
from ffl_ray.distill.terms import Term, cross_entropies
from ffl_ray.errors import SettingError
from ffl_ray.models.helpers import Helper
from ffl_ray.models.network import NetworkOutput
from ffl_ray.planning.cost import DataSize, TrainingCost, training_cost
from ffl_ray.training.engine import LossRow
from ffl_ray.training.hooks import after_epoch
from ffl_ray.training.setup import prepare
from ffl_ray.training.steps import epoch_batches, step_of

MIXES = {"ahbf": "resnet8+resnet8+1+resnet8+2"}
CURIOUS, NAMESAKE = f"{__name__}:curious", f"{__name__}:namesake"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("models") / "teacher")


def config_for(method: str, **settings: object) -> ResolvedConfig:
    config = small_config(
        model__mix=MIXES.get(method, "3*resnet8"),
        distill__method=method,
        data__fraction=0.1,
        optim__batch_size=32,
        **settings,
    )
    return with_reachable_objective(config)


def one_step(config: ResolvedConfig) -> dict[str, float]:
    """The loss of the first step of a training by its parts, after which the weights are finite."""
    training = prepare(config, MemorySession())
    training.network.train()
    row: LossRow = step_of(training, 1.0).run(next(epoch_batches(training, 0)))
    assert all(bool(p.isfinite().all()) for p in training.network.parameters())
    *values, images = row.sums.tolist()
    return {name: value / images for name, value in zip(row.names, values, strict=True)}


def cost(config: ResolvedConfig) -> TrainingCost:
    return training_cost(config, DataSize(num_classes=10, num_train=144, num_val=36))


@pytest.mark.parametrize("method", METHODS)
def test_a_step_of_every_method_and_its_planned_cost_are_its_own_and_the_teachers_terms(
    model: Path, method: str
) -> None:
    alone, taught = config_for(method), config_for(method, distill__teacher=str(model))

    expected, found = one_step(alone), one_step(taught)

    more = {name: value for name, value in found.items() if name not in expected}
    own = {name: value for name, value in found.items() if name in expected and name != "total"}
    assert sorted(more) == [f"teacher_to_branches.{k}" for k in range(3)]
    assert all(value > 0 for value in more.values())
    of_first = {
        name for name in own if name.partition(".")[0] not in ("deception", "discriminator")
    }
    assert {name: own[name] for name in of_first} == {name: expected[name] for name in of_first}
    assert len(of_first) > 2
    assert own.keys() == expected.keys() - {"total"}
    assert found["total"] > expected["total"]
    macs = cost(alone).training_macs  # of okddip the mixing of logits counts once helpers are there
    assert cost(taught).training_macs == pytest.approx(macs, rel=1e-4)
    assert cost(taught).parameters == cost(alone).parameters


def test_it_is_asked_once_a_step_of_a_method_that_steps_twice(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, forward = Counter[str](), Teacher.forward

    def counted(self: Teacher, images: torch.Tensor) -> torch.Tensor:
        asked["times"] += 1
        return forward(self, images)

    monkeypatch.setattr(Teacher, "forward", counted)

    one_step(config_for("afd", distill__teacher=str(model)))

    assert asked["times"] == 1


def eager(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    classes = example.branches.shape[2]
    return {f"mixer{k}": Helper(nn.Linear(classes, classes)) for k in range(len(example.branches))}


@made_of(Method(trunk_stages=0, ramp_up=0), helpers=eager)
def curious(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """It calls all its helpers, in their order, and reads nothing."""
    assert output.helpers is not None
    assert not output.read
    terms = cross_entropies(output, labels, settings)
    pairs = zip(output.helpers.values(), output.branches, strict=True)
    for k, (mixer, logits) in enumerate(pairs):
        terms[f"own.{k}"] = Term(mixer(logits).square().mean())
    return terms


@made_of(
    Method(trunk_stages=0, ramp_up=0),
    helpers=lambda example, settings: {TEACHER: Helper(nn.Linear(10, 10))},
)
def namesake(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """It has a helper of the teacher's name."""
    return cross_entropies(output, labels, settings)


def test_a_method_of_the_users_own_sees_its_own_helpers_alone(model: Path) -> None:
    taught = config_for(CURIOUS, distill__teacher=str(model))
    check_config(taught)

    found, expected = one_step(taught), one_step(config_for(CURIOUS))

    assert {name: found[name] for name in expected if name != "total"} == {
        name: value for name, value in expected.items() if name != "total"
    }
    assert found["total"] > expected["total"]


SEEN: list[tuple[bool, bool]] = []


def look(moment: Moment) -> None:
    """What a hook is given on images that are held out."""
    SEEN.extend((bool(output.helpers), bool(output.read)) for output, _ in moment.held_out())


@made_of(Method(trunk_stages=0, ramp_up=0, held_out=True), after_epoch=look)
def looking(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """It looks at its outputs after an epoch."""
    return cross_entropies(output, labels, settings)


def test_a_hook_sees_no_teacher_either(model: Path) -> None:
    config = config_for(f"{__name__}:looking", distill__teacher=str(model))
    SEEN.clear()

    after_epoch(prepare(config, MemorySession()), 0)

    assert set(SEEN) == {(False, False)}


def test_a_helper_of_the_teachers_name_is_refused(model: Path) -> None:
    config = config_for(NAMESAKE, distill__teacher=str(model))

    with pytest.raises(SettingError, match=r"teacher must be none for .* helpers is named teacher"):
        build_trained(config, image_shape=(1, 8, 8), num_classes=10)
