"""Settings that one method has, a section each; `distill_settings` makes them one."""

from ffl_ray.config.values import Section, setting

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
