"""Where each preset's form and settings are from, how sure that is, and what differs in ours.

The programs were read at the commits named. Every recipe says what its method, its crops and its
optimiser are, so that a default of ours that moves later moves no preset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

EPOCHS = 300
# All of these programs: 300 epochs, batches of 128, SGD from 0.1, divided by 10 at 150 and 225.
COMMON: Mapping[str, object] = {
    "optim.epochs": EPOCHS,
    "optim.batch_size": 128,
    "optim.optimizer": "sgd",
    "optim.lr": 0.1,
    "optim.momentum": 0.9,
    "optim.nesterov": True,
    "optim.lr_schedule": "step",
    "optim.lr_milestones": "0.5,0.75",
    "optim.lr_decay": 0.1,
    "data.augment": "standard",
    "data.fraction": 1.0,
}
Evidence = Literal["program", "paper and port", "second hand", "none"]


class Recipe(NamedTuple):
    """What one published number's training is, as its source has it.

    Attributes:
        method: the setting distill.method.
        num_branches: how many it trains.
        shares: branches share all stages but the last; otherwise they are separate networks.
        settings: what it adds to the common settings.
        source: a program at a commit, a paper, or who says so.
        evidence: program: read in the program that trains this method; paper and port: the method
            is the paper's, the settings are read in another's program; second hand: said by
            others, no program; none: no source has such a training, and this is what was chosen.
        differs: what ours does otherwise, or what the source leaves open.
    """

    method: str
    num_branches: int
    shares: bool
    settings: Mapping[str, object]
    source: str
    evidence: Evidence
    differs: str

    @property
    def words(self) -> str:
        """All of it as one line."""
        return f"trained as {self.source} ({self.evidence}): {self.differs}"


def _recipe(
    *,
    decay: float,
    fill: Literal["reflect", "zero"],
    fusion_decay: float | None = None,
    **settings: object,
) -> dict[str, object]:
    """Weight decays, crops, and the method's own settings, `__` for a dot."""
    return {
        "optim.weight_decay": decay,
        "optim.fusion_weight_decay": decay if fusion_decay is None else fusion_decay,
        "data.crop_fill": fill,
        **{name.replace("__", "."): value for name, value in settings.items()},
    }


