"""The columns of every table: name, type, unit and meaning."""

from __future__ import annotations

import types
import typing
from typing import Any, NamedTuple

import pyarrow as pa

from ffl_ray.config.overrides import settings
from ffl_ray.config.settings import Config

STATUSES = ("running", "completed", "pruned", "failed", "interrupted")

_TEXT, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_FLOATS = pa.list_(pa.float64())
_TIME = pa.timestamp("us", tz="UTC")


class Column(NamedTuple):
    """One column of a table."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


_IDS = [
    Column("study", _TEXT, "", "name of the study"),
    Column("trial_id", _TEXT, "", "number of the trial in its study, five digits"),
]


def _arrow_type(kind: Any) -> pa.DataType:
    """Column type of a setting: its annotation without None, Literal and length."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _arrow_type(next(k for k in typing.get_args(kind) if k is not type(None)))
    if origin is typing.Literal:
        return _TEXT
    if origin is tuple:
        return _TEXT if typing.get_args(kind)[0] is str else _FLOATS
    return {str: _TEXT, int: _INT, float: _FLOAT, bool: _BOOL}[kind]


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
    Column("status", _TEXT, "", f"one of {', '.join(STATUSES)}; a dead study's stay running"),
    Column("attempt", _INT, "", "how often it was started, from 1"),
    Column("error_type", _TEXT, "", "class of the error that ended it"),
    Column("error", _TEXT, "", "that error's message"),
    Column("started", _TIME, "", "when its first attempt was started"),
    Column("ended", _TIME, "", "when it ended"),
    Column("epochs_done", _INT, "epochs", "finished epochs"),
    Column("epochs_planned", _INT, "epochs", "length it was planned for"),
    Column("objective_value", _FLOAT, "", "of the setting objective, after the latest epoch"),
    Column("objective_values", _FLOATS, "", "of the study's objectives, in order, likewise"),
    Column(
        "val.fused.accuracy",
        _FLOAT,
        "fraction",
        "top-1 of the fused classifier, likewise; null where the method has none",
    ),
    Column("val.ensemble.accuracy", _FLOAT, "fraction", "of the ensemble, likewise"),
    Column("val.best_branch.accuracy", _FLOAT, "fraction", "of the best branch, likewise"),
    Column("best_epoch", _INT, "epochs", "epoch of the best objective_value, from 1"),
    Column("best_objective_value", _FLOAT, "", "objective_value at that epoch"),
    Column("num_branches", _INT, "branches", "how many branches the mix has"),
    *_setting_columns(),
    Column("params", _TEXT, "", "Optuna's parameters, JSON"),
    Column("distributions", _TEXT, "", "Optuna's distributions of them, JSON"),
    Column(
        "sampler_state",
        _TEXT,
        "",
        "what Optuna's sampler noted of the trial, and by which share it breaks constraints, JSON",
    ),
    Column("num_workers", _INT, "processes", "training processes"),
    Column("cpus_per_trial", _FLOAT, "CPUs", "CPUs of all its workers"),
    Column("gpus_per_trial", _FLOAT, "GPUs", "GPUs of all its workers"),
    Column("split_hash", _TEXT, "", "names the train/val split; equal hashes, equal splits"),
    Column("accelerator_s", _FLOAT, "s", "seconds of training and validation, times workers"),
    Column(
        "peak_memory_bytes", _INT, "bytes", "GPU: allocated at most; CPU: of the process so far"
    ),
]
EPOCHS = [
    *_IDS,
    Column("attempt", _INT, "", "the attempt that computed it, from 1"),
    Column("epoch", _INT, "epochs", "finished epochs, from 1"),
    Column("time", _TIME, "", "when it was finished"),
    Column("lr", _FLOAT, "", "learning rate of the epoch"),
    Column("distill_weight", _FLOAT, "", "ramp-up's factor on the distillation terms"),
    Column("loss.total", _FLOAT, "nats", "mean training loss, with weights and ramp-up"),
    Column(
        "loss.ce_branches",
        _FLOATS,
        "nats",
        "cross-entropy of each branch, labels mixed and smoothed",
    ),
    Column("loss.ce_fused", _FLOAT, "nats", "the same of the fused classifier"),
    Column("loss.ce_averaged", _FLOAT, "nats", "the same of the branches' mean weights (okdph)"),
    Column("loss.ensemble_to_fused", _FLOAT, "nats", "KL, times T^2; null when switched off"),
    Column("loss.branches_to_fused", _FLOAT, "nats", "the same with branches as teachers (ktg)"),
    Column("loss.fused_to_branches", _FLOATS, "nats", "the same for each branch as student"),
    Column(
        "loss.ensemble_to_branches",
        _FLOATS,
        "nats",
        "the same with the ensemble as teacher (ktg)",
    ),
    Column(
        "loss.peers_to_branches",
        _FLOATS,
        "nats",
        "the same with other branches as teachers (dml, cl_ilr, kdcl, okddip, okdph, ktg)",
    ),
    Column(
        "loss.mean_teachers_to_branches",
        _FLOATS,
        "nats",
        "the same with the others' averaged weights as teachers (pcl)",
    ),
    Column("loss.own", _FLOATS, "nats", "terms that no other method has, in order"),
    Column("loss.own_names", _TEXT, "", "names of those terms, with commas between them"),
    Column(
        "val.fused.accuracy",
        _FLOAT,
        "fraction",
        "top-1 of the fused classifier; null where the method has none",
    ),
    Column("val.ensemble.accuracy", _FLOAT, "fraction", "top-1 of the mean of branch logits"),
    Column("val.best_branch.accuracy", _FLOAT, "fraction", "highest of the branches"),
    Column("val.mean_branch.accuracy", _FLOAT, "fraction", "mean of the branches"),
    Column("val.branches.accuracy", _FLOATS, "fraction", "top-1 of each branch"),
    Column("val.fused.nll", _FLOAT, "nats", "negative log-likelihood"),
    Column("val.ensemble.nll", _FLOAT, "nats", "likewise"),
    Column("val.branches.nll", _FLOATS, "nats", "likewise, of each branch"),
    Column("objective_value", _FLOAT, "", "of the setting objective"),
    Column("best_epoch", _INT, "epochs", "epoch of the best objective_value so far"),
    Column("precision", _TEXT, "", "computed in: float32, tf32 or bfloat16"),
    Column("recorded", _BOOL, "", "whether steps were replayed from a CUDA graph; null on a CPU"),
    Column("train_s", _FLOAT, "s", "training"),
    Column("train_cpu_s", _FLOAT, "s", "CPU time of rank 0's process meanwhile, over its threads"),
    Column("epoch_s", _FLOAT, "s", "training and validation"),
    Column("images_per_s", _FLOAT, "images/s", "training, over all workers"),
    Column("accelerator_s", _FLOAT, "s", "epoch_s times workers, summed over the trial's epochs"),
    Column(
        "peak_memory_bytes", _INT, "bytes", "GPU: allocated at most; CPU: of the process so far"
    ),
]
MEMBER = Column(
    *("member", _TEXT, ""),
    "branch0, ..., ensemble, fused, pcl's mean_teacher0, ..., or okdph's averaged",
)
ROLE = Column(
    *("role", _TEXT, ""),
    "deployed, what the method's authors ship, one or any of them; whole, all taken together",
)
MEMBERS = [
    *_IDS,
    MEMBER,
    ROLE,
    Column("backbone", _TEXT, "", "of a branch, or of its average; null for ensemble and fused"),
    Column("checkpoint", _TEXT, "", "latest, or best by the setting objective on val"),
    Column("epoch", _INT, "epochs", "epoch of that checkpoint, from 1"),
    Column("split", _TEXT, "", "what it is measured on: val, or at the end of a final run test"),
    Column("split_hash", _TEXT, "", "names the train/val split"),
    Column("images", _INT, "images", "how many it is measured on"),
    Column("accuracy", _FLOAT, "fraction", "top-1"),
    Column("top5", _FLOAT, "fraction", "right class among the five likeliest"),
    Column("nll", _FLOAT, "nats", "negative log-likelihood per example"),
    Column("ece", _FLOAT, "fraction", "expected calibration error, 15 bins"),
    Column("parameters", _INT, "", "of the member deployed alone"),
    Column("macs", _INT, "", "multiply-accumulates of one image, convolutions and matrix products"),
    Column("latency_ms", _FLOAT, "ms", "of one image where it was trained; null: not measured"),
]
TABLES = {"trials": TRIALS, "epochs": EPOCHS, "members": MEMBERS}
PREDICTIONS = {
    "predictions": [
        *_IDS,
        Column("member", _TEXT, "", "as in the members table"),
        Column("epoch", _INT, "epochs", "of the checkpoint latest, the training's last one"),
        Column("split", _TEXT, "", "test of a final run; val with --predictions"),
        Column("split_hash", _TEXT, "", "names the train/val split"),
        Column("images", _INT, "images", "how many there are"),
        Column("right", pa.list_(_BOOL), "", "of each image: whether the likeliest class is its"),
        Column(
            "nll",
            pa.list_(pa.float32()),
            "nats",
            "of each image: negative log-likelihood, rounded to a float16",
        ),
    ]
}

