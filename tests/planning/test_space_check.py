"""--check: every network of a space is built and run, and the point that fails is named."""

from pathlib import Path

import pytest
from rich.console import Console
from torch import nn

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.console.plan_view import check_table
from ffl_ray.errors import SpaceError
from ffl_ray.models.fusion import FUSION_DESIGNS
from ffl_ray.planning.space_check import check_networks
from ffl_ray.search.space import load_space, settle


class Broken(nn.Module):
    """A design that is no design: it takes no shape."""

    def __init__(self) -> None:
        super().__init__()


def test_every_distinct_network_is_built_once() -> None:
    space = load_space("fusion")

    checked = check_networks(space, settle(space, {}).training, random=100)

    assert (checked.ends, checked.random) == (18, 100)
    assert len(checked.sizes) == 9
    assert checked.image == (1, 8, 8)
    assert min(size.parameters for size in checked.sizes) > 100_000


def test_a_network_that_can_not_be_built_names_its_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "space.py"
    path.write_text(
        "def search_space(trial): trial.suggest_categorical('fusion.design', ['sum', 'gated'])"
    )
    monkeypatch.setitem(FUSION_DESIGNS, "gated", Broken)

    with pytest.raises(
        SpaceError,
        match=r"space.py can propose a network that fails: .* \(at fusion.design=gated\)",
    ):
        check_networks(load_space(str(path)), with_overrides(Config(), {}), random=1)


def test_what_was_checked_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    space = load_space("temperature")

    Console(width=120).print(
        check_table(space.name, check_networks(space, settle(space, {}).training, random=3))
    )

    out = capsys.readouterr().out
    assert "2 at the ends of ranges, 3 at random" in out
    assert "1 distinct, built and run on images of 1x8x8" in out
    assert "MACs per image" in out
