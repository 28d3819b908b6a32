"""The methods by name, a row each; their losses are in `ffl_ray.distill`, a file each."""

from ffl_ray.config.method import Method

METHODS: dict[str, Method] = {
    "ffl": Method(head="fusion", source="Kim et al. 2020, arXiv:1904.09058"),
    "independent": Method(
        least_branches=1, trunk_stages=0, ramp_up=0, source="no teaching: the baseline"
    ),
    "dml": Method(
        trunk_stages=0,
        temperature=1.0,
        ramp_up=0,
        source="Zhang et al. 2018, arXiv:1706.00384",
    ),
    "cl_ilr": Method(
        temperature=2.0,
        ramp_up=0,
        weight=0.5,
        divided_gradient=True,
        source="Song and Chai 2018, arXiv:1805.11761",
    ),
    "one": Method(head="logit_gate", source="Lan et al. 2018, arXiv:1806.04606"),
    "kdcl": Method(
        trunk_stages=0, temperature=2.0, ramp_up=0, views=True, source="Guo et al. 2020, CVPR, KDCL"
    ),
    "okddip": Method(
        least_branches=3,
        num_branches=4,
        peer_attention=True,
        leader=True,
        deployed="leader",
        source="Chen et al. 2020, arXiv:1912.00350",
    ),
    "pcl": Method(
        head="pooled_linear",
        views=True,
        mean_teacher=True,
        deployed="mean_teacher",
        source="Wu and Gong 2021, arXiv:2006.04147",
    ),
    "okdph": Method(
        trunk_stages=0,
        temperature=4.0,
        ramp_up=0,
        weight=0.8,
        views=True,
        view_policies=("rotation", "cutout", "randaugment", "autoaugment", "standard"),
        student_average=True,
        may_share=False,
        deployed="averaged",
        source="Zhang et al. 2023, arXiv:2303.14666",
    ),
    "ktg": Method(
        trunk_stages=0,
        temperature=1.0,
        ramp_up=0,
        needs=frozenset({"share"}),
        deployed="branch0",
        source="Minami et al. 2020, ACCV, arXiv:1909.04286",
    ),
    "layered_ffl": Method(
        head="fusion",
        trunk_stages=0,
        needs=frozenset({"stage_maps"}),
        terms=("ce_layers", "ensemble_to_layers", "layers_to_branches"),
        source="our own, after Kim et al. 2020, arXiv:1904.09058",
    ),
    "ffsd": Method(
        head="fusion",
        least_branches=3,
        num_branches=3,
        trunk_stages=0,
        temperature=2.0,
        ramp_up=5 / 300,
        leader=True,
        may_share=False,
        detached=True,
        needs=frozenset({"stage_maps", "fused_map"}),
        terms=(
            "diversity",
            "decoded_attention",
            "fused_attention",
            "expanded_attention",
            "decoding",
        ),
        deployed="leader",
        source="Li et al. 2021, arXiv:2103.14473",
    ),
    "dccl": Method(
        head="fusion",
        trunk_stages=0,
        needs=frozenset({"stage_maps"}),
        terms=("stages_to_branches",),
        source="DCCL, 2022, IEEE TCSVT, and the authors' program",
    ),
}