OKDDIP = "DefangChen/OKDDip-AAAI2020 at c6a05de"
FFL = "Jangho-Kim/FFL-pytorch at 546d478"
RAMP_UP = 80 / 300
BEST_MEAN = "it reports the epoch of the best mean of its branches on the test split, ours the last"
RECIPES: dict[str, Recipe] = {
    "ffl": Recipe(
        "ffl",
        2,
        True,
        _recipe(
            decay=1e-4,
            fusion_decay=1e-5,
            fill="reflect",
            distill__temperature=3,
            distill__ramp_up=RAMP_UP,
        ),
        f"{FFL}, train_FFL.py",
        "program",
        "its loop runs 301 epochs",
    ),
    "alone": Recipe(
        "independent",
        1,
        False,
        _recipe(decay=1e-4, fill="reflect"),
        f"{FFL}, train_FFL.py: its optimiser and crops, for one branch",
        "none",
        "the range spans five sources, each with a program of its own",
    ),
    "cmff-alone": Recipe(
        "independent",
        1,
        False,
        _recipe(decay=2e-4, fill="reflect"),
        "Coralmss/CMFF at bb3e189, train_rn32.py: its optimiser and crops, for one branch",
        "none",
        "it has no script that trains the backbone alone, and runs 301 epochs",
    ),
    "dml": Recipe(
        "dml",
        4,
        False,
        _recipe(
            decay=5e-4,
            fill="zero",
            distill__dml_teacher="mean",
            distill__detach_targets=False,
            distill__temperature=3,
            distill__ramp_up=0,
            distill__weight=1,
        ),
        f"{OKDDIP}, train_DML.py",
        "program",
        f"it adds 1e-7 to targets; {BEST_MEAN}",
    ),
    "cl": Recipe(
        "cl_ilr",
        4,
        True,
        _recipe(
            decay=5e-4,
            fill="zero",
            distill__ce_weight=1,
            distill__weight=1,
            distill__detach_targets=False,
            distill__temperature=3,
            distill__ramp_up=RAMP_UP,
        ),
        f"{OKDDIP}, train_one.py --avg --bpscale",
        "program",
        f"it adds 1e-7 to targets; {BEST_MEAN}",
    ),
    "one": Recipe(
        "one",
        3,
        True,
        _recipe(
            decay=1e-4,
            fill="zero",
            optim__nesterov=False,
            optim__lr_milestones=f"{151 / 300},0.75",
            distill__temperature=3,
            distill__ramp_up=RAMP_UP,
        ),
        "Lan1991Xu/ONE_NeurIPS2018 at 54afde3, cifar_one.py with scripts/ONE_ResNet32.sh",
        "program",
        "it normalises both data sets by CIFAR-10's mean and by deviations of .20, and reports its "
        "first branch's best epoch on the test split, ours the last",
    ),
    "okddip": Recipe(
        "okddip",
        4,
        True,
        _recipe(
            decay=5e-4,
            fill="zero",
            distill__temperature=3,
            distill__ramp_up=RAMP_UP,
        ),
        f"{OKDDIP}, train_GL.py",
        "program",
        "it reports its leader's best epoch on the test split, ours the last",
    ),
    "kdcl": Recipe(
        "kdcl",
        3,
        False,
        _recipe(
            decay=1e-4,
            fill="zero",
            distill__kdcl_teacher="min_logit",
            distill__temperature=2,
            distill__ramp_up=0,
            distill__weight=1,
        ),
        "two readers of the paper (temperature, weight, weight decay, Nesterov); no program of the "
        "authors",
        "second hand",
        "which of its teachers, how many networks and how crops are filled is not said",
    ),
    "pcl": Recipe(
        "pcl",
        3,
        True,
        _recipe(
            decay=5e-4,
            fill="zero",
            distill__temperature=3,
            distill__ramp_up=RAMP_UP,
            distill__weight=1,
        ),
        "arXiv:2006.04147; settings: "
        "shaoeric/Peer-Collaborative-Learning-for-Online-Knowledge-Distillation at 6afb473",
        "paper and port",
        "the port divides its ramp-up's epoch by 1 in place of 80, and reports the best of the "
        "three averages; ours is the paper's, its first peer",
    ),
    "ffsd": Recipe(
        "ffsd",
        3,
        False,
        _recipe(
            decay=1e-4,
            fusion_decay=1e-5,
            fill="reflect",
            distill__temperature=2,
            distill__ramp_up=5 / 300,
            distill__weight=1,
            distill__diversity_weight=1e-5,
            distill__attention_weight=10,
            distill__decoder_weight=1000,
        ),
        "SJLeo/FFSD at d5cfda9, cifar.py with CIFARTrainer.py",
        "program",
        "its loop runs 299 epochs, and its ramp-up counts them from 1; it reports its leader's "
        "best epoch on the test split, ours the last",
    ),
    "dccl": Recipe(
        "dccl",
        2,
        False,
        _recipe(
            decay=2e-4,
            fusion_decay=1e-5,
            fill="reflect",
            distill__temperature=3,
            distill__ramp_up=RAMP_UP,
            distill__weight=1,
        ),
        "nanxiaotong/DCCL at b1fbd85, train_rn32.py",
        "program",
        "its loop runs 301 epochs, and its fusion module's learning rate stays .1 to the end",
    ),
    **{
        f"mcl-x{count}": Recipe(
            "mcl",
            count,
            False,
            _recipe(
                decay=5e-4,
                fill="zero",
                optim__lr_schedule="cosine",
                data__images_per_class=2,
                distill__temperature=3,
                distill__ramp_up=0,
                distill__weight=1,
                distill__contrast_weight=0.1,
                distill__contrast_temperature=0.1,
                distill__logit_teacher=False,
            ),
            "winycg/MCL at 236da2f, batches of 64 classes with two images each",
            "program",
            "its learning rate follows a cosine; its program keeps its best network's accuracy at "
            "the best epoch on the test split, ours is the networks' mean after the last",
        )
        for count in (2, 4)
    },
}
