"""A method's hooks: when they are called, what they are told, and that nothing else differs."""

from __future__ import annotations

import pytest
import torch
from support.compared import assert_same_weights, weights, without_times
from support.helpers import MemorySession, small_config

from ffl_ray.distill.dml import dml_terms
from ffl_ray.distill.hooks import Moment
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.registry import RECIPES
from ffl_ray.training import setup
from ffl_ray.training.worker import run_epochs, run_worker

SMALL = {
    "distill.method": "dml",
    "data.fraction": 0.2,
    "optim.epochs": 2,
    "optim.batch_size": 48,
    "optim.lr": 0.125,
    "compute.precision": "float32",
    "objective": "ensemble.accuracy",
}
STEPS = 5


class Stopped(MemorySession):
    """Stops a training as its first checkpoint has been written: after its first step."""

    def write(self, name: str, data: bytes) -> None:
        super().write(name, data)
        raise KeyboardInterrupt


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What was called: name, epoch, step; the weights get noise now and then."""
    called: list[tuple[object, ...]] = []

    def noted(name: str, every: int, moment: Moment) -> None:
        called.append((name, moment.epoch, moment.step))
        if moment.step % every == 0:
            weight = moment.network.classifiers[0].weight
            assert isinstance(weight, torch.Tensor)
            noise = torch.randn(weight.shape, generator=moment.generator)
            weight.data.add_(noise, alpha=0.125)

    def measured(moment: Moment) -> None:
        outputs = list(moment.held_out())
        images = torch.tensor(float(sum(len(labels) for _, labels in outputs)))
        called.append(("after epoch", moment.epoch, moment.step, moment.summed(images).item()))
        assert all(not o.branches.requires_grad and o.mean_teachers is None for o, _ in outputs)

    recipe = Recipe(
        dml_terms,
        before_step=lambda moment: noted("before", 2, moment),
        after_step=lambda moment: noted("after", 3, moment),
        after_epoch=measured,
    )
    monkeypatch.setitem(RECIPES, "dml", recipe)
    return called


def epoch_of_calls(epoch: int, first: int = 0) -> list[tuple[object, ...]]:
    steps = [(name, epoch, n) for n in range(first, STEPS) for name in ("before", "after")]
    return [*steps, ("after epoch", epoch, STEPS, 60.0)]


def test_they_are_called_around_each_step_and_a_stopped_training_goes_on_to_the_same_weights(
    calls: list[tuple[object, ...]],
) -> None:
    whole, stopped = MemorySession(), Stopped()
    run_worker(small_config(**SMALL), whole)
    assert calls == [*epoch_of_calls(0), *epoch_of_calls(1)]
    calls.clear()

    often = small_config(**SMALL | {"compute.checkpoint_interval_s": 1e-6})
    with pytest.raises(KeyboardInterrupt):
        run_worker(often, stopped)
    resumed = MemorySession(stopped.files)
    run_worker(often, resumed)

    assert calls == [*epoch_of_calls(0)[:2], *epoch_of_calls(0, 1), *epoch_of_calls(1)]
    assert without_times(resumed.rows) == without_times(whole.rows)
    assert_same_weights(weights(resumed.files), weights(whole.files))


@pytest.mark.parametrize(("needs", "asked"), [(True, False), (False, False), (False, True)])
def test_a_final_training_holds_out_what_a_search_does_where_the_method_needs_it_or_is_asked(
    needs: bool, asked: bool, calls: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "needs_held_out", lambda distill: needs)
    session, config = MemorySession(), small_config(**SMALL, data__hold_out=asked)

    run_epochs(config, session, test=lambda training, progress: progress)

    steps = STEPS if needs or asked else 6
    assert calls[-1] == ("after epoch", 1, steps, 60.0 if needs or asked else 0.0)
    assert "val.ensemble.accuracy" not in session.rows[-1]
