"""Published accuracies, in percent on the test split, each with its source and its cautions.

FFL's own tables are not at hand, and no number of them is here. What stands here was measured by
others, or printed by them beside FFL, on CIFAR-10 and CIFAR-100; recipes.py says how each is
trained. Left out on purpose: CMFF's rows on Tiny-ImageNet (no such data set is bundled), OKDPH's
baselines (their FFL has a broken initialisation, a schedule that never steps, and the best epoch
and head on the test split for its value), and every method that `distill.method` does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ffl_ray.reproduce.own_tables import OWN_TABLES
from ffl_ray.reproduce.rows import Band, Figure, Row, Table

BACKBONES = {
    "ResNet-32": "resnet32",
    "ResNet-110": "bottleneck_resnet110",
    "VGG-16": "vgg16",
    "DenseNet-40-12": "densenet_bc40_12",
    "WRN-20-8": "wide_bottleneck_resnet20_8",
    "ResNet-20": "resnet20",
    "ResNet-56": "resnet56",
    "WRN-16-2": "wrn16_2",
    "WRN-40-2": "wrn40_2",
}
BACKBONE_CAUTIONS: dict[str, tuple[str, ...]] = {
    "ResNet-32": (),
    "ResNet-110": (
        "this ResNet-110 has bottleneck blocks, [12, 12, 12], 1.17M parameters: not the one of "
        "basic blocks in FFL's program, 1.74M",
    ),
    "VGG-16": (
        "OKDDip's and PCL's programs classify with three linear layers; ours is one, 14.77M "
        "parameters in all as MCL-OKD prints",
    ),
    "DenseNet-40-12": (
        "this DenseNet-40-12 is DenseNet-BC with half the channels kept, [6, 6, 6] layers, 0.19M "
        "parameters: not the plain one of Huang et al., 1.0M",
    ),
    "WRN-20-8": (
        "this WRN-20-8 has bottleneck blocks, [2, 2, 2], with width_per_group 512, 6.87M "
        "parameters: not a WRN of Zagoruyko and Komodakis",
    ),
}


class Column(NamedTuple):
    """A method as the tables print it, the recipe of ours, and which member of ours is compared."""

    label: str
    recipe: str
    figure: Figure
    cautions: tuple[str, ...] = ()


ANY_BRANCH = "any branch may be deployed: ours is the mean of the branches"
DML = Column("DML", "dml", "mean_branch", (ANY_BRANCH,))
CL = Column("CL", "cl", "mean_branch", (ANY_BRANCH,))
ONE = Column("ONE", "one", "branch0", ("the first branch is deployed, without the gate",))
FFL_S = Column(
    "FFL-S",
    "ffl",
    "mean_branch",
    ("a sub-network's figure, not the fused classifier's: ours is the mean of the branches",),
)
OKDDIP = Column("OKDDip", "okddip", "branch0", ("the group leader is deployed: our branch0",))
KDCL = Column("KDCL", "kdcl", "mean_branch", (ANY_BRANCH,))
PCL = Column("PCL", "pcl", "branch0", ("the first peer's figure: our branch0",))
COLUMNS = (DML, CL, ONE, FFL_S, OKDDIP, KDCL, PCL)

PCL_CIFAR100 = {
    "ResNet-32": (
        (73.68, 0.14), (72.33, 0.46), (73.79, 0.41), (72.18, 0.11), (73.25, 0.38), (73.76, 0.34),
        (74.14, 0.16),
    ),
    "ResNet-110": (
        (77.86, 0.50), (78.83, 0.58), (78.40, 0.36), (77.22, 0.41), (78.54, 0.26), (78.28, 0.32),
        (79.98, 0.55),
    ),
    "VGG-16": (
        (75.52, 0.10), (74.33, 0.08), (74.37, 0.39), (70.87, 0.99), (74.68, 0.05), (75.67, 0.22),
        (76.89, 0.25),
    ),
    "DenseNet-40-12": (
        (73.06, 0.31), (71.45, 0.34), (71.60, 0.38), (71.25, 0.35), (71.23, 0.14), (72.52, 0.42),
        (73.09, 0.16),
    ),
    "WRN-20-8": (
        (79.77, 0.07), (79.40, 0.12), (79.10, 0.39), (78.22, 0.14), (78.83, 0.06), (79.37, 0.30),
        (80.51, 0.49),
    ),
}  # fmt: skip
PCL_CIFAR10 = {
    "ResNet-32": (
        (93.94, 0.07), (94.02, 0.28), (94.20, 0.12), (94.01, 0.11), (94.17, 0.15), (94.01, 0.08),
        (94.33, 0.12),
    ),
    "ResNet-110": (
        (94.53, 0.25), (95.19, 0.11), (95.16, 0.30), (94.72, 0.06), (95.14, 0.10), (95.11, 0.16),
        (95.53, 0.16),
    ),
    "VGG-16": (
        (94.13, 0.07), (94.14, 0.15), (94.14, 0.23), (93.22, 0.08), (93.98, 0.06), (94.09, 0.12),
        (94.74, 0.02),
    ),
    "DenseNet-40-12": (
        (93.59, 0.26), (93.05, 0.25), (93.08, 0.21), (93.28, 0.16), (92.64, 0.22), (93.87, 0.08),
        (94.13, 0.13),
    ),
    "WRN-20-8": (
        (95.20, 0.13), (94.59, 0.08), (94.70, 0.14), (94.72, 0.13), (94.83, 0.15), (95.27, 0.16),
        (95.42, 0.04),
    ),
}  # fmt: skip
ONE_BLOCK = (
    "OKDDip's DenseNet has one last block for all branches, under several names: only the last "
    "batch norm and the classifier are a branch's own; ours has a last block for each"
)
PAIR_CAUTIONS: Mapping[tuple[str, Column], str] = {
    ("VGG-16", FFL_S): (
        "FFL's worst case in this table: its fusion gets a 1x1 map, where a padded 3x3 depthwise "
        "convolution is no more than a scale per channel"
    ),
    ("DenseNet-40-12", CL): ONE_BLOCK,
    ("DenseNet-40-12", OKDDIP): ONE_BLOCK,
}
PCL_SOURCE = (
    "the tables of PCL (Wu and Gong, AAAI 2021, arXiv:2006.04147), as the README of "
    "shaoeric/Peer-Collaborative-Learning-for-Online-Knowledge-Distillation prints them (6afb473)"
)
PCL_CAUTIONS = (
    "read in a README, not in the paper; how many runs are behind a standard deviation is not said",
    "how PCL configured the methods that it compares with is not said there: each is trained here "
    "as a program that is at hand trains it",
    "every column was run by PCL's authors; FFL's own tables are not at hand",
)
CMFF_CAUTIONS = (
    "which programs gave its rows is not said: each is trained here as one that is at hand",
    "no spread is printed, so there is no band",
    "the same README's columns 2 to 7 are shifted and contradict its header: only this one is used",
)


def _pcl_rows(values: Mapping[str, tuple[tuple[float, float], ...]]) -> tuple[Row, ...]:
    return tuple(
        Row(
            backbone,
            column.label,
            column.recipe,
            column.figure,
            mean,
            std,
            cautions=(
                *column.cautions,
                *BACKBONE_CAUTIONS[backbone],
                *filter(None, [PAIR_CAUTIONS.get((backbone, column))]),
            ),
        )
        for backbone, row in values.items()
        for column, (mean, std) in zip(COLUMNS, row, strict=True)
    )


def _cmff_row(column: Column, mean: float, *cautions: str) -> Row:
    return Row(
        "ResNet-32",
        column.label,
        column.recipe,
        column.figure,
        mean,
        cautions=column.cautions + cautions,
    )


_WHICH = "whether the sub-network or the fused classifier is meant is not said"
TABLES = {
    "pcl-cifar100": Table(
        "cifar100",
        "online distillation on CIFAR-100, five backbones, seven methods",
        PCL_SOURCE,
        _pcl_rows(PCL_CIFAR100),
        3_892,
        PCL_CAUTIONS,
    ),
    "pcl-cifar10": Table(
        "cifar10",
        "online distillation on CIFAR-10, five backbones, seven methods",
        PCL_SOURCE,
        _pcl_rows(PCL_CIFAR10),
        3_892,
        PCL_CAUTIONS,
    ),
    "cmff-cifar100": Table(
        "cifar100",
        "ResNet-32 on CIFAR-100, the backbone alone and seven methods",
        "the README of Coralmss/CMFF (bb3e189), column ResNet-32",
        (
            Row("ResNet-32", "base", "cmff-alone", "branch0", 70.02),
            _cmff_row(DML, 73.59),
            _cmff_row(ONE, 73.64),
            _cmff_row(OKDDIP, 74.60, "PCL's table has 73.25 for the same"),
            _cmff_row(PCL, 74.14, "equal to PCL's own table, so probably taken from there"),
            _cmff_row(KDCL, 73.76, "equal to PCL's table, so probably taken from there"),
            Row(
                "ResNet-32",
                "DCCL",
                "dccl",
                "mean_branch",
                75.38,
                cautions=("whether a network or the fused classifier is meant is not said",),
            ),
            Row("ResNet-32", "FFL branch", "ffl", "mean_branch", 74.44, cautions=(_WHICH,)),
            Row("ResNet-32", "FFL fused", "ffl", "fused", 74.44, cautions=(_WHICH,)),
        ),
        178,
        CMFF_CAUTIONS,
    ),
    **OWN_TABLES,
    "anchors": Table(
        "cifar100",
        "is FFL with ResNet-32 on CIFAR-100 plausible at all",
        "ranges that span what others print: the backbone alone 69.38 (AFD), 69.83 (chxy95's DML), "
        "70.02 (CMFF), 70.91 (MCL), 71.09 (MCL-OKD); a branch 72.18 (PCL's FFL-S), 73.38 "
        "(mutual distillation of logits, AFD), 74.44 (CMFF's FFL)",
        (
            Row(
                "ResNet-32",
                "alone",
                "alone",
                "branch0",
                None,
                range=Band(69.0, 71.0),
                cautions=("trained with FFL's optimiser settings",),
            ),
            Row("ResNet-32", "branch", "ffl", "mean_branch", None, range=Band(72.0, 74.5)),
            Row(
                "ResNet-32",
                "fused above branch",
                "ffl",
                "fused - mean_branch",
                None,
                range=Band(0.0, None),
                cautions=("the fused classifier is expected at or above its branches",),
            ),
        ),
        22,
        ("a plausibility range, not a published target",),
    ),
}
