"""Every method's loss: a loop in float64, values by hand, and who gets a gradient from what."""

from __future__ import annotations

import itertools
import math
from typing import Any, cast

import pytest
import torch
from support.helpers import small_config
from support.reference import given, random_output, reference_ce, reference_kl
from support.stage_loops import LOOPS
from torch import Tensor, nn

from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.methods import (
    METHODS,
    resolved_distill,
    resolved_from,
)
from ffl_ray.config.overrides import flatten
from ffl_ray.config.readers import FFL_TERMS, READ_BY, without_effect
from ffl_ray.config.roles import members_of
from ffl_ray.config.settings import DistillConfig, ResolvedConfig, ResolvedDistill
from ffl_ray.distill.networks import build_trained
from ffl_ray.distill.registry import RECIPES, loss_terms_of
from ffl_ray.distill.terms import total_loss
from ffl_ray.exported.member import stripped
from ffl_ray.models.network import FusionNetwork, NetworkOutput

# By hooks, the network, or the engine.
READ_ELSEWHERE = {"ramp_up", "ema_span", "averaged_gradient", "student_shares", "write_back"}
READ_ELSEWHERE |= {"write_back_steps"}
OTHERS = [name for name in METHODS if name not in ("ffl", "dcm", "mcl", "lmcl", "ahbf")]


def entropy(logits: Tensor) -> float:
    weights = [math.exp(x) for x in logits.tolist()]
    return -sum(w / sum(weights) * math.log(w / sum(weights)) for w in weights)


def looped(method: str, output: NetworkOutput, labels: Tensor) -> dict[str, float]:
    """Each method's terms by the formulas of METHODS, peer by peer, image by image."""
    assert output.fused is not None
    assert output.attention is not None
    assert output.mean_teachers is not None
    z = list(output.branches)
    one_hot = torch.eye(10)[labels]
    temperature = METHODS[method].temperature
    terms = {f"ce_branches.{k}": reference_ce(zk, one_hot) for k, zk in enumerate(z)}
    if METHODS[method].head:
        terms["ce_fused"] = reference_ce(output.fused, one_hot)
    for k, student in enumerate(z):
        others = [j for j in range(len(z)) if j != k]
        if method in ("dml", "afd"):
            kls = [reference_kl(student, z[j], temperature, 0) for j in others]
            terms[f"peers_to_branches.{k}"] = sum(kls) / len(kls)
        if method in ("ktg", "switokd"):
            kls = [reference_kl(student, z[j], temperature, 0) for j in others]
            terms[f"peers_to_branches.{k}"] = sum(kls)
        if method == "confident_dml":
            value = 0.0
            for j, i in itertools.product(others, range(6)):
                row = slice(i, i + 1)
                if entropy(z[j][i]) <= 0.4 * math.log(10):  # 0.4 of the training is done
                    value += reference_kl(student[row], z[j][row], temperature, 0)
            terms[f"peers_to_branches.{k}"] = value / 6 / len(others)
        if method == "cl_ilr":
            mean = sum(z[j] for j in others) / len(others)
            assert isinstance(mean, Tensor)
            terms[f"peers_to_branches.{k}"] = reference_kl(student, mean, temperature, 0)
        if method == "one":
            value = reference_kl(student, output.fused, temperature, 1e-7)
            terms[f"fused_to_branches.{k}"] = value
        if method in ("pcl", "dkel"):  # of which 0.4 of the training are done
            value = reference_kl(student, output.fused, temperature, 0)
            terms[f"fused_to_branches.{k}"] = value
            kls = [reference_kl(student, output.mean_teachers[j], temperature, 0) for j in others]
            terms[f"mean_teachers_to_branches.{k}"] = sum(kls) / len(kls)
        if method == "okdph":
            assert output.averaged is not None
            terms["ce_averaged"] = reference_ce(output.averaged, one_hot)
            whole = sum([*z, output.averaged]) / (len(z) + 1)
            assert isinstance(whole, Tensor)
            terms[f"peers_to_branches.{k}"] = reference_kl(student, whole, temperature, 0)
        if method == "kdcl":
            teacher = torch.empty(6, 10, dtype=torch.float64)
            for i, label in enumerate(labels.tolist()):
                for c in range(10):
                    teacher[i, c] = min(float(zj[i, c] - zj[i, label]) for zj in z)
            terms[f"peers_to_branches.{k}"] = reference_kl(student, teacher, temperature, 0)
        if method == "okddip":
            target = torch.zeros(6, 10, dtype=torch.float64)
            for i in range(6):
                assert output.leader is not None
                peers = [zj for j, zj in enumerate(z) if j != output.leader]
                place = k - (k > output.leader)
                for b, peer in enumerate(peers):
                    leads = k == output.leader
                    share = 1 / len(peers) if leads else output.attention[i, place, b]
                    target[i] += share * peer[i]
            terms[f"peers_to_branches.{k}"] = reference_kl(student, target, temperature, 1e-7)
    return terms


