"""A study that nobody trained: rows of the real schema, with values that a training could give.

Curves rise and scatter, branches differ in number and methods in their loss terms, trials run
several at once: their rows stand in the table as they would have been reported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.results.schema import arrow_schema, config_columns

Row = dict[str, Any]
Array = np.ndarray[Any, Any]
AT_ONCE = 8
NUM_VAL = 5000
STARTED_US = 1_700_000_000_000_000
MIXES = ("2*resnet20", "resnet20+2*resnet32", "2*resnet20+2*wrn16_2")
METHODS = ("ffl", "ffl", "ffl", "dml", "ffl", "independent", "ffl")
DISTRIBUTIONS = {
    "num_branches": {"name": "IntDistribution", "attributes": {"low": 2, "high": 4, "step": 1}},
    "distill.temperature": {"name": "FloatDistribution", "attributes": {"low": 1.0, "high": 8.0}},
}


class Rows(NamedTuple):
    """Where the epochs of some trials stand: one entry a row.

    Attributes:
        trial: number of the trial.
        epoch: from 1.
        epochs: how many a trial has.
    """

    trial: Array
    epoch: Array
    epochs: int

    @property
    def branches(self) -> Array:
        return 2 + self.trial % len(MIXES)

    def of_method(self, *names: str) -> Array:
        """Which rows are of these methods."""
        chosen = np.array([name in names for name in METHODS])
        found: Array = chosen[self.trial % len(METHODS)]
        return found


def rows_of(first: int, trials: int, epochs: int) -> Rows:
    """The epochs of some trials in the order in which they are reported, `AT_ONCE` by turns."""
    trial = np.repeat(np.arange(first, first + trials), epochs)
    epoch = np.tile(np.arange(1, epochs + 1), trials)
    order = np.lexsort((trial, epoch, trial // AT_ONCE))
    return Rows(trial[order], epoch[order], epochs)


def epochs_table(rows: Rows, seed: int = 0) -> pa.Table:
    """These rows of the epochs table."""
    generator = np.random.default_rng((seed, int(rows.trial[0])))
    accuracy = 0.72 * (1 - np.exp(-rows.epoch / 60)) + generator.normal(0, 0.01, len(rows.epoch))
    accuracy = _counted(accuracy)
    made = _numbers(rows, accuracy, generator) | _losses(rows, accuracy, generator)
    schema, nothing = arrow_schema("epochs"), pa.nulls(len(rows.epoch))  # terms of other methods
    found = [made.get(field.name, nothing).cast(field.type) for field in schema]
    return pa.table(found, schema=schema)


def _numbers(rows: Rows, accuracy: Array, generator: np.random.Generator) -> dict[str, pa.Array]:
    """Ids, accuracies and costs."""
    count = len(rows.epoch)
    fused = ~rows.of_method("ffl")
    scatter = _scatter(count, generator)
    seconds = 20 + generator.normal(0, 0.3, count)
    moment = rows.trial // AT_ONCE * rows.epochs + rows.epoch
    numbers, names = np.unique(rows.trial, return_inverse=True)
    ids = pa.DictionaryArray.from_arrays(names, [f"{n:05d}" for n in numbers])
    return {
        "study": pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), ["made"]),
        "trial_id": ids,
        "attempt": pa.array(np.ones(count, np.int64)),
        "epoch": pa.array(rows.epoch),
        "time": pa.array(STARTED_US + moment * 21 * 10**6),
        "lr": pa.array(0.05 * (1 + np.cos(np.pi * rows.epoch / rows.epochs))),
        "distill_weight": pa.array(np.exp(-5 * (1 - np.minimum(rows.epoch / 80, 1)) ** 2)),
        "val.fused.accuracy": pa.array(accuracy, mask=fused),
        "val.ensemble.accuracy": pa.array(_counted(accuracy + scatter())),
        "val.best_branch.accuracy": pa.array(_counted(accuracy + scatter())),
        "val.mean_branch.accuracy": pa.array(accuracy + scatter()),
        "val.branches.accuracy": _lists(rows, _counted, accuracy, generator),
        "val.fused.nll": pa.array(3 * (1 - accuracy) + scatter(), mask=fused),
        "val.ensemble.nll": pa.array(3 * (1 - accuracy) + scatter()),
        "val.branches.nll": _lists(rows, abs, 3 * (1 - accuracy), generator),
        "objective_value": pa.array(accuracy),
        "best_epoch": pa.array(np.maximum(1, rows.epoch - generator.integers(0, 5, count))),
        "precision": pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), ["bfloat16"]),
        "recorded": pa.array(np.ones(count, bool)),
        "train_s": pa.array(seconds - 1.5),
        "train_cpu_s": pa.array(2 * (seconds - 1.5)),
        "epoch_s": pa.array(seconds),
        "images_per_s": pa.array(45_000 / seconds),
        "accelerator_s": pa.array(rows.epoch * seconds),
        "peak_memory_bytes": pa.array(10**9 + rows.branches * 10**8 + rows.trial * 4096),
    }  # fmt: skip


def _losses(rows: Rows, accuracy: Array, generator: np.random.Generator) -> dict[str, pa.Array]:
    """The terms that each row's method has."""
    fused, taught_by_peers = ~rows.of_method("ffl"), ~rows.of_method("dml")
    loss = 4 * (1 - accuracy)
    scatter = _scatter(len(loss), generator)
    return {
        "loss.total": pa.array(rows.branches * loss + scatter()),
        "loss.ce_branches": _lists(rows, abs, loss, generator),
        "loss.ce_fused": pa.array(loss + scatter(), mask=fused),
        "loss.ensemble_to_fused": pa.array(loss / 2 + scatter(), mask=fused),
        "loss.fused_to_branches": _lists(rows, abs, loss / 2, generator, fused),
        "loss.peers_to_branches": _lists(rows, abs, loss / 2, generator, taught_by_peers),
    }


