"""KDCL: Guo et al. 2020, CVPR, "Online Knowledge Distillation via Collaborative Learning"."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Logits, Term, cross_entropies, distillation_kl
from ffl_ray.models.network import NetworkOutput

Peers = Float[Tensor, "branches batch classes"]
Shares = Float[Tensor, "batch classes"]
STEPS, STEP_SIZE = 30, 1.0
RIDGE = 1e-6


def kdcl_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """One teacher is made of all branches' logits, and teaches each.

    L = sum_k CE(z_k, y) + b sum_k KL(z_t -> z_k) with b = distill.weight, 1 by default. No
    gradient reaches the teacher. Each branch sees an augmentation of its own. The paper's
    temperature is not known here: 4 is that of a public program. The authors' separate networks
    are model.trunk_stages=0.
    """
    temperature, weight = settings.temperature, settings.weight
    with torch.no_grad():
        make = TEACHERS[settings.kdcl_teacher]
        teacher = make(output.branches, shares_of(labels, output.branches))
    terms = cross_entropies(output, labels, settings)
    for index, student in enumerate(output.branches):
        value = distillation_kl(student, teacher, temperature=temperature)
        terms[f"peers_to_branches.{index}"] = Term(value, weight, ramped=True)
    return terms


def shares_of(labels: Labels, like: Peers) -> Shares:
    """Labels as class probabilities."""
    if labels.is_floating_point():
        return labels.to(like.dtype)
    return F.one_hot(labels, like.shape[2]).to(like.dtype)


def naive_teacher(branches: Peers, shares: Shares) -> Logits:
    """For each image the logits of the branch of lowest cross-entropy (the paper's Naive)."""
    losses = -(branches.log_softmax(dim=2) * shares).sum(dim=2)
    best = losses.argmin(dim=0)
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

    The paper's Linear. The problem is convex; exponentiated gradient descent from the mean keeps
    the weights positive and their sum at 1.
    """
    weights = branches.new_full(branches.shape[:2], 1 / len(branches))
    for _ in range(STEPS):
        mixed = torch.einsum("nb,nbc->bc", weights, branches)
        gradient = torch.einsum("bc,nbc->nb", mixed.softmax(dim=1) - shares, branches)
        scale = gradient.abs().amax(dim=0).clamp(min=1e-12)
        weights = (weights.log() - STEP_SIZE * gradient / scale).softmax(dim=0)
    return torch.einsum("nb,nbc->bc", weights, branches)


def general_teacher(branches: Peers, shares: Shares) -> Logits:
    """The combination whose errors vary least, by the branches' error correlations.

    The paper's General: w = C^-1 1 / (1' C^-1 1) with C_ij = mean (p_i - y)(p_j - y). The paper
    measures C on held-out images once an epoch; here it is that of the batch, so that no image
    is held out. A ridge of a millionth keeps equal branches from making C singular.
    """
    errors = (branches.softmax(dim=2) - shares).flatten(1).double()
    correlations = errors @ errors.T / branches.shape[1]
    ridge = RIDGE * correlations.diagonal().mean() + torch.finfo(torch.float64).tiny
    eye = torch.eye(len(branches), dtype=torch.float64, device=branches.device)
    solved = torch.linalg.solve(correlations + ridge * eye, eye.sum(dim=1))
    weights = (solved / solved.sum()).to(branches.dtype)
    return torch.einsum("n,nbc->bc", weights, branches)


TEACHERS: dict[str, Callable[[Peers, Shares], Logits]] = {
    "naive": naive_teacher,
    "min_logit": min_logit_teacher,
    "linear": linear_teacher,
    "general": general_teacher,
}
