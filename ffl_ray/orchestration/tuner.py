"""Ray Tune's Tuner for a study, with our searcher, scheduler and recorder; and its rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune import Tuner
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import CombinedStopper, Stopper

from ffl_ray.config.settings import SearchConfig
from ffl_ray.orchestration.ray_private import Mute, keep_from_actors
from ffl_ray.orchestration.recorder import Recorder
from ffl_ray.orchestration.tune_trial import train_in_actor, train_on_workers
from ffl_ray.planning.layout import Plan

Train = Callable[[dict[str, Any]], None]
# Tune hands the driver's to its actors, and Ray writes that to its logs. Nodes have their own.
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")


def stopper_of(recorder: Recorder, deadline: Stopper | None) -> Stopper:
    """What ends a study before its last trial."""
    return CombinedStopper(
        recorder.obstacle, recorder.stop_asked, *([deadline] if deadline else [])
    )


def make_tuner(
    plan: Plan,
    search: SearchConfig,
    state: str,
    count: int,
    searcher: Searcher,
    scheduler: TrialScheduler,
    recorder: Recorder,
    train: Train = train_in_actor,
    deadline: Stopper | None = None,
) -> Tuner:
    """A tuner of `count` trials, in actors that are reused or on Ray Train's workers.

    Args:
        state: a folder of this machine for what Tune writes and nobody reads.
        train: what an actor runs for a trial of one worker.
        deadline: ends the study before its last trial; none: nothing does but an obstacle.
    """
    keep_from_actors(KEYS)
    return Tuner(
        _trainable(plan, train),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=count,
            max_concurrent_trials=plan.max_concurrent_trials,
            # A driver that waits for its workers can't be reset for the next trial.
            reuse_actors=plan.num_workers == 1,
            trial_name_creator=_trial_id,
            trial_dirname_creator=_trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=state,
            verbose=0,
            callbacks=[recorder, Mute()],
            stop=stopper_of(recorder, deadline),
            failure_config=tune.FailureConfig(max_failures=search.max_failures),
        ),
    )


def _trial_id(trial: Trial) -> str:
    return str(trial.config["trial_id"])


def _trainable(plan: Plan, train: Train) -> Any:
    """What Tune runs for each trial, with what it takes."""
    if plan.num_workers == 1:
        return tune.with_resources(
            train, {"cpu": plan.cpus_per_worker, "gpu": plan.gpus_per_worker}
        )
    # Ray refuses an empty request; one byte of memory is as good as no CPU.
    return tune.with_resources(train_on_workers, {"memory": 1})


def run_rounds(
    fit: Callable[[], Recorder], unended: Callable[[], int], max_failures: int
) -> Recorder:
    """Run Tune, and again while all that is left to do is what it gave up and may be done.

    Anything else that is left says that a person or a lack of time ended it.

    Args:
        fit: runs Tune once, for all that has not ended.
        unended: how many trials these are.
        max_failures: how often it may be run again.

    Returns:
        What recorded the last round.
    """
    recorder = fit()
    for _ in range(max_failures):
        if not recorder.lost or recorder.obstacle.message or unended() != len(recorder.lost):
            break
        recorder = fit()
    return recorder
