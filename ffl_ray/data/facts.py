"""The facts that a study and its checkpoints keep of their data, and how data differ from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

MOST_NAMED = 10  # differences of one message
PARTS = ("", "test_")
MOST_IMAGES = 2**40
MOST = {"num_classes": 2**20}  # a network is planned with as many logits


class DataFacts(NamedTuple):
    """The facts of the data of one training.

    Attributes:
        split_hash: names the positions of train and val.
        num_train: images to train on.
        num_val: images to validate with.
        num_classes: of the data set.
        classes: their names, in the order of the labels.
        counts: images of each class that there are to train and validate with, before any share
            of them is taken; of a folder without a test split of its own those of that too.
        contents: of each class, a digest of the names and bytes of the images that are used;
            none where they were not read.
        test_counts: of a final training, images of each class in the test folder.
        test_contents: of a final training, as `contents`.
        skipped: files that can't be read and are left out, each with the reason.
        test_skipped: of a final training, likewise in the test split.
        notes: of a folder, which part is its test split, and what is passed over; not compared.
    """

    split_hash: str = ""
    num_train: int = 0
    num_val: int = 0
    num_classes: int = 0
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    contents: tuple[str, ...] = ()
    test_counts: tuple[int, ...] = ()
    test_contents: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    test_skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def differences(
    before: Mapping[str, Any],
    now: DataFacts,
    *,
    same_images: bool = True,
    same_split: bool = True,
) -> str:
    """How data differ from what was kept of them, in words; nothing where they agree.

    What one side does not know, because an older version wrote it, is not compared.

    Args:
        before: the facts as JSON holds them.
        same_images: both use the same share of all images; else classes and counts are compared.
        same_split: and both are split alike: two searches, or two final trainings.

    Raises:
        ValueError: it holds what no facts are.
    """
    kept = facts_in(before)
    found = [*_of_classes(kept, now)]
    # With other files another part of each class is set aside.
    if not found and same_images:
        found = [*_of_skipped(kept, now)] or [*_of_contents(kept, now)]
    if not found and same_images and same_split:
        found = [
            f"{name} was {getattr(kept, name)} and is {getattr(now, name)}"
            for name in ("num_classes", "num_train", "num_val", "split_hash")
            if name in before and getattr(kept, name) != getattr(now, name)
        ]
    more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return "; ".join(found[:MOST_NAMED]) + more


def facts_in(before: Mapping[str, Any]) -> DataFacts:
    """The facts that JSON holds.

    Raises:
        ValueError: a value is of another kind, or a number that there can't be.
    """
    found: dict[str, Any] = {}
    if not isinstance(before, Mapping):
        raise ValueError(f"of the data, there is {repr(before)[:80]}")
    for name, default in DataFacts()._asdict().items():
        value = before.get(name, default)
        if isinstance(default, tuple):
            pair = name.endswith("skipped")
            kind = (list, tuple) if pair else int if name.endswith("counts") else str
            if not isinstance(value, list | tuple) or not all(isinstance(v, kind) for v in value):
                raise ValueError(f"of the data, {name} is {repr(value)[:80]}")
            value = tuple(map(tuple, value)) if pair else tuple(value)
        elif type(value) is not type(default) or (
            isinstance(value, int) and not 0 <= value <= MOST.get(name, MOST_IMAGES)
        ):
            raise ValueError(f"of the data, {name} is {repr(value)[:80]}")
        found[name] = value
    return DataFacts(**found)


def _of_classes(kept: DataFacts, now: DataFacts) -> Iterator[str]:
    if not kept.classes or not now.classes:
        return
    yield from (f"class {name!r} is new" for name in now.classes if name not in kept.classes)
    yield from (f"class {name!r} is gone" for name in kept.classes if name not in now.classes)
    if kept.classes != now.classes and sorted(kept.classes) == sorted(now.classes):
        yield "the classes are in another order"
    for part in PARTS:
        before, after = (_by_class(facts, f"{part}counts") for facts in (kept, now))
        for name in now.classes:
            if name in before and name in after and before[name] != after[name]:
                yield f"{_label(part, name)}: {after[name]} images, were {before[name]}"


def _of_contents(kept: DataFacts, now: DataFacts) -> Iterator[str]:
    for part in PARTS:
        before, after = (_by_class(facts, f"{part}contents") for facts in (kept, now))
        for name in now.classes:
            if name in before and name in after and before[name] != after[name]:
                yield f"{_label(part, name)}: other images than before, or other names of them"


def _label(part: str, name: str) -> str:
    return part.replace("_", " ") + name


def _by_class(facts: DataFacts, name: str) -> dict[str, Any]:
    values: Sequence[Any] = getattr(facts, name)
    return dict(zip(facts.classes, values, strict=False))


def _of_skipped(kept: DataFacts, now: DataFacts) -> Iterator[str]:
    pairs = [(kept.skipped, now.skipped)]
    if kept.test_counts and now.test_counts:
        pairs.append((kept.test_skipped, now.test_skipped))
    for pair in pairs:
        before, after = ({str(one[0]) for one in files if one} for files in pair)
        yield from (f"{name} can't be read any more" for name in sorted(after - before))
        yield from (f"{name} was skipped and no longer is" for name in sorted(before - after))