_ARM = [
    Column("arm", _TEXT, "", "name of a config that was trained with every seed"),
    Column("trial_id", _TEXT, "", "of the search's trial that it was; null for a baseline"),
]


def _interval(name: str, unit: str, what: str) -> list[Column]:
    """Mean, spread and interval of a quantity."""
    return [
        Column(f"{name}.mean", _FLOAT, unit, f"{what}, mean over the seeds"),
        Column(f"{name}.std", _FLOAT, unit, "standard deviation of the sample; null below two"),
        Column(f"{name}.low", _FLOAT, unit, "lower end of the mean's 95% interval"),
        Column(f"{name}.high", _FLOAT, unit, "its upper end"),
    ]


RUNS = [
    Column("run_id", _TEXT, "", "trial_id of the training in the tables beside this one"),
    *_ARM,
    Column("seed", _INT, "", "of weights, data order and augmentation"),
]
SUMMARY = [
    *_ARM,
    Column("role", _TEXT, "", "config: of the search; baseline: without any teaching"),
    Column("mix", _TEXT, "", "backbones of the branches"),
    Column("method", _TEXT, "", "how the members teach each other"),
    Column("epochs", _INT, "epochs", "length of each training"),
    MEMBER,
    Column("backbone", _TEXT, "", "of a branch, or of its average; null for ensemble and fused"),
    Column("n", _INT, "seeds", "trainings behind the row"),
    Column("images", _INT, "images", "of the test split"),
    *_interval("accuracy", "fraction", "top-1 on the test split"),
    *_interval("nll", "nats", "negative log-likelihood on the test split"),
    Column("parameters", _INT, "", "of the member deployed alone"),
    Column("macs", _INT, "", "multiply-accumulates of one image"),
    Column("over", _TEXT, "", "what the intervals are over: seeds, or seeds and images"),
    Column("accelerator_s", _FLOAT, "s", "of a whole training, mean over the seeds"),
]
COMPARISONS = [
    *_ARM,
    Column("member", _TEXT, "", "of the config"),
    Column("equal", _TEXT, "", "of both sides: epochs, or accelerator-seconds of training"),
    Column("kind", _TEXT, "", "of the baseline: alone, together, untaught or same_macs"),
    Column("baseline", _TEXT, "", "arm that it is compared with"),
    Column("baseline_member", _TEXT, "", "of the baseline"),
    Column("metric", _TEXT, "", "accuracy or nll, on the test split"),
    Column("n", _INT, "seeds", "pairs of trainings with the same seed"),
    Column("mean", _FLOAT, "", "of the config, over these seeds"),
    Column("baseline_mean", _FLOAT, "", "of the baseline, likewise"),
    *_interval("difference", "", "config minus baseline, paired by seed"),
    Column("over", _TEXT, "", "what the interval is over: seeds, or seeds and images"),
    Column("primary", _BOOL, "", "whether it is tested at 5% by itself, the others by Holm"),
    Column("margin", _FLOAT, "fraction", "differences below it do not matter; of accuracy alone"),
    Column("verdict", _TEXT, "", "better, worse, equal, undecided, or why there is none"),
    Column("p", _FLOAT, "", "that there is no difference, corrected by Holm"),
    Column("p_equal", _FLOAT, "", "that it is the margin or more (two one-sided tests), likewise"),
    Column("detectable", _FLOAT, "", "least true difference that is seen at a power of 80%"),
    Column("more_seeds", _INT, "seeds", "that would settle it; null: it is, or none would"),
    Column("more_s", _FLOAT, "s", "accelerator-seconds that these take on both sides"),
    Column("macs", _INT, "", "multiply-accumulates of one image through the config's member"),
    Column("baseline_macs", _INT, "", "through the baseline's"),
    Column("epochs", _INT, "epochs", "of the config"),
    Column("baseline_epochs", _INT, "epochs", "of the baseline"),
    Column("accelerator_s", _FLOAT, "s", "of a training of the config, mean over the seeds"),
    Column("baseline_accelerator_s", _FLOAT, "s", "of a training of the baseline, likewise"),
]
CONFIRMED = {"runs": RUNS, "summary": SUMMARY, "comparisons": COMPARISONS}
_REPRODUCED = [
    Column("study", _TEXT, "", "name of the study"),
    Column("table", _TEXT, "", "the published table, as `ffl_ray.reproduce` names it"),
    Column("row", _TEXT, "", "the row in it: published backbone and method"),
    Column("published_backbone", _TEXT, "", "as it is printed there"),
    Column("published_method", _TEXT, "", "likewise"),
    Column("data.name", _TEXT, "", "the setting of ours"),
    Column("distill.method", _TEXT, "", "likewise"),
    Column("model.mix", _TEXT, "", "likewise"),
    Column("figure", _TEXT, "", "the member of ours that is compared, or a difference of two"),
    Column("published_mean", _FLOAT, "fraction", "top-1 on test; null where only a range is given"),
    Column("published_std", _FLOAT, "fraction", "of the authors' runs; null when not printed"),
    Column("band_low", _FLOAT, "fraction", "published mean - 2 std, or the range's low end"),
    Column("band_high", _FLOAT, "fraction", "published mean + 2 std, or the range's high end"),
    Column("n", _INT, "", "runs of ours, one a seed"),
    Column("mean", _FLOAT, "fraction", "of ours, on test after the last epoch"),
    Column("std", _FLOAT, "fraction", "of ours, of the sample; null below two runs"),
    Column("low", _FLOAT, "fraction", "low end of the 95% interval of ours, Student's t"),
    Column("high", _FLOAT, "fraction", "its high end"),
    Column("difference", _FLOAT, "fraction", "mean of ours minus the published one"),
    Column("verdict", _TEXT, "", "in band, out of band, undecided, or why there is none"),
    Column("seeds", _INT, "seeds", "that give an interval no wider than the band; if undecided"),
    Column("departures", _TEXT, "", "what makes ours incomparable; null: nothing"),
    Column("source", _TEXT, "", "where it is published"),
    Column("cautions", _TEXT, "", "what to know before believing a difference"),
]
REPRODUCED = {"reproduced": _REPRODUCED}
