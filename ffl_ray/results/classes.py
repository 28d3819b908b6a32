"""The classes table: a part for each training, a row for each class of each of its members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ffl_ray.results.parts import Parts, write_of_trial
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.confusions import Confusions, from_row, mistakes

Row = dict[str, Any]
TABLE = "classes"
JPEG = b"\xff\xd8\xff"
MOST_OTHERS = 3
Pair = tuple[int, int]


class Classes(NamedTuple):
    """A member's outcomes by class, over one training or several of one config.

    Attributes:
        names: of the classes, in the order of the logits.
        images: of each class, over all trainings.
        counts: images by class and the class that they were taken for, its own among them.
        pictures: of some pairs of different classes, each a JPEG file.
    """

    names: list[str]
    images: list[int]
    counts: Counter[Pair]
    pictures: dict[Pair, bytes]

    def accuracy(self, index: int) -> float | None:
        """Of a class, if it has images."""
        images = self.images[index]
        return self.counts[index, index] / images if images else None

    def mistakes(self) -> list[Pair]:
        """The pairs of different classes, the most frequent first."""
        return mistakes(self.counts)

    def frame(self) -> pd.DataFrame:
        """A row for each class with what it is taken for most often, the hardest first."""
        others: dict[int, list[int]] = {}
        for true, taken_for in self.mistakes():
            others.setdefault(true, []).append(taken_for)
        rows = [
            {
                "class": name,
                "images": self.images[index],
                "accuracy": self.accuracy(index),
                "most_often_taken_for": ", ".join(
                    f"{self.names[other]} ({self.counts[index, other]})"
                    for other in others.get(index, [])[:MOST_OTHERS]
                ),
            }
            for index, name in enumerate(self.names)
        ]
        return pd.DataFrame(rows).sort_values("accuracy", kind="stable", ignore_index=True)

    def pairs_frame(self, pairs: Iterable[Pair]) -> pd.DataFrame:
        """A row for each of these pairs."""
        return pd.DataFrame(
            [
                {
                    "class": self.names[true],
                    "taken_for": self.names[taken_for],
                    "images": self.counts[true, taken_for],
                    "of": self.images[true],
                }
                for true, taken_for in pairs
            ]
        )


def classes_of(storage: Storage, trial_ids: Iterable[str], *members: str) -> Classes | None:
    """How members of these trainings do by class, added up; None where none keeps it.

    Raises:
        StudyError: the table is damaged.
    """
    every = (read_classes(storage, name, one) for name in trial_ids for one in members)
    found = [rows for rows in every if rows]
    if not found:
        return None
    counts: Counter[Pair] = Counter()
    pictures: dict[Pair, bytes] = {}
    for row in (row for rows in found for row in rows):
        true = row["class_index"]
        counts[true, true] += round((row["accuracy"] or 0.0) * row["images"])
        cells = zip(row["taken_for"], row["taken_for_images"], row["pictures"], strict=True)
        for other, images, picture in cells:
            counts[true, other] += images
            # Whatever shows it may be a browser, which takes some other files for pages.
            if picture is not None and picture.startswith(JPEG):
                pictures.setdefault((true, other), picture)
    names = [str(row["class"]) for row in found[0]]
    images = [sum(rows[index]["images"] for rows in found) for index in range(len(names))]
    return Classes(names, images, counts, pictures)


def write_classes(
    storage: Storage, study: str, trial_id: str, members: Sequence[Row], classes: Iterable[Row]
) -> None:
    """Store how a training's members do by class; what it has of them is replaced.

    Args:
        members: rows of the members table, of the same epoch and split.
        classes: a row for each member, as a report holds them.

    Raises:
        ValueError: one counts classes that there are not.
    """
    rows = [{"member": one["member"]} | row for one in classes for row in _by_class(*from_row(one))]
    write_of_trial(storage, TABLE, study, trial_id, members, rows)


def _by_class(found: Confusions, classes: Sequence[str]) -> list[Row]:
    """A row for each class, with the others that it was taken for, the most frequent first."""
    taken: list[dict[int, int]] = [{} for _ in classes]
    for (true, taken_for), images in found.counts.items():
        taken[true][taken_for] = images
    rows = []
    for index, name in enumerate(classes):
        images = sum(taken[index].values())
        right = taken[index].pop(index, 0)
        others = sorted(taken[index], key=lambda other: (-taken[index][other], other))
        rows.append(
            {
                "class_index": index,
                "class": name,
                "images": images,
                "accuracy": right / images if images else None,
                "taken_for": others,
                "taken_for_images": [taken[index][other] for other in others],
                "pictures": [found.pictures.get((index, other)) for other in others],
            }
        )
    return rows


def read_classes(storage: Storage, trial_id: str, member: str) -> list[Row]:
    """How a training's member does by class, in the order of the logits; nothing if it isn't kept.

    Raises:
        StudyError: the table is damaged.
    """
    parts = Parts(storage, TABLE)
    names = parts.of_trial(trial_id)
    rows = [row for name in names for row in parts.read(name).to_pylist()]
    return sorted(
        (row for row in rows if row["member"] == member), key=lambda row: row["class_index"]
    )
