"""Settings of what a network is trained on, and how: data, optim, compute."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ffl_ray.config.network_settings import AUTHORS
from ffl_ray.config.values import Optional, Section, data_set_name, setting, split_numbers

ADAM = "Kingma and Ba 2015, arXiv:1412.6980"
DATA_SETS = ("digits", "cifar10", "cifar100", "folder")
Fraction = Annotated[float, Field(gt=0, le=1)]
Mixing = Literal["none", "mixup", "cutmix"]


class DataConfig(Section):
    """The data: which images, which part of them, and how they are augmented."""

    name: Annotated[str, data_set_name(*DATA_SETS)] = setting(
        "digits",
        "data set; digits is embedded and needs no files; hf:NAME is one of Hugging Face's (of the "
        "hub, or a folder), wds:SHARDS are WebDataset's tar files; your own by module:function, "
        "whose contract is in ffl_ray/data/user_dataset.py",
    )
    dir: Annotated[str | None, Optional] = setting(
        None,
        "folder that holds the data set's files (for `folder`: its class folders; for hf: and wds: "
        "what their paths begin at)",
        flag="--data-dir DIR",
        may_change=True,
    )
    skip_bad_files: bool = setting(
        False,
        "go on without the image files that can't be read; a study keeps their names, and goes on "
        "only without the same ones",
        flag="--skip-bad-files",
    )
    download: bool = setting(
        False,
        "download CIFAR into data.dir, and hf:NAME into the hub's cache, when it is not there",
        may_change=True,
    )
    image_size: Annotated[int | None, Optional] = setting(
        None,
        "side of the images: those of `folder`, hf: and wds: are resized to it (none: 64), CIFAR's "
        "are averaged to 16 or 8 (none: as they are, 32); digits have 8",
        source="the averages: Chrabaszcz et al. 2017, arXiv:1707.08819, whose filter is `box`",
        unit="pixels",
        ge=8,
        le=512,
    )
    residency: Literal["auto", "memory", "stream"] = setting(
        "auto",
        "memory: images are decoded once and kept; stream: image files are decoded anew for "
        "every epoch, ahead of the training, and augmented by random crops of 8 to 100% of each "
        "file's area instead of shifts; auto: stream what would take more than 4 GiB",
        source="the crop: Szegedy et al. 2014, arXiv:1409.4842, section 6",
    )
    num_loader_processes: Annotated[int | None, Optional] = setting(
        None,
        "stream: processes of each worker that decode images; none: its CPUs but one, at least 1",
        unit="processes",
        may_change=True,
        ge=1,
        le=512,
    )
    fraction: float = setting(
        1.0, "share of the training split that is used, the same in every class", gt=0, le=1
    )
    val_fraction: float = setting(
        0.1, "share of what is used that is held out for validation", gt=0, lt=1
    )
    hold_out: bool = setting(
        False,
        "leave the validation images out of final trainings (`confirm`, `reproduce`) too, as a "
        "method that measures on them does: its baselines are trained on equal images",
    )
    split_seed: int = setting(0, "seed of the train/val split; equal seeds, equal split", ge=0)
    images_per_class: Annotated[int | None, Optional] = setting(
        None,
        "images of each class that a batch holds, which then is of batch_size / it classes, each "
        "equally often; 1: a random order of all images; none: the method's own, 1 (mcl and "
        "lmcl: the fewest from 2 on of which a batch can be made, as of 100 classes 2, of 10 16)",
        unit="images",
        source="Hermans et al. 2017, arXiv:1703.07737, section 2",
        ge=1,
        le=1024,
    )
    augment: Literal["standard", "trivial", "none"] = setting(
        "standard",
        "standard: random crop of the padded image, and a horizontal flip; trivial: "
        "then torchvision's TrivialAugmentWide, whose shifts reach 32 pixels at any size",
        source=f"{AUTHORS}; Mueller and Hutter 2021, arXiv:2103.10158",
    )
    mixing: Mixing = setting(
        "none",
        "mixup: every image and its label blended with another's of the batch; cutmix: a box of "
        "it replaced by another's, the label blended by area",
        source="Zhang et al. 2018, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899",
    )
    mixing_alpha: float = setting(
        1.0,
        "mixup and cutmix: the blend's share is drawn from Beta(alpha, alpha) once per batch",
        source="Zhang et al. 2018, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899",
        ge=0.01,
        le=100,
    )
    crop_padding: Annotated[int | None, Optional] = setting(
        None, "padding of the random crop; none: the data set's own", unit="pixels", ge=0, le=64
    )
    crop_fill: Annotated[Literal["reflect", "zero"] | None, Optional] = setting(
        None,
        "what that padding holds: the image's reflection, or black; none: the data set's own, "
        "reflect",
        source=f"reflect: {AUTHORS}; zero: ONE's and OKDDip's programs",
    )
    flip: Annotated[bool | None, Optional] = setting(
        None, "random horizontal flip; none: the data set's own (digits are not flipped)"
    )


class ResolvedData(DataConfig):
    """The settings of the data that leave nothing to the method."""

    images_per_class: int


class OptimConfig(Section):
    """The optimiser, its two weight decays, and the LR schedule."""

    epochs: int = setting(
        300, "length of the training (the authors' loop runs 301)", unit="epochs", ge=1
    )
    batch_size: int = setting(
        128, "images per step over all workers", unit="images", source=AUTHORS, ge=2
    )
    optimizer: Literal["sgd", "adamw"] = setting(
        "sgd",
        "which optimiser; a setting that belongs to the other one is refused",
        source=f"{AUTHORS}; adamw: Loshchilov and Hutter 2019, arXiv:1711.05101",
    )
    lr: float = setting(
        0.1, "learning rate after warm-up, at the schedule's start", source=AUTHORS, gt=0, le=100
    )
    momentum: float = setting(0.9, "sgd alone: momentum", source=AUTHORS, ge=0, lt=1)
    nesterov: bool = setting(True, "sgd alone: Nesterov's form of momentum", source=AUTHORS)
    beta1: float = setting(
        0.9, "adamw alone: decay of the gradient's running mean", source=ADAM, ge=0, lt=1
    )
    beta2: float = setting(
        0.999, "adamw alone: decay of the squared gradient's running mean", source=ADAM, ge=0, lt=1
    )
    epsilon: float = setting(
        1e-8, "adamw alone: added to the root of that mean", source=ADAM, gt=0, le=1
    )
    weight_decay: float = setting(
        1e-4,
        "weight decay of trunks, branches and classifiers; adamw decouples it from the gradient",
        source=AUTHORS,
        ge=0,
        le=1,
    )
    fusion_weight_decay: float = setting(
        1e-5, "weight decay of the fusion module", source=AUTHORS, ge=0, le=1
    )
    warmup: float = setting(
        0.0,
        "share of the training, in whole epochs, over which the learning rate first rises by equal "
        "steps to lr; the schedule takes the epochs that remain",
        source="Goyal et al. 2017, arXiv:1706.02677, section 2.2, over 5 of 90 epochs",
        ge=0,
        le=1,
    )
    lr_schedule: Literal["step", "cosine", "linear", "constant"] = setting(
        "step", "how the learning rate falls after warm-up", source=AUTHORS
    )
    lr_milestones: Annotated[tuple[Fraction, ...], BeforeValidator(split_numbers)] = setting(
        (0.5, 0.75),
        "where `step` multiplies by lr_decay, as shares of the epochs after warm-up (150 and 225 "
        "of 300)",
        source=AUTHORS,
    )
    lr_decay: float = setting(0.1, "factor at each milestone", source=AUTHORS, gt=0, le=1)


class ComputeConfig(Section):
    """The computation: where, and in which number format."""

    device: Literal["auto", "cpu", "cuda", "mps"] = setting(
        "auto",
        "auto: the GPU a trial was given, else the CPU; mps: Apple's GPU, one trial of one worker "
        "at a time (it has never run on one)",
    )
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = setting(
        "auto",
        "bfloat16: autocast of the maps' forward pass; tf32: float32 whose factors a GPU rounds to "
        "ten bits; auto: bfloat16 where the device computes in it (a CPU: for images of 16x16 and "
        "more), else float32",
    )
    cuda_graphs: bool = setting(
        True,
        "on a GPU, record a training step and an evaluation step once a training and replay them",
    )
    checkpoint_interval_s: Annotated[float | None, Optional] = setting(
        600.0,
        "a training that is stopped loses at most about this much of an epoch; none: the epoch",
        unit="s",
        may_change=True,
        gt=0,
    )
    predictions: bool = setting(
        False,
        "keep of each validation image, after the last epoch, whether every member is right, and "
        "its NLL",
        flag="--predictions",
        may_change=True,
    )
    per_class: bool = setting(
        True,
        "keep, after the last epoch, how every member does by class: accuracy, which classes are "
        "taken for which, and small pictures of a few images that are, which go into the report "
        "and a card",
        may_change=True,
    )
    measure_latency: bool = setting(
        False, "time every member on one image before the first epoch (a search by latency does)"
    )
