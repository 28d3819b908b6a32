"""Settings that one method has, a section each; `distill_settings` makes them one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from ffl_ray.config.values import Optional, Section, absolute_path, setting, teacher_name

CONFIDENT = "after Li et al. 2021, arXiv:2106.01489, whose schedule is not known"
FFSD = "Li et al. 2021, arXiv:2103.14473 (FFSD), and the authors' program"
MCL = "Yang et al. 2022, arXiv:2104.12565 (MCL), and the authors' program"
AHBF = "Gong et al. 2023, AAAI (AHBF-OKD), and the authors' program"


class LayeredSettings(Section):
    """Settings of layered_ffl."""

    layer_weight: float = setting(
        1.0,
        "layered_ffl alone: weight of what the fused classifier of the last stage but one learns, "
        "from labels and from the ensemble",
        ge=0,
        le=1000,
    )
    layer_to_branch_weight: float = setting(
        1.0, "layered_ffl alone: weight of what it teaches every branch", ge=0, le=1000
    )
    layer_decay: float = setting(
        0.5,
        "layered_ffl alone: factor of both from one stage's classifier to that of the stage before",
        ge=0,
        le=1,
    )
    layer_detach: bool = setting(
        False,
        "layered_ffl alone: stop the gradient of the fused classifiers before the last at the "
        "feature maps",
    )


class FFSDSettings(Section):
    """Settings of ffsd."""

    diversity_weight: float = setting(
        1e-5,
        "ffsd alone: weight of what keeps a student's attention from that of the one before it",
        source=FFSD,
        ge=0,
        le=1000,
    )
    attention_weight: float = setting(
        10.0,
        "ffsd alone: weight of the leader's attending as the fused map, the students' maps and its "
        "decoder do",
        source=FFSD,
        ge=0,
        le=1000,
    )
    decoder_weight: float = setting(
        1000.0,
        "ffsd alone: weight of what decoders learn of their branch's earlier maps",
        source=FFSD,
        ge=0,
        le=100_000,
    )


class ContrastSettings(Section):
    """How images are contrasted."""

    contrast_weight: float = setting(
        0.1,
        "mcl and lmcl: weight of the contrast of images, within an embedding and between two",
        source=MCL,
        ge=0,
        le=1000,
    )
    contrast_temperature: float = setting(
        0.1, "mcl and lmcl: what cosines of embeddings are divided by", source=MCL, gt=0, le=100
    )
    logit_teacher: bool = setting(
        False, "mcl alone: the mean of all logits teaches every branch as well", source=MCL
    )


class LadderSettings(Section):
    """How strongly a ladder of branches teaches downwards."""

    assistant_weight: float = setting(
        2.0,
        "ahbf alone: weight, beside distill.weight, of what an assistant teaches the two that it "
        "is made of",
        source=f"{AHBF}, run command",
        ge=0,
        le=1000,
    )
    deeper_weight: float = setting(
        4.0,
        "ahbf alone: the same of what a deeper branch teaches the assistant below it",
        source=f"{AHBF}, run command",
        ge=0,
        le=1000,
    )


class DKELSettings(Section):
    """Settings of dkel."""

    early_span: float = setting(
        2 / 300,
        "dkel alone: share of the training over which the weight of the mean of the others' "
        "averages, which teaches at first, falls to 1/e; each average takes over: exp(-.5) an "
        "epoch of the published 300",
        source="shaoeric/Decoupled-Knowledge-with-Ensemble-Learning",
        gt=0,
        le=1,
    )


class ConfidentSettings(Section):
    """Settings of confident_dml."""

    entropy_limit: float = setting(
        1.0,
        "confident_dml alone: a teacher of no lower entropy teaches nothing of an image, as a "
        "share of that of an even guess; while it is 0 nobody teaches, while it is 1 as in dml",
        source=CONFIDENT,
        ge=0,
        le=1,
    )
    entropy_schedule: Literal["constant", "rising", "falling"] = setting(
        "rising",
        "confident_dml alone: how that limit comes about, in a straight line over the training; "
        "rising: from 0; falling: from 1, to a limit below it; constant: at once",
        source=CONFIDENT,
    )


class TeacherSettings(Section):
    """Settings of a teacher from outside, beside any method."""

    teacher: Annotated[str | None, BeforeValidator(teacher_name), Optional] = setting(
        None,
        "a trained network that teaches beside any method and learns nothing: a folder that "
        "ffl_ray.export wrote, of the same images and classes, or torchvision:NAME or timm:NAME "
        "with its published weights, which must be here already; none: there is none",
        source="Hinton et al. 2015, arXiv:1503.02531",
    )
    teacher_file: Annotated[str | None, BeforeValidator(absolute_path), Optional] = setting(
        None,
        "of a teacher of torchvision or timm: a file of its weights, a state dict; none: published",
    )
    teacher_to: Literal["branches", "fused"] = setting(
        "branches", "whom the teacher teaches: every branch, or the fused classifier"
    )
    teacher_weight: float = setting(
        1.0, "weight of each of these terms, which are not ramped up", ge=0, le=1000
    )
    teacher_temperature: Annotated[float | None, Optional] = setting(
        None, "softening of each of these terms; none: distill.temperature", gt=0, le=100
    )
