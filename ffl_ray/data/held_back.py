"""The test split of data that bring none: a fifth of each class, by a seed that is no setting."""

from __future__ import annotations

from collections.abc import Sequence

from ffl_ray.config.overrides import some
from ffl_ray.data.dataset import Files, Images, Opened
from ffl_ray.data.splits import Split, stratified_split
from ffl_ray.errors import DataError

TEST_FRACTION = 0.2
TEST_SEED = 1904_09058
MOST_NAMED = 10  # classes of an error


def held_back_split(images: Images | Files) -> Split:
    """Which of all images are the test split, and which the rest."""
    return stratified_split(images.labels, TEST_FRACTION, TEST_SEED)


def rest_of(opened: Opened) -> Opened:
    """What may be trained on and validated with, of all that there is."""
    rest = opened.images.take(held_back_split(opened.images).rest)
    return opened._replace(images=rest, counts=opened.class_counts)


def held_back(opened: Opened) -> Opened:
    """The test split, of all that there is."""
    return opened._replace(images=opened.images.take(held_back_split(opened.images).held_out))


def check_classes(train: Sequence[str], test: Sequence[str], rule: str) -> None:
    """Check that a test split of its own has the classes of the train split.

    Raises:
        DataError: it has others; the message begins with the rule.
    """
    if tuple(train) == tuple(test):
        return
    lacking = [repr(name) for name in train if name not in test]
    more = [repr(name) for name in test if name not in train]
    has = [f"lacks {some(lacking, MOST_NAMED)}"] if lacking else []
    has += [f"holds {some(more, MOST_NAMED)}{'' if lacking else ' as well'}"] if more else []
    raise DataError(f"{rule}, and {' and '.join(has) or 'has them in another order'}")