@pytest.mark.parametrize(("num_branches", "leader"), [(3, 0), (4, 2)])
@pytest.mark.parametrize("method", OTHERS)
def test_every_term_equals_a_loop_in_float64(method: str, num_branches: int, leader: int) -> None:
    output = given(method, random_output(num_branches, leader))
    labels = torch.tensor([3, 1, 4, 1, 5, 9])
    settings = resolved_distill(DistillConfig(method=method))
    in_loops = LOOPS[method](output, labels) if method in LOOPS else None

    terms = loss_terms_of(settings)(output, labels)
    total = total_loss(terms, 0.25)

    if in_loops is not None:
        values = {n: v for n, (v, _) in in_loops.items()}
        assert {n: t.value.item() for n, t in terms.items()} == pytest.approx(values, abs=1e-9)
        weighed = math.fsum(v * factor for v, factor in in_loops.values())
        assert total.item() == pytest.approx(weighed, rel=1e-12)
        return
    expected = looped(method, random_output(num_branches, leader), labels)
    assert {n: t.value.item() for n, t in terms.items()} == pytest.approx(expected, abs=1e-12)
    share = METHODS[method].weight
    ce = {"cl_ilr": 1 - share, "okdph": 0.8}.get(method, 1.0)
    weighted = [
        v * (0.2 if n == "ce_averaged" else ce if n.startswith("ce_") else 0.25 * share)
        for n, v in expected.items()
    ]
    assert total.item() == pytest.approx(sum(weighted), abs=1e-12)


def test_two_peers_of_two_classes_by_hand() -> None:
    branches = torch.tensor([[[math.log(3.0), 0.0]], [[0.0, 0.0]]], dtype=torch.float64)
    output = NetworkOutput(branches)
    label = torch.tensor([0])

    dml = RECIPES["dml"].terms(output, label, resolved_distill(DistillConfig(method="dml")))
    cl = RECIPES["cl_ilr"].terms(
        output, label, resolved_distill(DistillConfig(method="cl_ilr", temperature=1.0))
    )

    down = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    up = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert dml["ce_branches.0"].value.item() == pytest.approx(-math.log(0.75))
    assert dml["peers_to_branches.0"].value.item() == pytest.approx(down)
    assert dml["peers_to_branches.1"].value.item() == pytest.approx(up)
    total = 0.5 * (-math.log(0.75) - math.log(0.5) + down + up)
    assert total_loss(cl, 1.0).item() == pytest.approx(total)


def test_a_weight_is_that_of_every_kl_term() -> None:
    output = random_output(3)

    terms = RECIPES["okddip"].terms(
        output, torch.arange(6), resolved_distill(DistillConfig(method="okddip", weight=0.5))
    )

    assert {t.weight for n, t in terms.items() if n.startswith("peers")} == {0.5}
    assert {t.weight for n, t in terms.items() if n.startswith("ce")} == {1.0}


