"""Every setting: default, bounds, unit and source.

A setting has one dotted name (`distill.temperature`) everywhere: field, `--set` option, search
space, Ray's trial config and table column. `overrides.with_overrides` is the one way to change any.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from ffl_ray.config.objectives import parse_objective, parse_objectives

AUTHORS = "Kim et al. 2020, arXiv:1904.09058, and the authors' program"
ADAM = "Kingma and Ba 2015, arXiv:1412.6980"
DATA_SETS = ("digits", "cifar10", "cifar100", "folder")
DESIGNS = (
    "concat_depthwise",
    "concat_pointwise",
    "sum",
    "mean",
    "gated",
    "attention",
    "squeeze_excitation",
    "pooled_linear",
    "pairwise",
)
METHOD_NAMES = ("ffl", "independent", "dml", "cl_ilr", "one", "kdcl", "okddip", "pcl")


def _setting(
    default: object, description: str, *, unit: str = "", source: str = "", **bounds: object
) -> Any:
    extra = {"unit": unit, "source": source}
    return Field(default, description=description, json_schema_extra=extra, **bounds)  # type: ignore[call-overload]


def _one_of(*names: str) -> BeforeValidator:
    """One of these names, or the user's own code by module:name (`own_code` looks it up)."""

    def check(value: object) -> object:
        if value not in names and not (isinstance(value, str) and ":" in value):
            known = ", ".join(f"'{name}'" for name in names[:-1])
            raise ValueError(f"must be {known} or '{names[-1]}', or your own module:name")
        return value

    return BeforeValidator(check)


