"""The columns of every table: name, type, unit and meaning."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from ffl_ray.config.overrides import settings
from ffl_ray.config.settings import Config

STATUSES = ("running", "completed", "pruned", "failed", "interrupted")
ENDED = ("completed", "pruned", "failed")

AUDITED = "audited_epoch"
BASELINE = "baseline"
DEFAULT, PLAIN = "default", "plain"
PLAIN_ID = "00001"

TEXT, INT, FLOAT, BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
FLOATS, TEXTS = pa.list_(pa.float64()), pa.list_(pa.string())
_TIME = pa.timestamp("us", tz="UTC")


class Column(NamedTuple):
    """One column of a table."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


def num_ended(rows: Iterable[Mapping[str, Any]]) -> int:
    """How many of these rows of a trials table have ended."""
    return sum(row["status"] in ENDED for row in rows)


_IDS = [
    Column("study", TEXT, "", "name of the study"),
    Column("trial_id", TEXT, "", "number of the trial in its study, five digits"),
]


def _arrow_type(kind: Any) -> pa.DataType:
    """Column type of a setting: its annotation without None, Literal and length."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _arrow_type(next(k for k in typing.get_args(kind) if k is not type(None)))
    if origin is typing.Literal:
        return TEXT
    if origin is tuple:
        of, _ = typing.get_args(kind)
        return TEXT if of is str else TEXTS if typing.get_origin(of) is typing.Literal else FLOATS
    return {str: TEXT, int: INT, float: FLOAT, bool: BOOL}[kind]


def _setting_columns() -> list[Column]:
    return [
        Column(
            one.name,
            _arrow_type(one.field.annotation),
            one.marks.unit,
            one.field.description or "",
        )
        for one in settings(Config)
    ]


TRIALS = [
    *_IDS,
    Column("status", TEXT, "", f"one of {', '.join(STATUSES)}; a dead study's stay running"),
    Column("attempt", INT, "", "how often it was started, from 1"),
    Column("error_type", TEXT, "", "class of the error that ended it"),
    Column("error", TEXT, "", "that error's message"),
    Column("started", _TIME, "", "when its first attempt was started"),
    Column("ended", _TIME, "", "when it ended"),
    Column("epochs_done", INT, "epochs", "finished epochs"),
    Column("epochs_planned", INT, "epochs", "length it was planned for"),
    Column("objective_value", FLOAT, "", "of the setting objective, after the latest epoch"),
    Column("objective_values", FLOATS, "", "of the study's objectives, in order, likewise"),
    Column(
        "val.fused.accuracy",
        FLOAT,
        "fraction",
        "top-1 of the fused classifier, likewise; null where the method has none",
    ),
    Column("val.ensemble.accuracy", FLOAT, "fraction", "of the ensemble, likewise"),
    Column("val.best_branch.accuracy", FLOAT, "fraction", "of the best branch, likewise"),
    Column("best_epoch", INT, "epochs", "epoch of the best objective_value, from 1"),
    Column("best_objective_value", FLOAT, "", "objective_value at that epoch"),
    Column("num_branches", INT, "branches", "how many branches the mix has"),
    *_setting_columns(),
    Column("params", TEXT, "", "Optuna's parameters, JSON"),
    Column("distributions", TEXT, "", "Optuna's distributions of them, JSON"),
    Column(
        "sampler_state",
        TEXT,
        "",
        "what Optuna's sampler noted of the trial, and by which share it breaks constraints, JSON",
    ),
    Column("num_workers", INT, "processes", "training processes"),
    Column("cpus_per_trial", FLOAT, "CPUs", "CPUs of all its workers"),
    Column("gpus_per_trial", FLOAT, "GPUs", "GPUs of all its workers"),
    Column("split_hash", TEXT, "", "names the train/val split; equal hashes, equal splits"),
    Column(
        AUDITED,
        INT,
        "epochs",
        "when the scheduler would have stopped it; it was finished to see what stopping costs",
    ),
    Column(
        BASELINE,
        TEXT,
        "",
        f"{DEFAULT}: the point of the method's own settings, or the nearest; {PLAIN}: one backbone "
        f"alone for the same seconds, no point of the space; null: what the search proposed",
    ),
    Column("accelerator_s", FLOAT, "s", "seconds of training and validation, times workers"),
    Column(
        "peak_memory_bytes",
        INT,
        "bytes",
        "GPU: allocated at most; CPU: of the process so far; none: trials share it",
    ),
]
EPOCHS = [
    *_IDS,
    Column("attempt", INT, "", "the attempt that computed it, from 1"),
    Column("epoch", INT, "epochs", "finished epochs, from 1"),
    Column("time", _TIME, "", "when it was finished"),
    Column("lr", FLOAT, "", "learning rate of the epoch"),
    Column("distill_weight", FLOAT, "", "ramp-up's factor on the distillation terms"),
    Column("loss.total", FLOAT, "nats", "mean training loss, with weights and ramp-up"),
    Column(
        "loss.ce_branches",
        FLOATS,
        "nats",
        "cross-entropy of each branch, labels mixed and smoothed",
    ),
    Column("loss.ce_fused", FLOAT, "nats", "the same of the fused classifier"),
    Column("loss.ce_averaged", FLOAT, "nats", "the same of the branches' mean weights (okdph)"),
    Column("loss.ensemble_to_fused", FLOAT, "nats", "KL, times T^2; null when switched off"),
    Column(
        "loss.branches_to_fused", FLOAT, "nats", "the same with branches as teachers (ktg, dccl)"
    ),
    Column("loss.fused_to_branches", FLOATS, "nats", "the same for each branch as student"),
    Column(
        "loss.ensemble_to_branches",
        FLOATS,
        "nats",
        "the same with the ensemble as teacher (ktg)",
    ),
    Column(
        "loss.peers_to_branches",
        FLOATS,
        "nats",
        "the same with other branches as teachers (dml, kdcl, okddip and others)",
    ),
    Column(
        "loss.mean_teachers_to_branches",
        FLOATS,
        "nats",
        "the same with the others' averaged weights as teachers (pcl, dkel)",
    ),
    Column("loss.own", FLOATS, "nats", "terms that no other method has, in order"),
    Column("loss.own_names", TEXT, "", "names of those terms, with commas between them"),
    Column(
        "val.fused.accuracy",
        FLOAT,
        "fraction",
        "top-1 of the fused classifier; null where the method has none",
    ),
    Column("val.ensemble.accuracy", FLOAT, "fraction", "top-1 of the mean of branch logits"),
    Column("val.best_branch.accuracy", FLOAT, "fraction", "highest of the branches"),
    Column("val.mean_branch.accuracy", FLOAT, "fraction", "mean of the branches"),
    Column("val.branches.accuracy", FLOATS, "fraction", "top-1 of each branch"),
    Column("val.fused.nll", FLOAT, "nats", "negative log-likelihood"),
    Column("val.ensemble.nll", FLOAT, "nats", "likewise"),
    Column("val.branches.nll", FLOATS, "nats", "likewise, of each branch"),
    Column("objective_value", FLOAT, "", "of the setting objective"),
    Column("best_epoch", INT, "epochs", "epoch of the best objective_value so far"),
    Column("precision", TEXT, "", "computed in: float32, tf32 or bfloat16"),
    Column("recorded", BOOL, "", "whether steps were replayed from a CUDA graph; null on a CPU"),
    Column("train_s", FLOAT, "s", "training"),
    Column(
        "train_cpu_s",
        FLOAT,
        "s",
        "CPU time of rank 0's process meanwhile, over its threads; none: trials share it, or the "
        "epoch was begun by another",
    ),
    Column("epoch_s", FLOAT, "s", "training and validation"),
    Column("images_per_s", FLOAT, "images/s", "training, over all workers"),
    Column("accelerator_s", FLOAT, "s", "epoch_s times workers, summed over the trial's epochs"),
    Column(
        "peak_memory_bytes",
        INT,
        "bytes",
        "GPU: allocated at most; CPU: of the process so far; none: trials share it",
    ),
]
MEMBER = Column(
    *("member", TEXT, ""),
    "branch0, ..., ensemble, fused, pcl's and dkel's mean_teacher0, ..., or okdph's averaged",
)
ROLE = Column(
    *("role", TEXT, ""),
    "deployed, what the method's authors ship, one or any of them; whole, all taken together",
)
MEMBERS = [
    *_IDS,
    MEMBER,
    ROLE,
    Column("backbone", TEXT, "", "of a branch, or of its average; null for ensemble and fused"),
    Column("checkpoint", TEXT, "", "latest, or best by the setting objective on val"),
    Column("epoch", INT, "epochs", "epoch of that checkpoint, from 1"),
    Column("split", TEXT, "", "what it is measured on: val, or at the end of a final run test"),
    Column("split_hash", TEXT, "", "names the train/val split"),
    Column("images", INT, "images", "how many it is measured on"),
    Column("accuracy", FLOAT, "fraction", "top-1"),
    Column("top5", FLOAT, "fraction", "right class among the five likeliest"),
    Column("nll", FLOAT, "nats", "negative log-likelihood per example"),
    Column("ece", FLOAT, "fraction", "expected calibration error, 15 bins"),
    Column("parameters", INT, "", "of the member deployed alone"),
    Column("macs", INT, "", "multiply-accumulates of one image, convolutions and matrix products"),
    Column("latency_ms", FLOAT, "ms", "of one image where it was trained; null: not measured"),
]
CLASSES = [
    *_IDS,
    Column("member", TEXT, "", "as in the members table"),
    Column("epoch", INT, "epochs", "of the checkpoint latest, the training's last one"),
    Column("split", TEXT, "", "val; of a final run test"),
    Column("split_hash", TEXT, "", "names the train/val split"),
    Column("class_index", INT, "", "place of the class among the logits, from 0"),
    Column("class", TEXT, "", "its name"),
    Column("images", INT, "images", "of this class in the split"),
    Column("accuracy", FLOAT, "fraction", "share of them that are right; null: there is none"),
    Column(
        "taken_for",
        pa.list_(INT),
        "",
        "class_index of each other class that some of them were taken for, most often first",
    ),
    Column("taken_for_images", pa.list_(INT), "images", "how many were, in the same order"),
    Column(
        "pictures",
        pa.list_(pa.binary()),
        "",
        "in the same order; of the member's four most frequent mistakes a JPEG file of up to three "
        "images side by side, those that it was surest of; else null",
    ),
]
TABLES = {"trials": TRIALS, "epochs": EPOCHS, "members": MEMBERS}
PREDICTIONS = {
    "predictions": [
        *_IDS,
        Column("member", TEXT, "", "as in the members table"),
        Column("epoch", INT, "epochs", "of the checkpoint latest, the training's last one"),
        Column("split", TEXT, "", "test of a final run; val with --predictions"),
        Column("split_hash", TEXT, "", "names the train/val split"),
        Column("images", INT, "images", "how many there are"),
        Column("right", pa.list_(BOOL), "", "of each image: whether the likeliest class is its"),
        Column(
            "nll",
            pa.list_(pa.float32()),
            "nats",
            "of each image: negative log-likelihood, rounded to a float16",
        ),
    ],
    "classes": CLASSES,
}
