"""Knowledge Transfer Graph: Minami et al. 2020, ACCV, arXiv:1909.04286."""

from __future__ import annotations

from collections.abc import Collection

from jaxtyping import Float
from torch import Tensor

from ffl_ray.config.gates import ENSEMBLE, FUSED, Edge, graph_of
from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.terms import Logits, Term, cross_entropies, distillation_kl
from ffl_ray.models.network import NetworkOutput


def ktg_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """Every member learns from those that a graph has teach it, each through a gate.

    L = sum_i [ g_ii CE(z_i, y) + sum_(j -> i) mean over images g_ji KL(z_j -> z_i) ] at temperature
    1, with g = 1 (through), the share u of the training that is done (linear), 1 - u
    (negative_linear), or 1 where the teacher's likeliest class is the right one (correct); the mean
    is over all images, and a sum of edges is not divided by their number. No gradient reaches a
    teacher. The published nodes are networks; the fused classifier and the ensemble among them are
    an extension. The fused classifier's own cross-entropy is always on.
    """
    graph = graph_of(settings.gates, len(output.branches))
    branches = {str(index): logits for index, logits in enumerate(output.branches)}
    nodes = dict(branches)
    if any(edge.source == ENSEMBLE for edge in graph):
        nodes[ENSEMBLE] = output.ensemble
    if output.fused is not None:
        nodes[FUSED] = output.fused
    terms = cross_entropies(output, labels, settings)
    for name in branches:
        gate = _of_training(graph.get(Edge(name, name), "cutoff"), output)
        term = terms[f"ce_branches.{name}"]
        terms[f"ce_branches.{name}"] = term._replace(value=term.value * gate)
    for column, sources, targets in _groups([*branches]):
        for target in targets if _any(graph, sources, targets) else ():
            value = output.branches.new_zeros(())
            for edge in (Edge(source, target) for source in sources):
                if edge in graph and not edge.is_own:
                    value = value + distillation_kl(
                        nodes[edge.target],
                        nodes[edge.source],
                        temperature=settings.temperature,
                        per_image=_of_images(graph[edge], nodes[edge.source], labels, output),
                    )
            name = column if target == FUSED else f"{column}.{target}"
            terms[name] = Term(value, settings.weight, schedule="ramp")
    return terms


def _groups(branches: list[str]) -> list[tuple[str, list[str], list[str]]]:
    """Columns of the epochs table, each with the teachers and the students of its terms."""
    return [
        ("peers_to_branches", branches, branches),
        ("fused_to_branches", [FUSED], branches),
        ("ensemble_to_branches", [ENSEMBLE], branches),
        ("branches_to_fused", branches, [FUSED]),
        ("ensemble_to_fused", [ENSEMBLE], [FUSED]),
    ]


def _any(graph: Collection[Edge], sources: list[str], targets: list[str]) -> bool:
    edges = (edge for edge in graph if not edge.is_own)
    return any(edge.source in sources and edge.target in targets for edge in edges)


def _of_training(gate: str, output: NetworkOutput) -> float | Tensor:
    """A gate's factor at this point of the training; where a teacher is right is not asked here."""
    if gate in ("through", "correct"):
        return 1.0
    if gate == "cutoff":
        return 0.0
    assert output.share is not None, "gates follow the share of the training that is done"
    share = output.share.to(output.branches.dtype)
    return share if gate == "linear" else 1 - share


def _of_images(
    gate: str, teacher: Logits, labels: Labels, output: NetworkOutput
) -> Float[Tensor, "batch"]:
    if gate == "correct":
        return (teacher.argmax(dim=1) == labels).to(teacher.dtype)
    return teacher.new_ones(len(teacher)) * _of_training(gate, output)
