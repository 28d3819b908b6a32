"""Splits: stratified, fixed by a seed, named by a hash."""

import re

import pytest
import torch

from ffl_ray.config.image_shapes import num_classes
from ffl_ray.data import digits
from ffl_ray.data.splits import split_hash, stratified_split
from ffl_ray.search.space import bundled_folder, load_space, settle

LABELS = torch.arange(1000) % 7


def test_every_class_gives_the_same_share() -> None:
    split = stratified_split(LABELS, 0.25, seed=0)

    for label in range(7):
        whole = int(torch.eq(LABELS, label).sum())
        assert int((LABELS[split.held_out] == label).sum()) == round(0.25 * whole)


def test_the_two_parts_are_the_whole_and_share_nothing() -> None:
    split = stratified_split(LABELS, 0.1, seed=3)

    assert torch.equal(torch.cat(split).sort().values, torch.arange(1000))


def test_equal_seeds_give_equal_splits_and_others_do_not() -> None:
    first, again, other = (stratified_split(LABELS, 0.1, seed) for seed in (1, 1, 2))

    assert torch.equal(first.held_out, again.held_out)
    assert not torch.equal(first.held_out, other.held_out)


def test_the_hash_names_a_split_and_does_not_change_between_versions() -> None:
    assert split_hash(torch.arange(5), torch.arange(5, 8)) == "d356f54909c7c21a"
    assert split_hash(torch.arange(4), torch.arange(4, 8)) != "d356f54909c7c21a"


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_all_or_nothing_can_be_held_out(fraction: float) -> None:
    split = stratified_split(LABELS, fraction, seed=0)

    assert len(split.held_out) == fraction * 1000


SPACES = {path.stem: path.read_text() for path in bundled_folder().glob("*.py")}
TRAIN, VAL = (re.compile(rf"([\d,]+)\s(?:images\s)?to\s{part}") for part in ("train", "validate"))


@pytest.mark.parametrize("name", sorted(n for n, text in SPACES.items() if TRAIN.search(text)))
def test_a_space_says_how_many_images_it_trains_and_validates_on(name: str) -> None:
    data = settle(load_space(name), {}).data
    labels = torch.arange(50_000) % (num_classes(data) or 0)
    if data.name == "digits":
        labels = digits.open_train(data).images.labels
    used = labels[stratified_split(labels, data.fraction, 0).held_out]

    parts = [f"{len(part):,}" for part in stratified_split(used, data.val_fraction, 1)]

    assert TRAIN.findall(SPACES[name]) == parts[:1]
    assert VAL.findall(SPACES[name]) in ([], parts[1:])