BRANCHES = ("branch0", "branch1", "branch2")
CLASSIFIERS = ("classifier0", "classifier1", "classifier2")
OWN = {k: {"trunk", f"branch{k}", f"classifier{k}"} for k in range(3)}
PEERS = {"trunk", "branch1", "branch2", "classifier1", "classifier2", "attention"}
EVERYTHING = {"trunk", *BRANCHES, *CLASSIFIERS}
ALIKE = ("dml", "afd", "cl_ilr", "kdcl", "ktg", "confident_dml")
ROUTING: dict[tuple[str, str], set[str]] = {
    **{(m, "ce_branches.1"): OWN[1] for m in OTHERS if METHODS[m].may_share},
    **{(method, "peers_to_branches.1"): OWN[1] for method in ALIKE},
    ("okddip", "peers_to_branches.0"): OWN[0] | PEERS - {"attention"},
    ("okddip", "peers_to_branches.1"): PEERS,
    ("one", "ce_fused"): EVERYTHING | {"fusion"},
    ("one", "fused_to_branches.1"): OWN[1],
    ("pcl", "ce_fused"): {"trunk", *BRANCHES, "fusion"},
    ("pcl", "fused_to_branches.1"): OWN[1],
    ("pcl", "mean_teachers_to_branches.1"): OWN[1],
    ("layered_ffl", "fused_to_branches.1"): OWN[1],
    ("layered_ffl", "ce_layers.0"): {"trunk", *BRANCHES, "layer1"},
    ("layered_ffl", "ensemble_to_layers.0"): {"trunk", *BRANCHES, "layer1"},
    ("layered_ffl", "layers_to_branches.0"): EVERYTHING,
    ("dccl", "ce_fused"): {"trunk", *BRANCHES, "fusion"},
    ("dccl", "peers_to_branches.1"): OWN[1],
    ("dccl", "fused_to_branches.1"): OWN[1],
    ("dccl", "stages_to_branches.1"): {"trunk", "branch1", "crossings1"},
    ("dccl", "branches_to_fused"): {"trunk", *BRANCHES, "fusion"},
    ("ffsd", "ce_fused"): {"fusion"},
    ("ffsd", "ensemble_to_fused"): {"fusion"},
    ("ffsd", "peers_to_branches.1"): {"branch1", "classifier1"},
    ("ffsd", "fused_to_branches.0"): {"branch0", "classifier0"},
    ("ffsd", "diversity.2"): {"branch2"},
    ("ffsd", "decoded_attention.2"): {"branch2"},
    ("ffsd", "decoded_attention.0"): {"branch0"},
    ("ffsd", "fused_attention"): {"branch0"},
    ("ffsd", "expanded_attention"): {"branch0", "expansion"},
    ("ffsd", "decoding.2"): {"decoder2"},
    ("switokd", "peers_to_branches.1"): {"branch1", "classifier1"},
    ("dkel", "ce_fused"): {"trunk", *BRANCHES, "fusion"},
    ("dkel", "fused_to_branches.1"): OWN[1],
    ("dkel", "mean_teachers_to_branches.1"): OWN[1],
}


def network_for(config: ResolvedConfig) -> FusionNetwork:
    return build_trained(config, image_shape=image_shape(config.data), num_classes=10)