def _counted(accuracy: Array | float) -> Array:
    """Fractions of the validation images."""
    counted: Array = np.round(np.clip(accuracy, 0.01, 1.0) * NUM_VAL) / NUM_VAL
    return counted


def _scatter(count: int, generator: np.random.Generator) -> Callable[[], Array]:
    return lambda: generator.normal(0, 0.004, count)


def _lists(
    rows: Rows,
    shape: Callable[[Array], Array],
    around: Array,
    generator: np.random.Generator,
    missing: Array | None = None,
) -> pa.ListArray:
    """One value for each branch of each row; none where it is missing."""
    offsets = np.concatenate([[0], np.cumsum(rows.branches)]).astype(np.int32)
    values = np.repeat(around, rows.branches) + generator.normal(0, 0.01, offsets[-1])
    absent = None if missing is None else pa.array(missing)
    return pa.ListArray.from_arrays(offsets, pa.array(shape(values)), mask=absent)


def trial_rows(first: int, trials: int, epochs: int, seed: int = 0) -> Iterator[Row]:
    """These completed rows of the trials table, but for the study's name."""
    base = config_columns(with_overrides(Config(), {"optim.epochs": epochs}))
    for trial in range(first, first + trials):
        generator = np.random.default_rng((seed, 1, trial))
        temperature = float(generator.uniform(1, 8))
        accuracy = float(_counted(generator.normal(0.7, 0.02)))
        count = 2 + trial % len(MIXES)
        yield base | {
            "trial_id": f"{trial:05d}",
            "status": "completed",
            "attempt": 1,
            "started": datetime.fromtimestamp(STARTED_US / 1e6 + trial * 60, UTC),
            "ended": datetime.fromtimestamp(STARTED_US / 1e6 + trial * 60 + 6000, UTC),
            "epochs_done": epochs,
            "epochs_planned": epochs,
            "objective_value": accuracy,
            "objective_values": [accuracy],
            "val.fused.accuracy": accuracy,
            "val.ensemble.accuracy": accuracy,
            "best_epoch": epochs,
            "best_objective_value": accuracy,
            "num_branches": count,
            "model.mix": MIXES[trial % len(MIXES)],
            "distill.method": METHODS[trial % len(METHODS)],
            "distill.temperature": temperature,
            "params": json.dumps({"num_branches": count, "distill.temperature": temperature}),
            "distributions": json.dumps(DISTRIBUTIONS),
            "split_hash": "5f3a9c1e",
            "accelerator_s": 20.0 * epochs,
        }


def member_rows(trial: int, epoch: int) -> list[Row]:
    """The members of a trial after an epoch."""
    count = 2 + trial % len(MIXES)
    generator = np.random.default_rng((2, trial, epoch))
    names = [*(f"branch{i}" for i in range(count)), "ensemble"]
    names += ["fused"] * (METHODS[trial % len(METHODS)] == "ffl")
    return [
        {
            "member": name,
            "backbone": "resnet20" if name.startswith("branch") else None,
            "epoch": epoch,
            "split": "val",
            "split_hash": "5f3a9c1e",
            "images": NUM_VAL,
            "accuracy": float(_counted(generator.normal(0.7, 0.02))),
            "top5": 0.9,
            "nll": float(generator.normal(1.0, 0.05)),
            "ece": 0.05,
            "parameters": 272_474 + place,
            "macs": 40_813_184 + place,
        }
        for place, name in enumerate(names)
    ]
