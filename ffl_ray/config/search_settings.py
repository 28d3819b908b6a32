"""Settings of a search and of what its trials may take of the machines: search."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from ffl_ray.config.values import (
    Optional,
    Section,
    constraint_names,
    listed,
    objective_names,
    seconds,
    setting,
    words,
)

Tracker = Literal["tensorboard", "mlflow", "wandb", "trackio"]


class SearchConfig(Section):
    """The search of a study: a space's BASE may set these as `search.NAME`."""

    num_samples: int = setting(
        20, "trials in all", unit="trials", ge=1, flag="--num-samples N", may_change=True
    )
    objectives: Annotated[tuple[str, ...], BeforeValidator(objective_names)] = setting(
        (),
        "what to search for: validation metrics MEMBER.METRIC, and costs (macs, params, "
        "latency_ms); none: the setting objective alone",
        flag="--objective MEMBER.METRIC",
    )
    constraints: Annotated[tuple[str, ...], BeforeValidator(constraint_names)] = setting(
        (),
        "bounds that the best config keeps, MEMBER.METRIC<=NUMBER or >=, such as "
        "deployed.macs<=50e6; what a network breaks before it is trained is not trained",
        flag="--constraint BOUND",
    )
    max_concurrent_trials: Annotated[int | None, Optional] = setting(
        None,
        "trials at once; none: as many as fit the machines",
        unit="trials",
        ge=1,
        flag="--max-concurrent-trials N",
        resource=True,
    )
    num_workers: int = setting(
        1,
        "training processes of one trial",
        unit="processes",
        ge=1,
        le=4096,
        flag="--num-workers N",
        resource=True,
    )
    cpus_per_trial: Annotated[int | None, Optional] = setting(
        None,
        "CPUs of one trial, over its workers; none: by the plan",
        unit="CPUs",
        ge=1,
        flag="--cpus-per-trial N",
        resource=True,
    )
    gpus_per_trial: Annotated[float | None, Optional] = setting(
        None,
        "GPUs of one trial, over its workers; none: one per worker if there are any",
        unit="GPUs",
        ge=0,
        flag="--gpus-per-trial N",
        resource=True,
    )
    mps: bool = setting(
        False,
        "start NVIDIA's MPS with a Ray that starts here: trials that share a GPU run side by side, "
        "and a fault of one there ends those beside it",
        source="docs.nvidia.com/deploy/mps",
        resource=True,
    )
    one_process: Literal["auto", "on", "off"] = setting(
        "auto",
        "whether trials that share a GPU train in one process of it, a thread each, by turns: "
        "auto, where that is measured to be faster than processes of their own; on, wherever they "
        "share one; off, nowhere",
        source="docs/performance.md",
        resource=True,
    )
    time_budget_s: Annotated[float | None, BeforeValidator(seconds)] = setting(
        None,
        "stop the search after this long, such as 40m, what it took before an interruption "
        "included; unfinished trials stay interrupted",
        unit="s",
        gt=0,
        flag="--time-budget-s TIME",
        may_change=True,
    )
    budget_s: Annotated[float | None, BeforeValidator(seconds)] = setting(
        None,
        "time of the whole search, such as 40m or 2h, what it took before an interruption "
        "included: number of trials, epochs, image size, share of the data and backbones are "
        "chosen to fit it by measured speed, as far as the command line leaves them open",
        unit="s",
        gt=0,
        flag="--budget TIME",
        may_change=True,
    )
    backbones: Annotated[tuple[str, ...], BeforeValidator(listed(","))] = setting(
        (),
        "backbones that a search's mixes are drawn from, instead of those of its space, such as "
        "resnet8,resnet14; none: the space's own",
    )
    seed: int = setting(0, "seed of the sampler", ge=0, lt=2**31, flag="--seed N")
    sampler: Literal["tpe", "random", "gp", "nsga2", "cmaes", "grid"] = setting(
        "tpe",
        "what proposes: multivariate TPE, random, a Gaussian process, NSGA-II, CMA-ES, or every "
        "point once",
        source="Optuna",
        flag="--sampler NAME",
    )
    startup_trials: int = setting(
        8,
        "random trials before the sampler learns; nsga2: its population",
        unit="trials",
        ge=2,
    )
    enqueue: Annotated[tuple[str, ...], BeforeValidator(listed(";"))] = setting(
        (),
        "points to try first, behind the defaults, such as 'model.mix=2*resnet20 "
        "fusion.design=sum'; the sampler draws what one leaves out",
        flag="--enqueue POINT",
        may_change=True,
    )
    plain_baseline: bool = setting(
        True,
        "trial 1 is no point of the space but one backbone of it, alone and without teaching, for "
        "as many seconds as trial 0, the defaults, takes: what a search has to beat (not with "
        "search.sampler grid)",
    )
    warm_start: Annotated[tuple[str, ...], BeforeValidator(listed(","))] = setting(
        (),
        "studies, by name or folder, whose trials teach the first startup_trials proposals, each "
        "as well as it predicts this one; all: every study of the storage path that can",
        flag="--warm-start STUDY",
    )
    scheduler: Literal["asha", "hyperband", "median", "none"] = setting(
        "asha",
        "what stops weak trials: ASHA, the same in several brackets, the median rule, nothing",
        source="Li et al. 2020, arXiv:1810.05934; Golovin et al. 2017 (median)",
        flag="--scheduler NAME",
    )
    grace: Annotated[float | None, Optional] = setting(
        None,
        "share of optim.epochs, in whole epochs and at least one, before which no trial is "
        "stopped; none: until the ramp-up has ended and the learning rate has fallen to half of "
        "its peak. Nobody is stopped behind half of the training either",
        source="docs/replay.md",
        ge=0,
        le=1,
    )
    reduction_factor: float = setting(
        3.0, "ASHA and hyperband keep one trial in this many at each rung", ge=1.5, le=16
    )
    rung_unit: Literal["epochs", "accelerator-seconds"] = setting(
        "epochs",
        "what a trial is held against at a rung of ASHA or hyperband: the others after as many "
        "epochs, or after as many accelerator-seconds, so that a dear network has to pay for "
        "itself; never by an epoch before search.grace or behind half of a training",
        source="docs/search-spaces.md",
    )
    audit_trials: int = setting(
        2,
        "trials that the scheduler would stop and that are finished all the same, drawn at random, "
        "at most one in eight of a search: what they reach says what stopping costs",
        unit="trials",
        ge=0,
    )
    max_failures: int = setting(
        2,
        "how often a trial starts again, without a finished epoch in between, after an error that "
        "a retry may mend (a lost process or node, storage)",
        unit="times",
        ge=0,
        flag="--max-failures N",
        may_change=True,
    )
    keep_checkpoints: int = setting(
        3,
        "ended trials that keep their last checkpoint; the others' are deleted",
        unit="trials",
        ge=0,
        may_change=True,
    )
    track: Annotated[tuple[Tracker, ...], BeforeValidator(words)] = setting(
        (),
        "where the study is shown as well, through Ray Tune's callbacks: tensorboard, mlflow, "
        "wandb, trackio, or several of them; none: nowhere",
        flag="--track NAME",
        may_change=True,
    )