def images_for(config: ResolvedConfig, batch: int = 8) -> Tensor:
    views = config.num_views
    shape = [*[views] * (views > 1), batch, *image_shape(config.data)]
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("method", "term"), ROUTING)
def test_each_term_trains_exactly_its_own_parts(method: str, term: str) -> None:
    early = 1 if "stage_maps" in METHODS[method].needs else 2
    shared = early if METHODS[method].may_share else 0
    config = small_config(
        model__mix="3*resnet8", model__trunk_stages=shared, distill__method=method
    )
    network = build_trained(config, image_shape=image_shape(config.data), num_classes=10)
    output = network(images_for(config))._replace(share=torch.tensor(1.0, dtype=torch.float64))
    terms = loss_terms_of(config.distill)(output, torch.arange(8))

    torch.autograd.backward(terms[term].value)

    parts: dict[str, nn.Module | None] = {"trunk": network.trunks, "fusion": network.fusion}
    parts |= dict(zip(BRANCHES, network.branches, strict=True))
    parts |= dict(zip(CLASSIFIERS, network.classifiers, strict=True))
    parts |= {"attention": network.attention, "mean_teachers": network.mean_teachers}
    parts |= network.helpers
    reached = {
        name
        for name, part in parts.items()
        if part and any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
    }
    assert reached == ROUTING[method, term]


