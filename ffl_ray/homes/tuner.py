"""Ray Tune's Tuner for a study: our searcher, scheduler and recorder in it, and Tune kept quiet."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from ray import tune
from ray.tune import Tuner
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from ffl_ray.config import SearchConfig
from ffl_ray.homes.tune_trial import train_in_actor, train_on_workers
from ffl_ray.results.storage import Storage
from ffl_ray.search.planner import Plan
from ffl_ray.search.recorder import Recorder

TUNE_FOLDER = "ray"


class Mute(TrialProgressCallback):
    """Tune prints through a callback of its own unless it finds one of this kind."""

    def _print(self, msg: str) -> None:
        pass


def make_tuner(
    plan: Plan,
    search: SearchConfig,
    location: str,
    count: int,
    searcher: Searcher,
    scheduler: TrialScheduler,
    recorder: Recorder,
    train: Callable[[dict[str, Any]], None] = train_in_actor,
) -> Tuner:
    """A tuner of `count` trials, in actors that are reused or on Ray Train's workers.

    Args:
        location: of the study's folder.
        train: what an actor runs for a trial of one worker.
    """
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
            time_budget_s=search.time_budget_s,
            # A driver that waits for its workers can't be reset for the next trial.
            reuse_actors=one,
            trial_name_creator=lambda trial: trial.config["trial_id"],
            trial_dirname_creator=lambda trial: trial.config["trial_id"],
        ),
        run_config=tune.RunConfig(
            name=TUNE_FOLDER,
            storage_path=location,
            verbose=0,
            callbacks=[recorder, Mute()],
            stop=recorder.hopeless,
            failure_config=tune.FailureConfig(max_failures=search.max_failures),
        ),
    )


@contextlib.contextmanager
def tunes_folder(storage: Storage) -> Iterator[None]:
    """Tune's own folder inside a study's, gone when its run ends, or else before the next one.

    It holds a folder of each trial and, of each run, a file of 15 kB a trial. The tables are the
    truth: nobody reads them.
    """
    _forget(storage)
    try:
        yield
    finally:
        _forget(storage)


def _forget(storage: Storage) -> None:
    """Delete it; storage that does not answer now costs some files, and not the run."""
    with contextlib.suppress(OSError):
        storage.delete(TUNE_FOLDER)
