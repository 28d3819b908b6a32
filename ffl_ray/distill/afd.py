"""AFD, feature-map-level online adversarial distillation: Chung et al. 2020, arXiv:2002.01775."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from ffl_ray.config.settings import ResolvedDistill
from ffl_ray.data.dataset import Labels
from ffl_ray.distill.dml import dml_terms
from ffl_ray.distill.recipe import MEMBERS, Phase, Recipe
from ffl_ray.distill.terms import Term
from ffl_ray.models.fusion import MapShape, common_shape
from ffl_ray.models.fusion_designs import Map
from ffl_ray.models.helpers import Helper, HelperRule
from ffl_ray.models.network import NetworkOutput

ADVERSARY = "adversary"
LEAST_SIDE = 2  # below which a discriminator's convolutions halve no more
RULE = HelperRule(weight_decay=0.1, lr_factor=2e-5 / 0.1, optimizer="adam")


class Adversary(nn.Module):
    """What tells each branch's map from that of the branch before it, in a ring.

    T_k brings branch k's map to the widest and smallest of all (pooled, 1x1 convolution, batch
    norm, leaky ReLU), and D_k gives such a map one number, 1 for the map of the branch before and
    0 for branch k's own.
    """

    def __init__(self, shapes: Sequence[MapShape]) -> None:
        super().__init__()
        common = common_shape([*shapes])
        self.transfers = nn.ModuleList(_transfer(shape, common) for shape in shapes)
        self.discriminators = nn.ModuleList(_discriminator(common) for _ in shapes)

    def forward(
        self, maps: Sequence[Map]
    ) -> tuple[list[Float[Tensor, ""]], list[Float[Tensor, ""]]]:
        """Of each branch the loss by which it deceives its discriminator, and the latter's own.

        mean (1 - D_k(T_k F_k))^2, which trains branch and T_k alone, and
        mean (1 - D_k(T_j F_j))^2 + mean D_k(T_k F_k)^2, which trains D_k alone, with j = k - 1.
        """
        moved = [transfer(x) for transfer, x in zip(self.transfers, maps, strict=True)]
        deceived, own = [], []
        for index, discriminator in enumerate(self.discriminators):
            fixed = {name: p.detach() for name, p in discriminator.named_parameters()}
            deceived.append(
                (1 - functional_call(discriminator, fixed, moved[index])).square().mean()
            )
            real = (1 - discriminator(moved[index - 1].detach())).square().mean()
            own.append(real + discriminator(moved[index].detach()).square().mean())
        return deceived, own


def _transfer(shape: MapShape, common: MapShape) -> nn.Module:
    return nn.Sequential(
        nn.AdaptiveAvgPool2d((common.height, common.width)),
        nn.Conv2d(shape.channels, common.channels, 1, bias=False),
        nn.BatchNorm2d(common.channels),
        nn.LeakyReLU(0.2),
    )


def _discriminator(shape: MapShape) -> nn.Module:
    """Convolutions 3x3 that halve side and width, to one number."""
    side, widths = min(shape.height, shape.width), [shape.channels]
    while side > LEAST_SIDE or len(widths) == 1:
        side, widths = (side + 1) // 2, [*widths, max(8, widths[-1] // 2)]
    layers: list[nn.Module] = []
    for width, narrower in pairwise(widths):
        layers += [nn.Conv2d(width, narrower, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1)]
    return nn.Sequential(*layers)


def afd_helpers(example: NetworkOutput, settings: ResolvedDistill) -> dict[str, Helper]:
    """The discriminators and what brings maps to one shape."""
    return {ADVERSARY: Helper(Adversary([MapShape(*x.shape[1:]) for x in _maps(example)]))}


def afd_terms(output: NetworkOutput, labels: Labels, settings: ResolvedDistill) -> dict[str, Term]:
    """The step by logits, which is DML's at this method's temperature; it trains the members."""
    return dml_terms(output, labels, settings)


def adversarial_terms(
    output: NetworkOutput, labels: Labels, settings: ResolvedDistill
) -> dict[str, Term]:
    """The step by maps, after that by logits: each branch deceives its discriminator.

    L = b sum_k [ mean (1 - D_k(T_k F_k))^2 ] + sum_k [ mean (1 - D_k(T_j F_j))^2
    + mean D_k(T_k F_k)^2 ] with F_k the last map of branch k, j the branch before k in a ring
    (the other one of two), and b = distill.weight. Each sum trains what `Adversary` says alone;
    at b = 0 the branches take no such step, and no weight decay of it.
    """
    assert output.helpers is not None, "AFD trains an adversary"
    deceived, own = output.helpers[ADVERSARY](_maps(output))
    terms = {f"discriminator.{k}": Term(x) for k, x in enumerate(own)}
    if settings.weight:
        terms |= {f"deception.{k}": Term(x, settings.weight) for k, x in enumerate(deceived)}
    return terms


def _maps(output: NetworkOutput) -> list[Map]:
    assert output.kept.stage_maps is not None, "AFD reads the last maps"
    return [maps[-1] for maps in output.kept.stage_maps]


AFD = Recipe(
    afd_terms,
    afd_helpers,
    trains=(MEMBERS,),
    then=(Phase(adversarial_terms, (MEMBERS, ADVERSARY), RULE),),
)
