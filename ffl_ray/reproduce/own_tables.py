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


OWN_TABLES = {
    "ffsd-cifar100": Table(
        "cifar100",
        "the leader of FFSD on CIFAR-100, five backbones",
        "the README of SJLeo/FFSD (d5cfda9), which prints three runs of each",
        tuple(_ffsd_row(backbone, runs) for backbone, runs in FFSD_CIFAR100.items()),
        285,
        (
            "mean and deviation are of the three runs that are printed; which epoch, and whether "
            "others were run, is not said",
            "its DenseNet, GoogLeNet and ImageNet rows are left out: no such backbone or data set "
            "is bundled",
        ),
    ),
}
