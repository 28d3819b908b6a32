"""A knowledge transfer graph: its gates image by image, and the methods that it holds."""

from __future__ import annotations

import pytest
import torch
from support.reference import random_output, reference_ce, reference_kl

from ffl_ray.config.gates import GATES, graph_of
from ffl_ray.config.methods import resolved_distill
from ffl_ray.config.settings import DistillConfig
from ffl_ray.distill.registry import loss_terms_of
from ffl_ray.distill.terms import Term, total_loss
from ffl_ray.models.network import NetworkOutput

LABELS = torch.tensor([3, 1, 4, 1, 5, 9])
SHARE = 0.3
GRAPH = (
    "1>0=correct,2>0=linear,0>1=negative_linear,2>1=through,fused>0=through,ensemble>1=correct,"
    "ensemble>2=linear,0>0=linear,1>1=correct,2>2=cutoff,0>fused=correct,1>fused=through,"
    "ensemble>fused=negative_linear"
)


def terms_of(gates: str | None, output: NetworkOutput, method: str = "ktg") -> dict[str, Term]:
    settings = resolved_distill(DistillConfig(method=method, gates=gates))
    output = output._replace(share=torch.tensor(SHARE, dtype=torch.float64), leader=None)
    if "fused" not in (gates or ""):
        output = output._replace(fused=None)
    return loss_terms_of(settings)(output, LABELS)


def total(terms: dict[str, Term]) -> float:
    return total_loss(terms, 1.0).item()


def test_every_edge_equals_a_loop_over_images() -> None:
    output = random_output(3, leader=None)
    assert output.fused is not None
    output.branches[1, :3] *= 0.1
    output.branches[1, torch.arange(3), LABELS[:3]] += 20  # right on half of the images
    nodes = {str(k): z for k, z in enumerate(output.branches)}
    nodes |= {"fused": output.fused, "ensemble": output.branches.mean(dim=0)}
    columns = dict.fromkeys(["0", "1", "2"], "peers") | {"fused": "fused", "ensemble": "ensemble"}
    one_hot = torch.eye(10)[LABELS]
    expected = {"ce_fused": reference_ce(output.fused, one_hot)}
    expected |= {
        f"ce_branches.{k}": reference_ce(z, one_hot) * factor
        for (k, z), factor in zip(enumerate(output.branches), (SHARE, 1, 0), strict=True)
    }
    for kind in ("peers", "fused", "ensemble"):
        expected |= {f"{kind}_to_branches.{k}": 0.0 for k in range(3)}
    expected |= {"branches_to_fused": 0.0, "ensemble_to_fused": 0.0}
    for (source, target), gate in graph_of(GRAPH, 3).items():
        if source == target:
            continue
        value = 0.0
        for image, label in enumerate(LABELS.tolist()):
            right = float(nodes[source][image].argmax() == label)
            gates = {"through": 1, "linear": SHARE, "negative_linear": 1 - SHARE, "correct": right}
            row = slice(image, image + 1)
            kl = reference_kl(nodes[target][row], nodes[source][row], 1, 0)
            value += float(gates[gate]) * kl / 6
        kind = columns[source]
        if target == "fused":
            expected["branches_to_fused" if kind == "peers" else f"{kind}_to_fused"] += value
        else:
            expected[f"{kind}_to_branches.{target}"] += value

    terms = terms_of(GRAPH, output)

    assert {n: t.value.item() for n, t in terms.items()} == pytest.approx(expected, abs=1e-12)
    assert total(terms) == pytest.approx(sum(expected.values()), abs=1e-12)
    assert expected["branches_to_fused"] > 0


@pytest.mark.parametrize("gates", [None, "through"])
def test_with_every_gate_open_it_is_dml_without_its_mean_over_the_others(gates: str | None) -> None:
    output = random_output(3, leader=None)

    ktg, dml = terms_of(gates, output), terms_of(None, output, "dml")

    assert ktg.keys() == dml.keys()
    for name, term in dml.items():
        times = 2 if name.startswith("peers") else 1
        assert ktg[name].value.item() == pytest.approx(times * term.value.item(), abs=1e-12)


def test_one_edge_is_one_way_distillation() -> None:
    output = random_output(2, leader=None)
    branches = output.branches.clone().requires_grad_()

    terms = terms_of("1>0=through", output._replace(branches=branches))
    torch.autograd.backward(total_loss(terms, 1.0))

    student, teacher = branches.detach()
    ce = [reference_ce(z, torch.eye(10)[LABELS]) for z in (student, teacher)]
    assert total(terms) == pytest.approx(sum(ce) + reference_kl(student, teacher, 1, 0), abs=1e-12)
    alone = (teacher.softmax(dim=1) - torch.eye(10)[LABELS]) / 6
    assert branches.grad is not None
    torch.testing.assert_close(branches.grad[1], alone)
    taught = (student.softmax(dim=1) - teacher.softmax(dim=1)) / 6
    learnt = (student.softmax(dim=1) - torch.eye(10)[LABELS]) / 6
    torch.testing.assert_close(branches.grad[0], taught + learnt)


def test_gates_cut_off_are_no_terms_and_no_teaching() -> None:
    output = random_output(2, leader=None)

    assert [*terms_of("cutoff", output)] == ["ce_branches.0", "ce_branches.1"]
    assert total(terms_of("cutoff", output)) == total(terms_of(None, output, "independent"))
    assert len(GATES) == len(set(GATES)) == 5
