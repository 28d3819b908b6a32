"""Settings of how the members of a network teach each other: distill."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator

from ffl_ray.config.gates import parse_gates
from ffl_ray.config.method_settings import (
    ConfidentSettings,
    ContrastSettings,
    DKELSettings,
    FFSDSettings,
    LadderSettings,
    LayeredSettings,
    TeacherSettings,
)
from ffl_ray.config.network_settings import AUTHORS
from ffl_ray.config.values import Optional, Section, one_of, setting, split_numbers

OKDPH = "Zhang et al. 2023, arXiv:2303.14666 (OKDPH), and the authors' program"
Policy = Literal["standard", "trivial", "cutout", "rotation", "randaugment", "autoaugment"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
METHOD_NAMES = (
    "ffl",
    "independent",
    "dml",
    "cl_ilr",
    "one",
    "kdcl",
    "okddip",
    "pcl",
    "okdph",
    "ktg",
    "layered_ffl",
    "ffsd",
    "dccl",
    "dcm",
    "mcl",
    "ahbf",
    "lmcl",
    "switokd",
    "confident_dml",
    "dkel",
    "afd",
)


class CommonDistill(Section):
    """Settings that several methods have, and those of the first ones."""

    method: Annotated[str, one_of(*METHOD_NAMES)] = setting(
        "ffl",
        "how the members teach each other; independent: not at all; your own by module:function, "
        "whose contract is in ffl_ray/distill/user_method.py",
        source="ffl_ray/config/methods.py names each one's",
    )
    temperature: Annotated[float | None, Optional] = setting(
        None,
        "softening of both sides of every KL term that has none of its own; none: the method's "
        "own (docs/methods.md), of ffl 3",
        source=AUTHORS,
        gt=0,
        le=100,
    )
    weight: Annotated[float | None, Optional] = setting(
        None,
        "weight of every KL term of the methods beside ffl; none: the method's own "
        "(docs/methods.md), of most 1 (cl_ilr 0.5, and its cross-entropies take the rest)",
        ge=0,
        le=1000,
    )
    views: Annotated[bool | None, Optional] = setting(
        None,
        "every branch is trained on an augmentation of its own; none: the method's own "
        "(docs/methods.md); not for those that fuse maps, such as ffl",
        source="Guo et al. 2020 (KDCL); Wu and Gong 2021, arXiv:2006.04147",
    )
    own_batches: Annotated[bool | None, Optional] = setting(
        None,
        "independent alone: every branch is trained on batches of its own, and branch k is, bit "
        "for bit, its backbone trained alone with seed + 1,000,000 k; none: yes, unless stages or "
        "batches are shared (model.trunk_stages, distill.views)",
    )
    view_policies: Annotated[
        tuple[Policy, ...] | None, BeforeValidator(split_numbers), Optional
    ] = setting(
        None,
        f"augmentation of each view after its crop and flip, instead of data.augment's: "
        f"{', '.join(POLICIES)}; one for each branch, and for okdph one more, which the mean "
        f"weights see; none: the method's own (okdph's: rotation, cutout, randaugment, ...)",
        source=OKDPH,
    )
    kdcl_teacher: Literal["min_logit", "naive", "linear", "general", "general_batch"] = setting(
        "min_logit",
        "kdcl alone: how its branches' logits become their teacher's; general: by what it measures "
        "on the validation images after each epoch, which a final training then leaves out as "
        "well; general_batch: by the same, measured on the batch",
        source="Guo et al. 2020 (KDCL), section 3",
    )
    dml_teacher: Literal["each", "mean"] = setting(
        "each",
        "dml alone: whom a branch learns from: each of the others, or the mean of their logits; "
        "mean: what OKDDip's authors ran as dml",
        source="Zhang et al. 2018, arXiv:1706.00384; DefangChen/OKDDip-AAAI2020, train_DML.py",
    )
    ce_weight: Annotated[float | None, Optional] = setting(
        None,
        "cl_ilr alone: weight of every cross-entropy; none: what distill.weight leaves of 1; 1: "
        "with a weight of 1 what OKDDip's authors ran as cl",
        source="Song and Chai 2018, arXiv:1805.11761; DefangChen/OKDDip-AAAI2020, train_one.py",
        ge=0,
        le=1000,
    )
    detach_targets: bool = setting(
        True,
        "dml and cl_ilr: no gradient reaches the logits that a branch learns from; false: one "
        "does, as in OKDDip's program (in okddip it always does)",
        source="Zhang et al. 2018, arXiv:1706.00384; DefangChen/OKDDip-AAAI2020, utils.py",
    )
    gates: Annotated[str | None, Optional, BeforeValidator(parse_gates)] = setting(
        None,
        "ktg alone: who teaches whom, and when, such as 1>0=correct,fused>0=through; members are "
        "branches by number, fused and ensemble; gates through, linear, negative_linear, correct "
        "and cutoff, one alone for every pair of branches; none: through",
        source="Minami et al. 2020, arXiv:1909.04286, section 3",
    )
    ema_span: float = setting(
        1_000 / 117_300,
        "pcl and dkel: share of the training over which the averages of the weights reach back, "
        "1 / (1 - decay) steps: .999 a step of the published 117,300",
        source="Wu and Gong 2021, arXiv:2006.04147",
        gt=0,
        le=1,
    )
    averaged_weight: float = setting(
        0.2,
        "okdph alone: weight of the cross-entropy of the branches' mean weights; the branches' own "
        "cross-entropies take the rest (the authors' omega)",
        source=OKDPH,
        ge=0,
        le=1,
    )
    averaged_gradient: bool = setting(
        True,
        "okdph alone: that cross-entropy's gradient reaches every branch, as in the paper; false: "
        "none, as in the authors' program",
        source=OKDPH,
    )
    student_shares: Literal["equal", "dirichlet"] = setting(
        "equal",
        "okdph alone: share of each branch in their mean weights; dirichlet: drawn anew for every "
        "step, each division equally likely",
        source=OKDPH,
    )
    write_back: float = setting(
        0.5,
        "okdph alone: share of the way that every branch is moved to their mean weights, batch "
        "norm's statistics too, now and then (the authors' gamma); 0: never",
        source=OKDPH,
        ge=0,
        le=1,
    )
    write_back_steps: Annotated[int | None, Optional] = setting(
        None,
        "okdph alone: steps from one of these to the next; none: an epoch",
        unit="steps",
        source=f"{OKDPH}: one epoch or five steps",
        ge=1,
    )
    label_smoothing: float = setting(
        0.0,
        "share of every label that is spread evenly over all classes, in every cross-entropy",
        source="Szegedy et al. 2016, arXiv:1512.00567, section 7",
        ge=0,
        lt=1,
    )
    ensemble_to_fused: bool = setting(
        True, "the ensemble of branches teaches the fused classifier", source=AUTHORS
    )
    ensemble_to_fused_weight: float = setting(
        1.0, "weight of that term", source=AUTHORS, ge=0, le=1000
    )
    ensemble_to_fused_temperature: Annotated[float | None, Optional] = setting(
        None, "softening of that term; none: distill.temperature", gt=0, le=100
    )
    fused_to_branch: bool = setting(
        True, "the fused classifier teaches every branch", source=AUTHORS
    )
    fused_to_branch_weight: float = setting(
        1.0, "weight of each of those terms", source=AUTHORS, ge=0, le=1000
    )
    fused_to_branch_temperature: Annotated[float | None, Optional] = setting(
        None, "softening of each of those terms; none: distill.temperature", gt=0, le=100
    )
    ramp_up: Annotated[float | None, Optional] = setting(
        None,
        "length of the rise of the distill weight, exp(-5 (1 - t/length)^2), as a share of the "
        "training, at most 1; 0: no rise; none: the method's own (docs/methods.md), 80 of 300 "
        "epochs, 240, 5 or 0",
        source=AUTHORS,
        ge=0,
        le=100,  # studies of the version before have lengths beyond the training: they are read
    )
    target_epsilon: float = setting(
        1e-7,
        "ffl, layered_ffl, one, okddip, ahbf: added to every teacher probability, not renormalised",
        source=AUTHORS,
        ge=0,
        le=1e-3,
    )


class DistillConfig(
    TeacherSettings,
    ConfidentSettings,
    DKELSettings,
    LadderSettings,
    ContrastSettings,
    FFSDSettings,
    LayeredSettings,
    CommonDistill,
):
    """The method: who teaches whom, and how strongly."""


class ResolvedDistill(DistillConfig):
    """The settings of a method that leave nothing to the method: what its loss reads."""

    temperature: float
    weight: float
    views: bool
    own_batches: bool
    view_policies: Annotated[tuple[Policy, ...], BeforeValidator(split_numbers)]
    ramp_up: float
