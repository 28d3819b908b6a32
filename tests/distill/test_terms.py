"""What terms are made of: factors of images, and of schedules."""

import pytest
import torch
from support.reference import reference_kl

from ffl_ray.distill.terms import SCHEDULES, TERM_COLUMNS, Term, distillation_kl, total_loss
from ffl_ray.results.columns import EPOCHS


def test_a_factor_of_each_image_leaves_the_mean_over_all_of_them() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 6, 5, dtype=torch.float64)
    factors = torch.tensor([1.0, 0.0, 0.25, 0.0, 2.0, 1.0], dtype=torch.float64)

    masked = distillation_kl(student, teacher, temperature=3, per_image=factors)
    plain = distillation_kl(student, teacher, temperature=3, per_image=torch.ones(6).double())

    each = [reference_kl(student[i : i + 1], teacher[i : i + 1], 3, 0) for i in range(6)]
    weighted = [f * x for f, x in zip(factors.tolist(), each, strict=True)]
    assert masked.item() == pytest.approx(sum(weighted) / 6, abs=1e-12)
    assert plain.item() == pytest.approx(
        distillation_kl(student, teacher, temperature=3).item(), abs=1e-12
    )


def test_a_term_that_is_not_one_methods_alone_has_a_column() -> None:
    columns = {c.name.removeprefix("loss.") for c in EPOCHS if c.name.startswith("loss.")}

    assert columns == {*TERM_COLUMNS, "total", "own", "own_names"}


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_each_term_takes_the_weight_of_its_schedule(kind: torch.dtype) -> None:
    value = torch.tensor(3.0, dtype=kind)
    terms: dict[str, Term] = {name: Term(value, 0.1, name) for name in SCHEDULES}
    weights = torch.tensor([7.0, 0.3, 0.5, 0.25, 0.125], dtype=torch.float64)

    total = total_loss(terms, weights)

    by_hand = [3 * torch.tensor(0.1 * x, dtype=kind) for x in (1, 0.3, 0.5, 0.25, 0.125)]
    assert total == torch.stack(by_hand).sum()
    assert total_loss(terms, 0.5) == torch.stack([by_hand[0], *[by_hand[2]] * 4]).sum()


@pytest.mark.parametrize("gap", [10.0, 103.0, 300.0])
@pytest.mark.parametrize("epsilon", [0.0, 1e-7])
def test_a_teacher_that_learns_too_has_a_gradient_however_sure_it_is(
    gap: float, epsilon: float
) -> None:
    student = torch.tensor([[0.0, 1.0, 2.0]])
    teacher = torch.tensor([[gap, 0.0, -1.0]], requires_grad=True)
    exact = teacher.detach().double().requires_grad_()

    def gradient(logits: torch.Tensor) -> torch.Tensor:
        like = student.to(logits.dtype)
        value = distillation_kl(like, logits, temperature=1, epsilon=epsilon, detach_teacher=False)
        return torch.autograd.grad(value, logits)[0]

    found, expected = gradient(teacher), gradient(exact)

    assert found.isfinite().all()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)
