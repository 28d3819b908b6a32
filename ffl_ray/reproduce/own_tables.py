"""Tables in which a method's authors print their own numbers, each run by itself."""

from __future__ import annotations

import statistics

from ffl_ray.reproduce.rows import Row, Table

# FFSD's README prints three runs of each.
FFSD_CIFAR100 = {
    "ResNet-20": (72.64, 72.58, 72.88),
    "ResNet-32": (74.92, 74.82, 74.82),
    "ResNet-56": (75.84, 75.66, 75.91),
    "WRN-16-2": (75.87, 75.86, 75.69),
    "WRN-40-2": (79.13, 79.19, 79.11),
}
FFSD_WRN = (
    "this WRN has biases in its convolutions, and its last batch norm's statistics move by .9 a "
    "step: ours has neither"
)


def _ffsd_row(backbone: str, runs: tuple[float, ...]) -> Row:
    return Row(
        backbone,
        "FFSD",
        "ffsd",
        "branch0",
        round(statistics.fmean(runs), 2),
        round(statistics.stdev(runs), 2),
        cautions=(
            "the leader's figure: our branch0",
            *[FFSD_WRN] * backbone.startswith("WRN"),
        ),
    )


# MCL's README: two networks, and four.
MCL_CIFAR100 = {
    "ResNet-32": (72.96, 74.04),
    "ResNet-56": (74.48, 75.74),
    "WRN-16-2": (74.56, 75.79),
    "WRN-40-2": (77.51, 78.84),
}


OWN_TABLES = {
    "ffsd-cifar100": Table(
        "cifar100",
        "the leader of FFSD on CIFAR-100, five backbones",
        "the README of SJLeo/FFSD (d5cfda9), which prints three runs of each",
        tuple(_ffsd_row(backbone, runs) for backbone, runs in FFSD_CIFAR100.items()),
        280,
        (
            "mean and deviation are of the three runs that are printed; which epoch, and whether "
            "others were run, is not said",
            "its DenseNet, GoogLeNet and ImageNet rows are left out: no such backbone or data set "
            "is bundled",
        ),
    ),
    "mcl-cifar100": Table(
        "cifar100",
        "two and four networks of MCL on CIFAR-100, four backbones",
        "the README of winycg/MCL (236da2f)",
        tuple(
            Row(backbone, f"MCL x{count}", f"mcl-x{count}", "mean_branch", mean)
            for backbone, means in MCL_CIFAR100.items()
            for count, mean in zip((2, 4), means, strict=True)
        ),
        505,
        (
            "no spread is printed, so there is no band",
            "left out: ResNet-110, of which the kind of block is not said, ShuffleNetV2, and the "
            "rows with logits as teachers, from which the last network alone learns there",
        ),
    ),
}
