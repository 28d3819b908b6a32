"""Settings of the network: model and fusion."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from ffl_ray.config.values import (
    Optional,
    Section,
    as_text,
    one_of,
    parse_mix,
    setting,
)

AUTHORS = "Kim et al. 2020, arXiv:1904.09058, and the authors' program"
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


class ModelConfig(Section):
    """The network: which branches, and how much of them is shared."""

    mix: Annotated[tuple[str, ...] | None, BeforeValidator(parse_mix)] = setting(
        None,
        "backbone of each branch, such as 2*resnet32 or resnet20+wrn16_2; order means nothing; "
        "resnet32+4 is one with four blocks more in its last stage; none: the method's own, "
        "2*resnet32 (okddip 4, ffsd 3; ahbf resnet32+resnet32+4+resnet32+8+resnet32+12)",
        source=AUTHORS,
    )
    leader: Annotated[str | None, Optional, BeforeValidator(as_text)] = setting(
        None,
        "okddip, ffsd and switokd: the branch that learns from the others and is deployed, and of "
        "ktg the target, which is deployed; by its backbone or its place in the mix, from 0; none: "
        "the first, by the alphabet (switokd: by the numbers, resnet20 before resnet110)",
    )
    trunk_stages: Annotated[int | None, Optional] = setting(
        None,
        "leading stages shared by the branches of one backbone; 0 shares nothing, -1 all but the "
        "last; none: the method's own (docs/methods.md), -1 or 0",
        unit="stages",
        source=AUTHORS,
        ge=-1,
    )
    pretrained: bool = setting(
        False,
        "start from published weights; every backbone must be torchvision:NAME or timm:NAME. "
        "Branches of one backbone then differ by their classifiers alone",
    )


class ResolvedModel(ModelConfig):
    """The settings of a network that leave nothing to the method."""

    mix: Annotated[tuple[str, ...], BeforeValidator(parse_mix)]
    trunk_stages: int


class FusionConfig(Section):
    """The fusion: how the branches' feature maps become one classifier."""

    design: Annotated[str, one_of(*DESIGNS)] = setting(
        "concat_depthwise",
        "fusion design; your own by module:Class, whose contract is in "
        "ffl_ray/models/user_fusion.py",
        source=AUTHORS,
    )
    detach: bool = setting(
        False, "stop the fused classifier's gradient at the feature maps", source=AUTHORS
    )
