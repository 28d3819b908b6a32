"""What a training pass keeps for a method's loss: what it asks for, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ffl_ray.config.methods import METHODS, Need, resolved_from
from ffl_ray.errors import SettingError
from ffl_ray.models.branch_modules import Kept
from ffl_ray.models.builder import build_network
from ffl_ray.models.fusion import FUSION_DESIGNS, Fusion
from ffl_ray.models.network import FusionNetwork
from ffl_ray.models.pooling import pooled

SMALLEST = (
    "resnet8",
    "preact_bottleneck_resnet11",
    "wrn16_2",
    "vgg11",
    "densenet_bc10_12",
    "mobilenet_v2",
    "shufflenet_v2",
)


class Operations(TorchDispatchMode):
    """Counts operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def network_that(needs: set[Need], mix: str = "2*resnet8", **settings: object) -> FusionNetwork:
    named = {name.replace("__", "."): value for name, value in settings.items()}
    config = resolved_from({"model.mix": mix} | named)
    network = build_network(
        config.model, config.fusion, config.distill, image_shape=(3, 16, 16), num_classes=5, seed=0
    )
    network.needs = frozenset(needs)
    return network.train()


def operations(network: FusionNetwork, images: torch.Tensor) -> int:
    with torch.no_grad(), Operations() as counter:
        network(images)
    count: int = counter.count
    return count


def test_nothing_is_computed_or_kept_that_is_not_asked_for() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 16, 16)
    none = network_that(set())
    alone = operations(none, images)

    assert none(images).kept == Kept()
    more: dict[Need, int] = {"stage_maps": 0, "fused_map": 0, "pooled": 2}
    for need, count in more.items():
        asking = network_that({need})
        output = asking(images)
        assert operations(asking, images) == alone + count, need
        assert [name for name in Kept._fields if getattr(output.kept, name) is not None] == [need]
        assert torch.equal(output.branches, none(images).branches)
        assert torch.equal(output.fused, none(images).fused)
        assert asking.eval()(images).kept == Kept()


def test_the_methods_as_published_ask_for_logits_alone() -> None:
    for name in ("ffl", "independent", "dml", "cl_ilr", "one", "kdcl", "okddip", "pcl"):
        assert METHODS[name].needs == frozenset(), name


@pytest.mark.parametrize("name", SMALLEST)
@pytest.mark.parametrize("trunk_stages", [0, -1])
def test_a_branchs_maps_are_those_of_its_stages_in_order(name: str, trunk_stages: int) -> None:
    network = network_that({"stage_maps", "pooled"}, f"2*{name}", model__trunk_stages=trunk_stages)
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    kept = network(images).kept

    for index, maps in enumerate(kept.stage_maps):
        trunk = network.trunks[network.trunk_of[index]]
        modules = [*trunk.children(), *network.branches[index].children()]
        x = images
        for stage, (module, found) in enumerate(zip(modules, [None, *maps], strict=True)):
            x = module(x)
            if stage:
                assert torch.equal(found, x), (index, stage)
        assert torch.equal(kept.pooled[index], pooled(maps[-1]))
    assert (kept.stage_maps[0][0] is kept.stage_maps[1][0]) == (trunk_stages == -1)


def test_views_give_each_branch_stage_maps_of_its_own_view() -> None:
    network = network_that({"stage_maps"}, distill__method="dml", model__trunk_stages=1)
    views = torch.randn(2, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    maps = network(views).kept.stage_maps

    trunk = network.trunks[network.trunk_of[0]]
    for index, own in enumerate(maps):
        assert torch.equal(own[0], trunk(views[index]))


@pytest.mark.parametrize("design", FUSION_DESIGNS)
def test_the_fused_map_is_what_is_pooled_and_classified(
    design: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "ffl", METHODS["ffl"]._replace(needs=frozenset({"fused_map"})))
    if design in ("attention", "pooled_linear"):
        with pytest.raises(SettingError, match=f"fusion.design must merge maps .* not {design}"):
            network_that({"fused_map"}, fusion__design=design)
        return
    network = network_that({"fused_map"}, fusion__design=design)

    output = network(torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)))

    assert isinstance(network.fusion, Fusion)
    assert output.kept.fused_map.shape[1:] == (64, 4, 4)
    assert torch.equal(network.fusion.classify(output.kept.fused_map), output.fused)