def test_cl_ilr_divides_the_trunks_gradient_by_its_branches() -> None:
    gradients = []
    for method in ("cl_ilr", "independent"):
        config = small_config(model__mix="3*resnet8", model__trunk_stages=2, distill__method=method)
        network = network_for(config).double()
        network(images_for(config).double()).branches.sum().backward()
        gradients.append([p.grad for p in network.trunks.parameters()])
        gradients.append([p.grad for p in network.branches.parameters()])

    divided, own, whole, same = gradients
    for got, expected in zip(divided, whole, strict=True):
        assert torch.allclose(3 * got, expected, rtol=1e-9)  # type: ignore[operator, arg-type]
    assert all(torch.equal(a, b) for a, b in zip(own, same, strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_branches_start_the_same_whatever_the_method(method: str) -> None:
    mix: dict[str, object] = {"model__mix": "resnet8+2*wrn10_1", "model__trunk_stages": 2}
    plain = network_for(small_config(**mix))

    network = network_for(small_config(**mix, distill__method=method))

    expected = plain.state_dict()
    for name, value in network.state_dict().items():
        if name.startswith(("trunks", "branches", "classifiers")):
            assert torch.equal(value, expected[name])


def test_a_mean_teacher_follows_the_weights_as_in_a_loop() -> None:
    config = small_config(model__mix="2*resnet8", distill__method="pcl", distill__ema_span=0.5)
    network = network_for(config)
    network.plan(8)
    assert network.mean_teachers is not None
    weight = network.classifiers[0].weight
    assert isinstance(weight, Tensor)
    average = weight.detach().clone()

    for step in range(1, 6):
        with torch.no_grad():
            weight += step
        network.after_step()
        keep = min(1 - 1 / (step + 1), 0.75)
        average = keep * average + (1 - keep) * weight.detach()

    classifiers = network.mean_teachers.parts[2]
    assert isinstance(classifiers, nn.ModuleList)
    mean = classifiers[0].weight
    assert isinstance(mean, Tensor)
    assert torch.allclose(mean, average, rtol=1e-6)
    assert not mean.requires_grad


@pytest.mark.parametrize("method", METHODS)
def test_members_are_the_branches_the_ensemble_and_fused_where_there_is_one(method: str) -> None:
    config = small_config(model__mix="3*resnet8", distill__method=method)
    network = network_for(config).eval()
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        together = network(images).members
        alone = [network.member(name, images) for name in network.member_names]
        shipped = [stripped(network, name) for name in network.member_names]

    assert not any("helpers" in name for one in shipped for name in one.state_dict())
    assert network.member_names == members_of(config)
    assert torch.allclose(together, torch.stack(alone), atol=1e-6)


@pytest.mark.parametrize("leader", ["wrn10_1", "1", "2"])
def test_the_leader_is_named_and_its_peers_alone_make_the_ensemble(leader: str) -> None:
    config = small_config(
        model__mix="2*resnet8+wrn10_1", model__leader=leader, distill__method="okddip"
    )
    index = 1 if leader == "1" else 2
    network = network_for(config).double()
    images = torch.randn(2, 1, 8, 8, dtype=torch.float64)

    output = network.eval()(images)

    peers = [z for k, z in enumerate(output.branches) if k != index]
    assert output.leader == index
    assert torch.allclose(output.ensemble, sum(peers) / 2)
    assert torch.allclose(network.member("ensemble", images), output.ensemble)
    alone = {id(p) for m in network.member_modules(f"branch{index}")[1:] for p in m.parameters()}
    together = {id(p) for m in network.member_modules("ensemble") for p in m.parameters()}
    assert not alone & together
    assert network.train()(images).attention.shape == (2, 2, 2)


@pytest.mark.parametrize(("steps", "decay"), [(117_300, 0.999), (236, 0.503), (10, 0.0)])
def test_averages_reach_back_over_the_same_share_of_a_training_of_any_length(
    steps: int, decay: float
) -> None:
    network = network_for(small_config(model__mix="2*resnet8", distill__method="pcl"))
    network.plan(steps)
    assert network.mean_teachers is not None

    assert network.mean_teachers.decay == pytest.approx(decay, abs=1e-3 if steps < 1000 else 1e-12)


@pytest.mark.parametrize(
    ("method", "gates"), [*((method, None) for method in METHODS), ("ktg", "fused>0=through")]
)
def test_the_fusion_modules_weight_decay_is_read_where_a_group_of_the_optimiser_has_it(
    method: str, gates: str | None
) -> None:
    config = small_config(distill__method=method, distill__gates=gates, model__mix="3*resnet8")
    network = build_trained(config, image_shape=image_shape(config.data), num_classes=10)

    groups = network.parameter_groups(weight_decay=0.5, fusion_weight_decay=0.25)

    has_it = 0.25 in [group["weight_decay"] for group in groups]
    assert has_it == ("optim.fusion_weight_decay" not in without_effect(flatten(config)))


def rises(method: str, name: str) -> bool:
    if method == "ffsd":  # whose ramp-up is that of the attention terms
        return name.partition(".")[0] in METHODS[method].terms
    return "_to_" in name


@pytest.mark.parametrize("method", METHODS)
def test_every_divergence_follows_the_ramp_up_and_no_cross_entropy_does(method: str) -> None:
    output = given(method, random_output(3))
    settings = resolved_distill(DistillConfig(method=method))

    terms = loss_terms_of(settings)(output, torch.arange(6) // 2)

    assert {name: term.schedule for name, term in terms.items()} == {
        name: "ramp" if rises(method, name) else "none" for name in terms
    }


class Watched:
    """Settings that note which of them are read."""

    def __init__(self, settings: ResolvedDistill) -> None:
        self.settings, self.read = settings, set[str]()

    def __getattr__(self, name: str) -> object:
        self.read.add(name)
        return getattr(self.settings, name)


@pytest.mark.parametrize(
    ("method", "off"),
    [
        *((method, None) for method in METHODS),
        *((method, term) for method in ("ffl", "layered_ffl") for term in FFL_TERMS),
    ],
)
def test_a_setting_is_said_to_have_an_effect_where_a_loss_reads_it(
    method: str, off: str | None
) -> None:
    output = given(method, random_output(3))
    config = resolved_from({"distill.method": method} | ({f"distill.{off}": False} if off else {}))
    settings, watched = flatten(config), cast(Any, Watched(config.distill))

    recipe = RECIPES[method]
    for terms in (recipe.terms, *(phase.terms for phase in recipe.then)):
        terms(output, torch.arange(6) // 2, watched)

    named = {name.removeprefix("distill.") for name in READ_BY if name.startswith("distill.")}
    idle = {name.removeprefix("distill.") for name in without_effect(settings)}
    of_dml = {"dml_teacher", "detach_targets"} if method == "afd" else set()  # whose form is fixed
    assert watched.read & named - of_dml == named - idle - READ_ELSEWHERE
