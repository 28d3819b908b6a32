"""Batches of so many classes, so many images of each."""

import pytest
import torch
from support.helpers import small_config
from torch import Tensor

from ffl_ray.config.batch_checks import check_batches
from ffl_ray.config.methods import METHODS
from ffl_ray.config.overrides import with_overrides
from ffl_ray.data.class_balance import ClassBalance, check_classes, epoch_size
from ffl_ray.distill.check import check_config
from ffl_ray.errors import DataError, SettingError

# 7, 30, 4 and 59 images of four classes that are there, and none of a fifth.
LABELS = torch.repeat_interleave(torch.tensor([0, 1, 3, 4]), torch.tensor([7, 30, 4, 59]))
LABELS = LABELS[torch.randperm(100, generator=torch.Generator().manual_seed(1))]


def ordered(labels: Tensor, batch_size: int, images_per_class: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return ClassBalance(labels, images_per_class).order(batch_size, generator)


@pytest.mark.parametrize(("batch_size", "images_per_class"), [(6, 2), (9, 3), (12, 4), (8, 2)])
def test_every_batch_holds_whole_groups_of_distinct_classes(
    batch_size: int, images_per_class: int
) -> None:
    order = ordered(LABELS, batch_size, images_per_class)

    assert len(order) == len(LABELS) // batch_size * batch_size
    for batch in torch.split(order, batch_size):
        assert len(set(batch.tolist())) == batch_size
        groups = LABELS[batch].view(-1, images_per_class)
        assert (groups == groups[:, :1]).all()
        assert len(set(groups[:, 0].tolist())) == batch_size // images_per_class


def test_classes_come_equally_often_and_images_of_each_as_well() -> None:
    order = ordered(LABELS, 6, 2)

    counts = LABELS[order].bincount()[[0, 1, 3, 4]]
    assert counts.max() - counts.min() <= 2
    rare = order[LABELS[order] == 3].bincount(minlength=100)[LABELS == 3]
    assert rare.max() - rare.min() <= 1
    assert order[LABELS[order] == 4].bincount().max() == 1


def test_of_classes_of_one_size_an_epoch_has_every_image_once() -> None:
    labels = torch.arange(400) % 10

    order = ordered(labels, 20, 4)

    assert sorted(order.tolist()) == list(range(400))
    assert torch.equal(order, ordered(labels, 20, 4))
    assert not torch.equal(order, ordered(labels, 20, 4, seed=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.images_per_class": 3, "optim.batch_size": 64},
         "data.images_per_class must divide optim.batch_size, 64, and 3 does not"),
        ({"data.images_per_class": 2, "data.mixing": "mixup"},
         "data.images_per_class must be 1 where data.mixing is mixup, .*, not 2"),
    ],
)  # fmt: skip
def test_batches_that_can_not_be_made_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        check_batches(with_overrides(small_config(), changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "data.images_per_class must be at least 2 for distill.method dml, .*, not 1"),
        ({"data.images_per_class": 2, "distill.label_smoothing": 0.1},
         "distill.label_smoothing must be 0 for distill.method dml, .*, not 0.1"),
    ],
)  # fmt: skip
def test_what_a_method_needs_of_a_batch_is_asked_for(
    changes: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    needing = METHODS["dml"]._replace(needs=frozenset({"hard_labels", "positives"}))
    config = small_config(distill__method="dml", objective="deployed.nll")
    monkeypatch.setitem(METHODS, "dml", needing)

    with pytest.raises(SettingError, match=message):
        check_batches(with_overrides(config, changes))
    check_batches(with_overrides(config, {"data.images_per_class": 2}))
    monkeypatch.setitem(METHODS, "dml", needing._replace(needs=frozenset({"hard_labels"})))
    with pytest.raises(SettingError, match="data.mixing must be none for .*, not cutmix"):
        check_batches(with_overrides(config, {"data.mixing": "cutmix"}))
    monkeypatch.setitem(METHODS, "dml", needing._replace(needs=frozenset({"positives"})))
    with pytest.raises(SettingError, match="data.mixing must be none for .* images of one class"):
        check_batches(small_config(distill__method="dml", data__mixing="mixup"))


@pytest.mark.parametrize("method", ["mcl", "lmcl"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__mixing": "mixup"}, "^data.mixing must be none for distill.method {}, .* mixup"),
        ({"data__mixing": "cutmix"}, "^data.mixing must be none for distill.method {}, .* cutmix"),
        ({"data__images_per_class": 4, "data__mixing": "cutmix"}, "^data.mixing must be none for"),
        ({"distill__label_smoothing": 0.1},
         "^distill.label_smoothing must be 0 for distill.method {}, .*, not 0.1"),
        ({"data__images_per_class": 1}, "^data.images_per_class must be at least 2 for .* {}, "),
        ({"data__images_per_class": 3}, "^data.images_per_class must divide optim.batch_size, 64"),
    ],
)  # fmt: skip
def test_what_contrast_can_not_work_with_is_refused_by_the_setting_that_was_set(
    method: str, changes: dict[str, object], message: str
) -> None:
    small = {"distill__method": method, "objective": "ensemble.accuracy"}
    check_config(small_config(**small))

    with pytest.raises(SettingError, match=message.format(method)):
        check_config(small_config(**small | changes))


@pytest.mark.parametrize(
    ("batch_size", "images_per_class", "num_workers", "error", "message"),
    [
        (12, 6, 1, DataError, "=6 needs 2 classes of 6 images .* are 4, the smallest of 4 .of 100"),
        (10, 2, 1, DataError, "=2 needs 5 classes of 2 images .*batch of 10, and there are 4"),
        (8, 4, 4, SettingError, "optim.batch_size must give each of the 4 workers whole .* be 8"),
    ],
)
def test_data_without_such_classes_are_refused(
    batch_size: int, images_per_class: int, num_workers: int, error: type[Exception], message: str
) -> None:
    sizes = {"data__images_per_class": images_per_class, "optim__batch_size": batch_size}
    config = small_config(**sizes)

    with pytest.raises(error, match=message):
        check_classes(config, LABELS, num_workers)
    check_classes(small_config(**sizes | {"data__images_per_class": 1}), LABELS, num_workers)
    assert epoch_size(101, small_config(optim__batch_size=8, data__images_per_class=4)) == 96
    assert epoch_size(101, small_config(optim__batch_size=8)) == 101
