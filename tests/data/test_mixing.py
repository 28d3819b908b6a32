"""Mixup and CutMix by hand values, and what their random numbers follow."""

import pytest
import torch

from ffl_ray.config.settings import Mixing
from ffl_ray.data.mixing import Box, Mix, cut, draw_mixes, mix_images, mix_labels


def drawn(count: int, mixing: Mixing, alpha: float = 1.0, seed: int = 0) -> list[Mix]:
    generator = torch.Generator().manual_seed(seed)
    return draw_mixes(count, mixing=mixing, alpha=alpha, height=8, width=12, generator=generator)


@pytest.mark.parametrize(
    ("share", "centre", "size", "expected"),
    [
        (0.75, (4, 4), (8, 8), Mix(0.75, Box(2, 6, 2, 6))),
        (0.75, (3, 5), (6, 10), Mix(0.75, Box(2, 5, 3, 8))),
        (0.75, (0, 0), (8, 8), Mix(0.9375, Box(0, 2, 0, 2))),  # clipped at the corner
        (0.75, (7, 4), (8, 8), Mix(0.8125, Box(5, 8, 2, 6))),  # clipped at the bottom
        (0.0, (4, 4), (8, 8), Mix(0.0, Box(0, 8, 0, 8))),
        (0.99, (4, 4), (8, 8), Mix(1.0, Box(4, 4, 4, 4))),  # less than a pixel wide
    ],
)
def test_a_cut_by_hand(
    share: float, centre: tuple[int, int], size: tuple[int, int], expected: Mix
) -> None:
    assert cut(share, *centre, height=size[0], width=size[1]) == expected


def test_a_cut_replaces_one_minus_share_of_the_pixels_and_no_others() -> None:
    images, partners = torch.zeros(3, 2, 8, 12), torch.ones(3, 2, 8, 12)

    for mix in drawn(200, "cutmix"):
        mixed = mix_images(images, partners, mix)

        assert mix.box is not None
        top, bottom, left, right = mix.box
        assert bool((mixed[:, :, top:bottom, left:right] == 1).all())
        assert mixed.double().mean().item() == pytest.approx(1 - mix.share, abs=1e-12)
    assert not images.any()


def test_mixup_blends_every_pixel_by_the_share() -> None:
    images, partners = torch.full((2, 1, 2, 2), 4.0), torch.full((2, 1, 2, 2), 8.0)

    assert mix_images(images, partners, Mix(0.25)).flatten().tolist() == [7.0] * 8


def test_labels_hold_the_share_of_each_class() -> None:
    found = mix_labels(torch.tensor([0, 2, 1]), torch.tensor([2, 1, 1]), Mix(0.75), 4)

    assert found.tolist() == [[0.75, 0, 0.25, 0], [0, 0.25, 0.75, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 5.0, 100.0])
def test_shares_follow_a_symmetric_beta_distribution(alpha: float) -> None:
    shares = torch.tensor([mix.share for mix in drawn(20_000, "mixup", alpha)], dtype=torch.double)

    assert shares.mean().item() == pytest.approx(0.5, abs=0.015)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_boxes_lie_on_every_row_and_column_equally_often() -> None:
    boxes = [mix.box for mix in drawn(40_000, "cutmix", alpha=0.2) if mix.box]

    rows = torch.tensor([box.top for box in boxes if box.bottom - box.top == 1]).bincount()
    columns = torch.tensor([box.left for box in boxes if box.right - box.left == 1]).bincount()
    assert (len(rows), len(columns)) == (8, 12)
    for counts in (rows[1:].double(), columns[1:].double()):  # the first has larger ones, clipped
        assert bool(((counts - counts.mean()).abs() < 5 * counts.mean().sqrt()).all())


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_mixes_follow_their_generator_and_leave_the_global_one_alone(mixing: Mixing) -> None:
    before = torch.get_rng_state()

    assert drawn(5, mixing) == drawn(5, mixing)
    assert drawn(5, mixing) != drawn(5, mixing, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
