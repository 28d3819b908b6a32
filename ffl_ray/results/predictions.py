"""The predictions table: a part for each training, a row for each of its members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ffl_ray.results.parts import Parts, write_of_trial
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.predictions import Predictions, from_texts

Row = dict[str, Any]
TABLE = "predictions"


def write_predictions(
    storage: Storage, study: str, trial_id: str, members: Sequence[Row], predictions: Sequence[Row]
) -> None:
    """Store what a training's members make of each image; what it has of them is replaced.

    Args:
        members: rows of the members table, of the same epoch and split.
        predictions: as a report holds them.

    Raises:
        ValueError: one is not of as many images as it says.
    """
    rows = []
    for one in predictions:
        found = from_texts(one, one["images"])
        rows.append({"member": one["member"], "images": one["images"], **found._asdict()})
    write_of_trial(storage, TABLE, study, trial_id, members, rows)


def read_predictions(storage: Storage, trial_id: str) -> dict[str, Predictions]:
    """What a training's members make of each image, by member; nothing where it is not kept.

    Raises:
        StudyError: the table is damaged.
    """
    parts = Parts(storage, TABLE)
    columns = ("trial_id", "member", "right", "nll")
    found = {}
    for name in parts.of_trial(trial_id):
        table = parts.read(name, columns)
        for place, member in enumerate(table["member"].to_pylist()):
            right, nll = (table[column][place].values for column in columns[2:])
            found[member] = Predictions(
                right.to_numpy(zero_copy_only=False).astype(bool), nll.to_numpy()
            )
    return found
