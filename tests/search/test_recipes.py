"""The space `recipes` draws of every method what is the method's own, and what has an effect."""

from __future__ import annotations

import optuna
import pytest

from ffl_ray.config.distill_settings import DistillConfig
from ffl_ray.config.methods import METHODS
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.readers import METHOD, READ_BY, without_effect
from ffl_ray.search.gates import PREFIX
from ffl_ray.search.space import load_space, settle

MOST = 2  # methods that read what is a method's own
# Of ffl: switches, which a weight near 0 is, and temperatures, of which one for all is drawn.
LEFT = {
    f"distill.{term}{of}"
    for term in ("ensemble_to_fused", "fused_to_branch")
    for of in ("", "_temperature")
}
OWN = {
    name: {method for method in METHODS if readers.read({METHOD: method})}
    for name, readers in READ_BY.items()
    if readers.of == METHOD and name.startswith("distill.") and name not in LEFT
}
OWN = {name: methods for name, methods in OWN.items() if len(methods) <= MOST}


def drawn(method: str, seed: int) -> dict[str, object]:
    """The settings of a random trial of the space with this method."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    study.enqueue_trial({METHOD: method})
    return load_space("recipes").suggest(study.ask())


@pytest.mark.parametrize("method", METHODS)
def test_each_own_setting_of_a_method_is_drawn_and_nothing_that_it_does_not_read(
    method: str,
) -> None:
    base = settle(load_space("recipes"), {}).training
    values: dict[str, set[object]] = {}
    for seed in range(10):
        settings = drawn(method, seed)
        config = with_overrides(base, settings)
        assert not without_effect(flatten(config)).keys() & settings.keys()
        for name, value in settings.items():
            values.setdefault(name, set()).add(value)

    own = {name for name, methods in OWN.items() if method in methods}
    assert own <= values.keys()
    assert all(len(values[name]) > 1 for name in own)
    assert ("distill.temperature" in values) == (method != "independent")
    assert ("fusion.design" in values) == (METHODS[method].head == "fusion")


def test_what_is_a_methods_own_is_known_by_who_reads_it() -> None:
    assert len(OWN) > 25
    assert {"ffsd", "dkel", "confident_dml", "okdph", "ktg", "cl_ilr", "pcl", "ahbf"} < {
        method for methods in OWN.values() for method in methods
    }
    assert {name.removeprefix("distill.") for name in LEFT} <= DistillConfig.model_fields.keys()


def test_who_teaches_whom_is_a_gate_of_every_pair() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial({METHOD: "ktg"})
    trial = study.ask()
    load_space("recipes").suggest(trial)

    assert sum(name.startswith(PREFIX) for name in trial.params) == 6
