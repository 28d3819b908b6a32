"""FFSD: Li et al. 2021, arXiv:2103.14473, and the authors' program."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ffl_ray.config.settings import DESIGNS, ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.recipe import Recipe
from ffl_ray.distill.stages import (
    attention_map,
    common_stage_shapes,
    in_words,
    normed_mse,
    stage_maps_of,
)
from ffl_ray.distill.terms import Term, cross_entropies, mean_kl
from ffl_ray.errors import SettingError
from ffl_ray.models.branch_modules import without
from ffl_ray.models.fusion import MapShape
from ffl_ray.models.fusion_designs import Map
from ffl_ray.models.helpers import Helper, HelperRule
from ffl_ray.models.init import init_weights
from ffl_ray.models.network import NetworkOutput
from ffl_ray.models.stage_modules import StageDecoder, expansion

EXPANSION = "expansion"
DECODER_RULE = HelperRule(weight_decay=1e-4, lr_factor=0.01, optimizer="adam")
TINY = 1e-12


def ffsd_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """Students learn from each other and stay apart; the leader learns from what they are fused to.

    Students k: CE(z_k, y) + 1/(n-1) sum_(j != k) KL(z_j -> z_k), and from the second on
        r d [ diversity of F_k from F_(k-1) + sum_s A(F_ks, Dec_k(shifted F_(k-1))_s) ].
    Fused: CE(z_f, y) + KL(mean_k z_k -> z_f), on maps that no gradient comes back to.
    Leader: CE(z_L, y) + KL(z_f -> z_L) + r a [ A(F_L, F_f) + A(expansion(F_L), all F_k side by
        side) + sum_s A(F_Ls, Dec_L(F_f)_s) ].
    Decoders: r c sum_s [ nmse(Dec(F)_s, F_s) + A(Dec(F)_s, F_s) ] of their own branch.
    F are maps after stages, A(x, t) the `normed_mse` of x's attention map and t's, t a constant, r
    the ramp-up, which KL terms do not have, d = distill.diversity_weight, a =
    distill.attention_weight, c = distill.decoder_weight. Decoders give constants by the statistics
    of the steps before, and train on constants.
    """
    assert output.leader is not None, "FFSD has a leader"
    terms = cross_entropies(output, labels, settings) | _divergences(output, settings)
    students = without(output.leader, range(len(output.branches)))
    for before, student in itertools.pairwise(students):
        terms |= _apart(output, student, before, settings.diversity_weight)
    terms |= _led(output, students, settings.attention_weight)
    for index in (*students[1:], output.leader):
        maps = [x.detach() for x in stage_maps_of(output)[index]]
        decoded = _decoder(output, index)(maps[-1])
        errors = [
            normed_mse(x, target) + normed_mse(attention_map(x), attention_map(target))
            for x, target in zip(decoded, maps, strict=False)
        ]
        value = torch.stack(errors).sum()
        terms[f"decoding.{index}"] = Term(value, settings.decoder_weight, "ramp")
    return terms


def ffsd_helpers(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    """The leader's expansion, and a decoder for it and for every student but the first.

    Raises:
        SettingError: branches differ in the shapes of their maps, or have one stage, or the fused
            map has another shape.
    """
    assert example.leader is not None, "FFSD has a leader"
    assert example.kept.fused_map is not None, "FFSD reads the fused map"
    shapes = common_stage_shapes(example, settings)
    fused = MapShape(*example.kept.fused_map.shape[1:])
    if fused != shapes[-1]:
        raise SettingError(
            f"fusion.design must merge maps into one of their shape, as {DESIGNS[0]} does, for "
            f"distill.method {settings.method}, {in_words(shapes[-1:])}, not {in_words([fused])}"
        )
    students = without(example.leader, range(len(example.branches)))
    expanding = expansion(shapes[-1].channels, len(students))
    init_weights(expanding)
    made = {EXPANSION: Helper(expanding)}
    for index in (*students[1:], example.leader):
        made[f"decoder{index}"] = Helper(StageDecoder(shapes), DECODER_RULE)
    return made


def diverse_target(peer: Map) -> tuple[Tensor, Map]:
    """Where a student is to attend, given a peer's map, and that map shifted so.

    b is the peer's attention map and N its length. Where b / N is above the largest of its lowest
    third, the student is to attend N - b / N, at that value N / 2, below it b / N; N itself is not
    divided by, as released. The shift is N / C of the difference, for all C channels.
    """
    attention = attention_map(peer)
    length = attention.norm(dim=1, keepdim=True)
    seen = attention / length.clamp(min=TINY)
    third = max(1, seen.shape[1] // 3)
    threshold = seen.sort(dim=1).values[:, third - 1 : third]
    target = (length / 2 - seen) * torch.sign(seen - threshold) + length / 2
    shift = (target - seen) * length / peer.shape[1]
    return target, peer + shift.view(len(peer), 1, *peer.shape[2:])


def _divergences(output: NetworkOutput, settings: ResolvedDistill) -> dict[str, Term]:
    """The terms between logits."""
    assert output.fused is not None, "FFSD has a fused classifier"
    assert output.leader is not None, "FFSD has a leader"
    temperature = settings.temperature
    fused = {"ensemble_to_fused": (output.fused, [output.ensemble])}
    led = {f"fused_to_branches.{output.leader}": (output.branches[output.leader], [output.fused])}
    students = without(output.leader, range(len(output.branches)))
    taught = {
        f"peers_to_branches.{k}": (
            output.branches[k],
            [output.branches[j] for j in students if j != k],
        )
        for k in students
    }
    return {
        name: Term(
            mean_kl(s, teachers, temperature=temperature),
            settings.weight,
        )
        for name, (s, teachers) in (taught | fused | led).items()
    }


def _apart(output: NetworkOutput, student: int, before: int, weight: float) -> dict[str, Term]:
    """A student attends otherwise than the one before it, at all its stages."""
    own, others = (stage_maps_of(output)[index] for index in (student, before))
    target, shifted = diverse_target(others[-1].detach())
    seen = F.normalize(attention_map(own[-1]))
    return {
        f"diversity.{student}": Term(F.mse_loss(seen, target), weight, "ramp"),
        f"decoded_attention.{student}": Term(_as_decoded(output, student, shifted), weight, "ramp"),
    }


def _led(output: NetworkOutput, students: list[int], weight: float) -> dict[str, Term]:
    """The leader attends as the fused map does, and as all students' maps do."""
    assert output.leader is not None, "FFSD has a leader"
    assert output.helpers is not None, "FFSD trains an expansion"
    assert output.kept.fused_map is not None, "FFSD reads the fused map"
    maps, fused = stage_maps_of(output), output.kept.fused_map.detach()
    own = maps[output.leader][-1]
    together = torch.cat([maps[index][-1].detach() for index in students], dim=1)
    expanded = output.helpers[EXPANSION](own)
    values = {
        "fused_attention": normed_mse(attention_map(own), attention_map(fused)),
        "expanded_attention": normed_mse(attention_map(expanded), attention_map(together)),
        f"decoded_attention.{output.leader}": _as_decoded(output, output.leader, fused),
    }
    return {name: Term(value, weight, "ramp") for name, value in values.items()}


def _as_decoded(output: NetworkOutput, index: int, last: Map) -> Tensor:
    """How far a branch's stages attend from where the maps do that its decoder makes of a last."""
    decoded = _decoder(output, index).as_it_is(last)
    pairs = zip(stage_maps_of(output)[index], decoded, strict=False)
    return torch.stack([normed_mse(attention_map(x), attention_map(t)) for x, t in pairs]).sum()


def _decoder(output: NetworkOutput, index: int) -> StageDecoder:
    assert output.helpers is not None, "FFSD trains decoders"
    decoder: nn.Module = output.helpers[f"decoder{index}"]
    assert isinstance(decoder, StageDecoder)
    return decoder


FFSD = Recipe(ffsd_terms, helpers=ffsd_helpers)
