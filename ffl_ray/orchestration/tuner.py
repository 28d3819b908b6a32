"""Ray Tune's Tuner for a study: our searcher, scheduler and recorder in it, and Tune kept quiet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune import Tuner
from ray.tune.execution.class_cache import ENV_VARS_TO_PROPAGATE
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import CombinedStopper, Stopper

from ffl_ray.config.settings import SearchConfig
from ffl_ray.orchestration.recorder import Recorder
from ffl_ray.orchestration.time_budget import TimeBudget
from ffl_ray.orchestration.tune_trial import train_in_actor, train_on_workers
from ffl_ray.planning.layout import Plan

# Tune hands the driver's to its actors, and Ray writes that to its logs. Nodes have their own.
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")


class Mute(TrialProgressCallback):
    """Tune prints through a callback of its own unless it finds one of this kind."""

    def _print(self, msg: str) -> None:
        pass


def _stopper(search: SearchConfig, recorder: Recorder) -> Stopper:
    """What ends a study before its last trial."""
    if search.time_budget_s is None:
        return recorder.hopeless
    return CombinedStopper(recorder.hopeless, TimeBudget(search.time_budget_s))


def make_tuner(
    plan: Plan,
    search: SearchConfig,
    state: str,
    count: int,
    searcher: Searcher,
    scheduler: TrialScheduler,
    recorder: Recorder,
    train: Callable[[dict[str, Any]], None] = train_in_actor,
) -> Tuner:
    """A tuner of `count` trials, in actors that are reused or on Ray Train's workers.

    Args:
        state: a folder of this machine for what Tune writes and nobody reads.
        train: what an actor runs for a trial of one worker.
    """
    ENV_VARS_TO_PROPAGATE.difference_update(KEYS)
    one = plan.num_workers == 1
    resources = {"cpu": plan.cpus_per_worker, "gpu": plan.gpus_per_worker}
    # Ray refuses an empty request; one byte of memory is as good as no CPU.
    trainable = (
        tune.with_resources(train, resources)
        if one
        else tune.with_resources(train_on_workers, {"memory": 1})
    )
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=count,
            max_concurrent_trials=plan.max_concurrent_trials,
            # A driver that waits for its workers can't be reset for the next trial.
            reuse_actors=one,
            trial_name_creator=lambda trial: trial.config["trial_id"],
            trial_dirname_creator=lambda trial: trial.config["trial_id"],
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=state,
            verbose=0,
            callbacks=[recorder, Mute()],
            stop=_stopper(search, recorder),
            failure_config=tune.FailureConfig(max_failures=search.max_failures),
        ),
    )
