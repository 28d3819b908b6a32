"""Metrics: hand values, merging, and a loop-wise reference."""

import math

import pytest
import torch
from torch import Tensor

from ffl_ray.training.metrics import NUM_BINS, MemberMetrics, member_metrics, metric_sums, scored


def reference(logits: Tensor, labels: Tensor) -> MemberMetrics:
    """One member's metrics, example by example, as the definitions say."""
    right = near = 0
    nll = 0.0
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(NUM_BINS)]
    for row, label in zip(logits.double(), labels.tolist(), strict=True):
        probabilities = row.softmax(0)
        order = row.argsort(descending=True).tolist()
        right += order[0] == label
        near += label in order[:5]
        nll -= math.log(float(probabilities[label]))
        confidence = float(probabilities.max())
        bins[min(int(confidence * NUM_BINS), NUM_BINS - 1)].append((confidence, order[0] == label))
    gaps = [abs(sum(c for c, _ in b) - sum(hit for _, hit in b)) for b in bins]
    count = len(labels)
    return MemberMetrics(right / count, near / count, nll / count, sum(gaps) / count)


def test_metrics_equal_a_loop_over_examples() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 40, 10, generator=generator) * 3
    labels = torch.randint(0, 10, (40,), generator=generator)

    found = member_metrics(metric_sums(scored(logits, labels)))

    for member, expected in zip(found, (reference(x, labels) for x in logits), strict=True):
        assert tuple(member) == pytest.approx(tuple(expected), abs=1e-9)


def test_sums_of_parts_add_up_to_the_whole() -> None:
    logits = torch.randn(2, 30, 7, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(30) % 7

    first, second = scored(logits[:, :11], labels[:11]), scored(logits[:, 11:], labels[11:])

    whole = metric_sums(scored(logits, labels))
    torch.testing.assert_close(metric_sums(first) + metric_sums(second), whole)


def test_a_sure_and_right_classifier_is_perfect_and_a_sure_and_wrong_one_is_not() -> None:
    labels = torch.tensor([0, 1, 2])
    right = 100 * torch.eye(3)
    logits = torch.stack([right, right.roll(1, dims=1)])

    good, bad = member_metrics(metric_sums(scored(logits, labels)))

    assert good == pytest.approx((1, 1, 0, 0))
    assert bad == pytest.approx((0, 1, 100, 1))
