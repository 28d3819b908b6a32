"""Plans: what fits, and what to do about what does not."""

import pytest

from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import PlanError
from ffl_ray.planning.layout import Machines, Plan, make_plan


@pytest.mark.parametrize(
    ("settings", "machines", "plan"),
    [
        ({}, Machines(2, 0), Plan(2, 1, 1, 0)),
        ({}, Machines(64, 0), Plan(20, 1, 3, 0)),
        ({}, Machines(16, 4), Plan(4, 1, 4, 1)),
        ({}, Machines(96, 8), Plan(8, 1, 8, 1)),
        ({}, Machines(16, 0, 4, 0), Plan(16, 1, 1, 0)),
        ({"num_samples": 1}, Machines(16, 0), Plan(1, 1, 8, 0)),
        ({"num_samples": 1, "num_workers": 2}, Machines(8, 0, 4, 0), Plan(1, 2, 4, 0)),
        ({"cpus_per_trial": 2}, Machines(2, 0), Plan(1, 1, 2, 0)),
        ({"num_workers": 2}, Machines(2, 0), Plan(1, 2, 1, 0)),
        ({"num_workers": 2}, Machines(16, 4), Plan(2, 2, 4, 1)),
        ({"gpus_per_trial": 0.5}, Machines(16, 1), Plan(2, 1, 8, 0.5)),
        ({"gpus_per_trial": 0}, Machines(4, 1), Plan(4, 1, 1, 0)),
        ({"max_concurrent_trials": 3}, Machines(8, 0), Plan(3, 1, 2, 0)),
        ({"max_concurrent_trials": 1}, Machines(2, 0), Plan(1, 1, 2, 0)),
        ({"max_concurrent_trials": 30}, Machines(8, 0), Plan(8, 1, 1, 0)),
        ({"num_samples": 2}, Machines(8, 0), Plan(2, 1, 4, 0)),
        ({"num_samples": 2}, Machines(8, 0, spare_cpus=5), Plan(2, 1, 2, 0)),
        ({"num_samples": 4}, Machines(8, 0, spare_cpus=1), Plan(4, 1, 1, 0)),
        ({"num_samples": 1, "num_workers": 2}, Machines(8, 0, spare_cpus=4), Plan(1, 2, 2, 0)),
        ({"cpus_per_trial": 2}, Machines(2, 0, spare_cpus=1), Plan(1, 1, 2, 0)),
    ],
)
def test_a_plan_uses_what_there_is(
    settings: dict[str, float], machines: Machines, plan: Plan
) -> None:
    assert make_plan(SearchConfig(**settings), machines) == plan  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "machines", "message"),
    [
        ({"num_workers": 3}, Machines(2, 0),
         "num_workers 3 needs 3 CPUs, and there are 2: use --num-workers 2"),
        ({"cpus_per_trial": 4}, Machines(2, 0), "needs 4 CPUs.*use --cpus-per-trial 2"),
        ({"num_workers": 2, "cpus_per_trial": 1}, Machines(2, 0), "--cpus-per-trial 2"),
        ({"gpus_per_trial": 1}, Machines(2, 0), "needs 1 GPUs, and there are 0"),
        ({"num_workers": 2}, Machines(16, 1), "needs 2 GPUs, and there are 1"),
        ({"num_workers": 2, "gpus_per_trial": 0.5}, Machines(16, 1),
         "whole number for each of the 2 workers, or .*not 0.5.*NCCL"),
        ({"num_workers": 2, "gpus_per_trial": 3}, Machines(16, 4), "whole number.*not 3"),
        ({"gpus_per_trial": 1.5}, Machines(16, 4), "whole number.*not 1.5"),
        ({"gpus_per_trial": 0.09, "one_process": "on"}, Machines(16, 1),
         "gpus_per_trial must be at least 0.1 with search.one_process on, not 0.09"),
        ({"cpus_per_trial": 8}, Machines(8, 0, 4, 0),
         "a worker needs 8 CPUs, and no node has more than 4: use --cpus-per-trial 4"),
        ({"gpus_per_trial": 2}, Machines(8, 2, 4, 1), "needs 2 GPUs, and no node has more than 1"),
    ],
)  # fmt: skip
def test_a_plan_that_does_not_fit_is_refused_with_the_fix(
    settings: dict[str, float], machines: Machines, message: str
) -> None:
    with pytest.raises(PlanError, match=message):
        make_plan(SearchConfig(**settings), machines)  # type: ignore[arg-type]


def test_the_device_setting_decides_about_gpus() -> None:
    assert make_plan(SearchConfig(), Machines(4, 2), device="cpu").gpus_per_worker == 0
    with pytest.raises(PlanError, match="compute.device is cuda, and there is no GPU"):
        make_plan(SearchConfig(), Machines(4, 0), device="cuda")


def test_a_cluster_that_may_grow_is_planned_by_what_was_asked_for() -> None:
    search = SearchConfig(max_concurrent_trials=8, gpus_per_trial=1, cpus_per_trial=4)

    assert make_plan(search, Machines(0, 0), elastic=True) == Plan(8, 1, 4, 1)
    with pytest.raises(PlanError, match="on a cluster that grows, give --max-concurrent-trials"):
        make_plan(SearchConfig(), Machines(0, 0), elastic=True)


def test_apples_gpu_takes_one_trial_of_one_worker_at_a_time() -> None:
    plan = make_plan(SearchConfig(num_samples=8), Machines(10, 0), device="mps")

    assert plan == Plan(1, 1, 8, 0)
    for settings in ({"num_workers": 2}, {"max_concurrent_trials": 4}, {"gpus_per_trial": 1}):
        search = SearchConfig.model_validate({"num_samples": 8} | settings)
        with pytest.raises(PlanError, match="on compute.device mps") as refused:
            make_plan(search, Machines(10, 0), device="mps")
        assert next(iter(settings)) in str(refused.value)