def _split_numbers(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _none_word(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


def parse_mix(value: object) -> object:
    """Canonical form of a mix: its backbones sorted, so that two orders are one mix.

    Args:
        value: `"resnet20+wrn16_2"`, `"2*resnet20+wrn16_2"`, or a list of backbone names.
    """
    if isinstance(value, str):
        names = _mix_names(value)
    elif isinstance(value, (list, tuple)):
        names = list(value)
    else:
        return value
    if not names or not all(names):
        raise ValueError("must hold at least one branch, and a name for each")
    return tuple(sorted(names))


MOST_DIGITS = 3


def _mix_names(text: str) -> list[str]:
    names: list[str] = []
    for part in text.replace(",", "+").split("+"):
        count, star, name = (word.strip() for word in part.partition("*"))
        if star and not count.isdecimal():
            raise ValueError(f"must read like 2*resnet20+wrn16_2 (at {part.strip()[:100]!r})")
        if star and len(count) > MOST_DIGITS:
            raise ValueError(f"must have at most 999 of a backbone, not {count[:100]}")
        names += [name] * int(count) if star else [count]
    return names


def _objective(value: object) -> object:
    if not isinstance(value, str):
        return value
    objective = parse_objective(value)
    if objective.is_cost:
        raise ValueError("must be a validation metric, not a cost")
    return objective.name


def _objectives(value: object) -> object:
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return ()
    if isinstance(value, str):
        value = tuple(part.strip() for part in value.replace("+", ",").split(",") if part.strip())
    if isinstance(value, (list, tuple)):
        return tuple(objective.name for objective in parse_objectives(value))
    return value


def _words(value: object) -> object:
    value = _none_word(value)
    if value is None:
        return ()
    if isinstance(value, str):
        value = value.replace("+", ",").split(",")
    if isinstance(value, (list, tuple)):
        return tuple(dict.fromkeys(str(word).strip() for word in value if str(word).strip()))
    return value


Optional = BeforeValidator(_none_word)
Tracker = Literal["tensorboard", "mlflow", "wandb"]
Fraction = Annotated[float, Field(gt=0, le=1)]
Mixing = Literal["none", "mixup", "cutmix"]


class Section(BaseModel):
    """Settings that can't change and know no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(Section):
    """Which images, which part of them, and how they are augmented."""

    name: Annotated[str, _one_of(*DATA_SETS)] = _setting(
        "digits",
        "data set; digits is embedded and needs no files; your own by module:function, whose "
        "contract is in ffl_ray/data/user_dataset.py",
    )
    dir: Annotated[str | None, Optional] = _setting(
        None, "folder that holds the data set's files (for `folder`: its class folders)"
    )
    download: bool = _setting(False, "download CIFAR into data.dir when it is not there")
    image_size: int = _setting(
        64, "side to which the images of `folder` are resized", unit="pixels", ge=8, le=512
    )
    residency: Literal["auto", "memory", "stream"] = _setting(
        "auto",
        "memory: images are decoded once and kept; stream: an image folder is decoded anew for "
        "every epoch, ahead of the training, and augmented by random crops of 8 to 100% of each "
        "file's area instead of shifts; auto: stream what would take more than 4 GiB",
        source="the crop: Szegedy et al. 2014, arXiv:1409.4842, section 6",
    )
    num_loader_processes: Annotated[int | None, Optional] = _setting(
        None,
        "stream: processes of each worker that decode images; none: its CPUs but one, at least 1",
        unit="processes",
        ge=1,
        le=512,
    )
    fraction: float = _setting(
        1.0, "share of the training split that is used, the same in every class", gt=0, le=1
    )
    val_fraction: float = _setting(
        0.1, "share of what is used that is held out for validation", gt=0, lt=1
    )
    split_seed: int = _setting(0, "seed of the train/val split; equal seeds, equal split", ge=0)
    augment: Literal["standard", "trivial", "none"] = _setting(
        "standard",
        "standard: random crop of the reflect-padded image, and a horizontal flip; trivial: "
        "then torchvision's TrivialAugmentWide, whose shifts reach 32 pixels at any size",
        source=f"{AUTHORS}; Mueller and Hutter 2021, arXiv:2103.10158",
    )
    mixing: Mixing = _setting(
        "none",
        "mixup: every image and its label blended with another's of the batch; cutmix: a box of "
        "it replaced by another's, the label blended by area",
        source="Zhang et al. 2018, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899",
    )
    mixing_alpha: float = _setting(
        1.0,
        "mixup and cutmix: the blend's share is drawn from Beta(alpha, alpha) once per batch",
        source="Zhang et al. 2018, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899",
        ge=0.01,
        le=100,
    )
    crop_padding: Annotated[int | None, Optional] = _setting(
        None, "padding of the random crop; none: the data set's own", unit="pixels", ge=0, le=64
    )
    flip: Annotated[bool | None, Optional] = _setting(
        None, "random horizontal flip; none: the data set's own (digits are not flipped)"
    )


class ModelConfig(Section):
    """Which branches, and how much of them is shared."""

    mix: Annotated[tuple[str, ...], BeforeValidator(parse_mix)] = _setting(
        ("resnet32", "resnet32"),
        "backbone of each branch, such as 2*resnet32 or resnet20+wrn16_2; order means nothing",
        source=AUTHORS,
    )
    trunk_stages: Annotated[int | None, Optional] = _setting(
        None,
        "leading stages shared by the branches of one backbone; 0 shares nothing; none: 2, and 0 "
        "for the method independent",
        unit="stages",
        source=AUTHORS,
        ge=0,
    )
    pretrained: bool = _setting(
        False,
        "start from torchvision's published weights; every backbone must be torchvision:NAME. "
        "Branches of one backbone then differ by their classifiers alone",
    )


class FusionConfig(Section):
    """How the branches' feature maps become one classifier."""

    design: Annotated[str, _one_of(*DESIGNS)] = _setting(
        "concat_depthwise",
        "fusion design; your own by module:Class, whose contract is in "
        "ffl_ray/models/user_fusion.py",
        source=AUTHORS,
    )
    detach: bool = _setting(
        False, "stop the fused classifier's gradient at the feature maps", source=AUTHORS
    )


class DistillConfig(Section):
    """Who teaches whom, and how strongly."""

    method: Annotated[str, _one_of(*METHOD_NAMES)] = _setting(
        "ffl",
        "how the members teach each other; independent: not at all; your own by module:function, "
        "whose contract is in ffl_ray/distill/user_method.py",
        source="ffl_ray/config/methods.py names each one's",
    )
    temperature: Annotated[float | None, Optional] = _setting(
        None,
        "softening of both sides of every KL term that has none of its own; none: the method's "
        "own, 3 (dml 1, cl_ilr 2, kdcl 4)",
        source=AUTHORS,
        gt=0,
        le=100,
    )
    weight: Annotated[float | None, Optional] = _setting(
        None,
        "weight of every KL term of the methods beside ffl; none: the method's own, 1 (cl_ilr "
        "0.5, and its cross-entropies take the rest)",
        ge=0,
        le=1000,
    )
    views: Annotated[bool | None, Optional] = _setting(
        None,
        "every branch is trained on an augmentation of its own; none: the method's own (kdcl and "
        "pcl: yes)",
        source="Guo et al. 2020 (KDCL); Wu and Gong 2021, arXiv:2006.04147",
    )
    kdcl_teacher: Literal["min_logit", "naive", "linear", "general"] = _setting(
        "min_logit",
        "kdcl alone: how its branches' logits become their teacher's",
        source="Guo et al. 2020 (KDCL), section 3",
    )
    ema_decay: float = _setting(
        0.999,
        "pcl alone: decay of the averages of the weights, per step",
        source="Wu and Gong 2021, arXiv:2006.04147",
        ge=0,
        lt=1,
    )
    label_smoothing: float = _setting(
        0.0,
        "share of every label that is spread evenly over all classes, in every cross-entropy",
        source="Szegedy et al. 2016, arXiv:1512.00567, section 7",
        ge=0,
        lt=1,
    )
    ensemble_to_fused: bool = _setting(
        True, "the ensemble of branches teaches the fused classifier", source=AUTHORS
    )
    ensemble_to_fused_weight: float = _setting(
        1.0, "weight of that term", source=AUTHORS, ge=0, le=1000
    )
    ensemble_to_fused_temperature: Annotated[float | None, Optional] = _setting(
        None, "softening of that term; none: distill.temperature", gt=0, le=100
    )
    fused_to_branch: bool = _setting(
        True, "the fused classifier teaches every branch", source=AUTHORS
    )
    fused_to_branch_weight: float = _setting(
        1.0, "weight of each of those terms", source=AUTHORS, ge=0, le=1000
    )
    fused_to_branch_temperature: Annotated[float | None, Optional] = _setting(
        None, "softening of each of those terms; none: distill.temperature", gt=0, le=100
    )
    ramp_up_epochs: Annotated[float | None, Optional] = _setting(
        None,
        "length of the rise of the distill weight, exp(-5 (1 - t/length)^2); 0: no rise; none: the "
        "method's own, 80 (independent, dml, cl_ilr and kdcl 0)",
        unit="epochs",
        source=AUTHORS,
        ge=0,
    )
    target_epsilon: float = _setting(
        1e-7,
        "ffl, one and okddip: added to every teacher probability, not renormalised",
        source=AUTHORS,
        ge=0,
        le=1e-3,
    )


class OptimConfig(Section):
    """The optimiser, its two weight decays, and the LR schedule."""

    epochs: int = _setting(
        300, "length of the training (the authors' loop runs 301)", unit="epochs", ge=1
    )
    batch_size: int = _setting(
        128, "images per step over all workers", unit="images", source=AUTHORS, ge=2
    )
    optimizer: Literal["sgd", "adamw"] = _setting(
        "sgd",
        "which optimiser; a setting that belongs to the other one is ignored",
        source=f"{AUTHORS}; adamw: Loshchilov and Hutter 2019, arXiv:1711.05101",
    )
    lr: float = _setting(
        0.1, "learning rate after warm-up, at the schedule's start", source=AUTHORS, gt=0, le=100
    )
    momentum: float = _setting(0.9, "sgd alone: momentum", source=AUTHORS, ge=0, lt=1)
    nesterov: bool = _setting(True, "sgd alone: Nesterov's form of momentum", source=AUTHORS)
    beta1: float = _setting(
        0.9, "adamw alone: decay of the gradient's running mean", source=ADAM, ge=0, lt=1
    )
    beta2: float = _setting(
        0.999, "adamw alone: decay of the squared gradient's running mean", source=ADAM, ge=0, lt=1
    )
    epsilon: float = _setting(
        1e-8, "adamw alone: added to the root of that mean", source=ADAM, gt=0, le=1
    )
    weight_decay: float = _setting(
        1e-4,
        "weight decay of trunks, branches and classifiers; adamw decouples it from the gradient",
        source=AUTHORS,
        ge=0,
        le=1,
    )
    fusion_weight_decay: float = _setting(
        1e-5, "weight decay of the fusion module", source=AUTHORS, ge=0, le=1
    )
    warmup_epochs: int = _setting(
        0,
        "the learning rate first rises linearly, from lr / warmup_epochs to lr, over these; the "
        "schedule takes the epochs that remain",
        unit="epochs",
        source="Goyal et al. 2017, arXiv:1706.02677, section 2.2",
        ge=0,
    )
    lr_schedule: Literal["step", "cosine", "linear", "constant"] = _setting(
        "step", "how the learning rate falls after warm-up", source=AUTHORS
    )
    lr_milestones: Annotated[tuple[Fraction, ...], BeforeValidator(_split_numbers)] = _setting(
        (0.5, 0.75),
        "where `step` multiplies by lr_decay, as shares of the epochs after warm-up (150 and 225 "
        "of 300)",
        source=AUTHORS,
    )
    lr_decay: float = _setting(0.1, "factor at each milestone", source=AUTHORS, gt=0, le=1)

    @field_validator("warmup_epochs")
    @classmethod
    def _within_the_training(cls, value: int, info: ValidationInfo) -> int:
        epochs = info.data.get("epochs")
        if epochs is not None and value > epochs:
            raise ValueError(f"must be at most optim.epochs, {epochs}")
        return value


class ComputeConfig(Section):
    """Where and in which number format a training computes."""

    device: Literal["auto", "cpu", "cuda"] = _setting(
        "auto", "auto: the GPU a trial was given, else the CPU"
    )
    precision: Literal["auto", "float32", "bfloat16"] = _setting(
        "auto",
        "bfloat16: autocast of the forward pass; auto: bfloat16 where the device computes in it "
        "and the network gains by it (not small ones on a CPU), else float32",
    )
    cuda_graphs: bool = _setting(
        True,
        "on a GPU, record a training step once an epoch and replay it (one worker, SGD, not pcl)",
    )
    checkpoint_interval_s: Annotated[float | None, Optional] = _setting(
        600.0,
        "a training that is stopped loses at most about this much of an epoch; none: the epoch",
        unit="s",
        gt=0,
    )
    measure_latency: bool = _setting(
        False, "time every member on one image before the first epoch (a search by latency does)"
    )


class Config(Section):
    """Everything that defines one training."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    fusion: FusionConfig = FusionConfig()
    distill: DistillConfig = DistillConfig()
    optim: OptimConfig = OptimConfig()
    compute: ComputeConfig = ComputeConfig()
    objective: Annotated[str, BeforeValidator(_objective)] = _setting(
        "fused.accuracy",
        "validation metric, MEMBER.METRIC, by which the best epoch is kept and trials are pruned",
    )
    seed: int = _setting(0, "seed of weights, data order and augmentation", ge=0, lt=2**31)


class SearchConfig(Section):
    """How a study is searched: a space's BASE may set these as `search.NAME`."""

    num_samples: int = _setting(20, "trials in all", unit="trials", ge=1)
    objectives: Annotated[tuple[str, ...], BeforeValidator(_objectives)] = _setting(
        (),
        "what to search for: validation metrics MEMBER.METRIC, and costs (macs, params, "
        "latency_ms); none: the setting objective alone",
    )
    max_concurrent_trials: Annotated[int | None, Optional] = _setting(
        None, "trials at once; none: as many as fit the machines", unit="trials", ge=1
    )
    num_workers: int = _setting(
        1, "training processes of one trial", unit="processes", ge=1, le=4096
    )
    cpus_per_trial: Annotated[int | None, Optional] = _setting(
        None, "CPUs of one trial, over its workers; none: by the plan", unit="CPUs", ge=1
    )
    gpus_per_trial: Annotated[float | None, Optional] = _setting(
        None,
        "GPUs of one trial, over its workers; none: one per worker if there are any",
        unit="GPUs",
        ge=0,
    )
    time_budget_s: Annotated[float | None, Optional] = _setting(
        None, "stop the study after this long; unfinished trials stay interrupted", unit="s", gt=0
    )
    seed: int = _setting(0, "seed of the sampler", ge=0, lt=2**31)
    sampler: Literal["tpe", "random", "gp", "nsga2", "cmaes", "grid"] = _setting(
        "tpe",
        "what proposes: multivariate TPE, random, a Gaussian process, NSGA-II, CMA-ES, or every "
        "point once",
        source="Optuna",
    )
    startup_trials: int = _setting(
        8,
        "random trials before the sampler learns; nsga2: its population",
        unit="trials",
        ge=2,
    )
    warm_start: Annotated[str | None, Optional] = _setting(
        None, "a study, by name or folder, whose trials teach the first startup_trials proposals"
    )
    scheduler: Literal["asha", "hyperband", "median", "none"] = _setting(
        "asha",
        "what stops weak trials: ASHA, the same in several brackets, the median rule, nothing",
        source="Li et al. 2020, arXiv:1810.05934; Golovin et al. 2017 (median)",
    )
    grace_epochs: Annotated[int | None, Optional] = _setting(
        None,
        "no trial is stopped before; none: a ninth of optim.epochs",
        unit="epochs",
        source="Li et al. 2020, arXiv:1810.05934",
        ge=1,
    )
    reduction_factor: float = _setting(
        3.0, "ASHA and hyperband keep one trial in this many at each rung", ge=1.5, le=16
    )
    max_failures: int = _setting(
        2,
        "how often a trial starts again, without a finished epoch in between, after an error that "
        "a retry may mend (a lost process or node, storage)",
        unit="times",
        ge=0,
    )
    keep_checkpoints: int = _setting(
        3,
        "ended trials that keep their best checkpoint; the others' are deleted",
        unit="trials",
        ge=0,
    )
    track: Annotated[tuple[Tracker, ...], BeforeValidator(_words)] = _setting(
        (),
        "where the study is shown as well, through Ray Tune's callbacks: tensorboard, mlflow, "
        "wandb, or several of them; none: nowhere",
    )
