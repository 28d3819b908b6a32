"""Gates as search parameters: one for each ordered pair, and every point can be trained."""

import optuna
import pytest

from ffl_ray.config.gates import ENSEMBLE, FUSED, GATES
from ffl_ray.config.settings import Config
from ffl_ray.search import suggest_gates
from ffl_ray.search.mix import settings_from_params
from ffl_ray.search.points import check_space
from ffl_ray.search.space import SearchSpace

KTG = {"distill.method": "ktg", "model.mix": "2*resnet8", "objective": "deployed.accuracy"}


def test_there_is_one_parameter_for_each_ordered_pair_and_the_search_gives_the_setting() -> None:
    fixed = {"gates.0>1": "correct", "gates.1>0": "cutoff", "gates.fused>0": "cutoff"}
    fixed |= {"gates.fused>1": "linear", "gates.1>1": "cutoff"}
    trial = optuna.trial.FixedTrial(fixed)

    found = suggest_gates(trial, num_branches=2, others=(FUSED,), own=("through", "cutoff"))

    assert found == "0>1=correct,1>1=cutoff,fused>1=linear"
    assert trial.params == fixed  # branch 0 is taught by nobody, and its own gate is not searched
    assert settings_from_params(trial.params) == {"distill.gates": found}


def test_every_point_of_a_space_of_gates_can_be_trained() -> None:
    def propose(trial: optuna.Trial) -> dict[str, object]:
        suggest_gates(trial, num_branches=2, others=(FUSED, ENSEMBLE), own=GATES)
        return dict(KTG)

    names = check_space(SearchSpace("gates.py", {}, propose), Config())

    pairs = ("1>0", "0>1", "fused>0", "fused>1", "ensemble>0", "ensemble>1", "0>0", "1>1")
    assert set(names) == {f"gates.{pair}" for pair in pairs}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_branches": 1}, "num_branches must be at least 2, not 1"),
        ({"num_branches": 2, "others": ("0",)}, "others must be of fused and ensemble, not"),
        ({"num_branches": 2, "gates": ("open",)}, "gates must be of through, .*, not .*open"),
    ],
)
def test_other_names_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        suggest_gates(optuna.trial.FixedTrial({}), **given)  # type: ignore[arg-type]
