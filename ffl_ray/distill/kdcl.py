"""KDCL: Guo et al. 2020, CVPR, "Online Knowledge Distillation via Collaborative Learning"."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.hooks import Moment
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.terms import Logits, Term, cross_entropies, distillation_kl, shares_of
from ffl_ray.models.helpers import Helper
from ffl_ray.models.network import NetworkOutput

Peers = Float[Tensor, "branches batch classes"]
Shares = Float[Tensor, "batch classes"]
STEPS = 30
TINY = 1e-12
RIDGE = 1e-6
TEACHER = "teacher"


def kdcl_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """One teacher is made of all branches' logits, and teaches each.

    L = sum_k CE(z_k, y) + b sum_k KL(z_t -> z_k) with b = distill.weight, 1 by default. No
    gradient reaches the teacher. Each branch sees an augmentation of its own. Temperature 2 is
    second-hand: two sources that had the paper name it.
    """
    temperature, weight = settings.temperature, settings.weight
    with torch.no_grad():
        teacher = _teacher(output, labels, settings.kdcl_teacher)
    terms = cross_entropies(output, labels, settings)
    for index, student in enumerate(output.branches):
        value = distillation_kl(student, teacher, temperature=temperature)
        terms[f"peers_to_branches.{index}"] = Term(value, weight, schedule="ramp")
    return terms


class HeldOutShares(nn.Module):
    """Each branch's share in the teacher, as measured after the epoch before; equal at first."""

    shares: Tensor

    def __init__(self, num_branches: int) -> None:
        super().__init__()
        self.register_buffer("shares", torch.full((num_branches,), 1 / num_branches))

    def forward(self, branches: Peers) -> Logits:
        """The branches' logits, mixed by their shares."""
        return torch.einsum("n,nbc->bc", self.shares.to(branches.dtype), branches)


def kdcl_helpers(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    """What the paper's General keeps from epoch to epoch."""
    if settings.kdcl_teacher != "general":
        return {}
    return {TEACHER: Helper(HeldOutShares(len(example.branches)))}


def measure_correlations(moment: Moment) -> None:
    """Measure each branch's share on the held-out images, as the paper's General does.

    With `least_varying` of C_ij = mean (p_i - y)(p_j - y), over all of them: once an epoch.
    """
    if moment.settings.kdcl_teacher != "general":
        return
    teacher = moment.network.helpers[TEACHER]
    assert isinstance(teacher, HeldOutShares)
    total = torch.diag(torch.zeros_like(teacher.shares, dtype=torch.float64))
    for output, labels in moment.held_out():
        total += _error_products(output.branches, labels)
    teacher.shares.copy_(least_varying(moment.summed(total)))


def _teacher(output: NetworkOutput, labels: Labels, name: str) -> Logits:
    if name != "general":
        return TEACHERS[name](output.branches, shares_of(labels, output.branches))
    assert output.helpers is not None, "General keeps what it measured"
    mixed: Logits = output.helpers[TEACHER](output.branches)
    return mixed


def naive_teacher(branches: Peers, shares: Shares) -> Logits:
    """For each image the logits of the branch of lowest cross-entropy (the paper's Naive)."""
    best = _cross_entropies(branches, shares).argmin(dim=0)
    return branches[best, torch.arange(branches.shape[1], device=branches.device)]


def min_logit_teacher(branches: Peers, shares: Shares) -> Logits:
    """Every branch's logits less that of the right class, then the least of each class.

    The paper's MinLogit: the right class stands at 0, all others as low as any branch puts them,
    so its cross-entropy is at most the best branch's. Where labels are mixed, the logit of the
    right class is the mean under them.
    """
    right = (branches * shares).sum(dim=2, keepdim=True)
    return (branches - right).amin(dim=0)


def linear_teacher(branches: Peers, shares: Shares) -> Logits:
    """For each image the convex combination of the branches' logits of lowest cross-entropy.

    The paper's Linear, a convex problem. From the best branch on, each step moves weight between
    the two branches whose derivatives differ most, as far as it surely helps: along the
    difference d of their logits, with slope s and curvature h, log(1 + R s / h) / R for R the
    range of d, since the curvature there grows by e^(R t) at most. No step raises the loss.
    """
    images = torch.arange(branches.shape[1], device=branches.device)
    best = _cross_entropies(branches, shares).argmin(dim=0)
    weights = F.one_hot(best, len(branches)).T.to(branches.dtype)
    mixed = branches[best, images]
    for _ in range(STEPS):
        probabilities = mixed.softmax(dim=1)
        slopes = torch.einsum("bc,nbc->nb", probabilities - shares, branches)
        low, taker = slopes.min(dim=0)
        high, giver = slopes.masked_fill(weights <= 0, -torch.inf).max(dim=0)
        way = branches[taker, images] - branches[giver, images]
        centred = way - (probabilities * way).sum(dim=1, keepdim=True)
        curvature = (probabilities * centred.square()).sum(dim=1).clamp(min=TINY)
        span = (way.amax(dim=1) - way.amin(dim=1)).clamp(min=TINY)
        step = torch.log1p(span * (high - low).clamp(min=0) / curvature) / span
        step = torch.minimum(step, weights[giver, images])
        weights = weights.scatter_add(0, torch.stack([taker, giver]), torch.stack([step, -step]))
        mixed = mixed + step[:, None] * way
    return mixed


def general_batch_teacher(branches: Peers, shares: Shares) -> Logits:
    """The combination whose errors vary least, by the branches' error correlations.

    `least_varying` of C_ij = mean (p_i - y)(p_j - y), over the batch: not the paper's General,
    which measures C on held-out images once an epoch (`measure_correlations`).
    """
    weights = least_varying(_error_products(branches, shares)).to(branches.dtype)
    return torch.einsum("n,nbc->bc", weights, branches)


def least_varying(
    correlations: Float[Tensor, "branches branches"],
) -> Float[Tensor, "branches"]:
    """The combination of least variance, w = C^-1 1 / (1' C^-1 1), whatever C's scale.

    A ridge of a millionth keeps equal branches from making C singular.
    """
    ridge = RIDGE * correlations.diagonal().mean() + torch.finfo(torch.float64).tiny
    eye = torch.eye(len(correlations), dtype=torch.float64, device=correlations.device)
    # `solve` itself asks the device whether it went well, and the host waits for the answer.
    solved: Tensor = torch.linalg.solve_ex(correlations + ridge * eye, eye.sum(dim=1)).result
    return solved / solved.sum()


def _error_products(branches: Peers, labels: Labels) -> Float[Tensor, "branches branches"]:
    """Sum over images and classes of the products of the branches' errors."""
    errors = (branches.softmax(dim=2) - shares_of(labels, branches)).flatten(1).double()
    return errors @ errors.T


def _cross_entropies(branches: Peers, shares: Shares) -> Float[Tensor, "branches batch"]:
    return -(branches.log_softmax(dim=2) * shares).sum(dim=2)


TEACHERS: dict[str, Callable[[Peers, Shares], Logits]] = {
    "naive": naive_teacher,
    "min_logit": min_logit_teacher,
    "linear": linear_teacher,
    "general_batch": general_batch_teacher,
}
KDCL = Recipe(kdcl_terms, helpers=kdcl_helpers, after_epoch=measure_correlations)
