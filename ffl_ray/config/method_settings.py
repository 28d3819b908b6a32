"""Settings that one method has, a section each; `distill_settings` makes them one."""

from ffl_ray.config.values import Section, setting

FFSD = "Li et al. 2021, arXiv:2103.14473 (FFSD), and the authors' program"


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
