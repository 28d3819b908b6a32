"""Looks at a training: they change nothing in it, learn as its own head does, and are ranked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.compared import assert_same_weights, weights
from support.grids import DESIGNS, EPOCHS, SEEDS, final_nll, make_grid
from support.helpers import MemorySession, small_config

from benchmarks.many_looks.groups import DESIGN, Group, groups_of
from benchmarks.many_looks.looks import HEAD, MEMBER, SUBSET, Looks, look
from benchmarks.many_looks.ranks import (
    Ranked,
    by_early,
    by_looks,
    by_others,
    by_seed,
    kendall,
    mean_of,
    noise_free,
    spearman,
    with_all,
    with_the_rest,
    without,
)
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.models.fusion import FUSION_DESIGNS
from ffl_ray.search.product import MIX
from ffl_ray.training.setup import prepared
from ffl_ray.training.worker import run_worker

METRICS = ["accuracy", "top5", "nll", "ece"]


def tiny(**overrides: object) -> ResolvedConfig:
    return small_config(data__fraction=0.15, optim__epochs=2, distill__ramp_up=0.5, **overrides)


def looked(
    config: ResolvedConfig,
) -> tuple[dict[tuple[int, str, str], list[float]], dict[str, torch.Tensor]]:
    """The metrics of each look by epoch, kind and name, and the weights the training ended with."""
    with prepared(config, MemorySession()) as training:
        found = {
            (row["epoch"], row["kind"], row["look"]): [row[name] for name in METRICS]
            for row in look(training)
        }
        return found, training.network.state_dict()


def test_a_training_is_bit_identical_whether_it_is_looked_at_or_not() -> None:
    config, alone = tiny(model__mix="resnet8+resnet8+wrn10_1"), MemorySession()
    run_worker(config, alone)

    seen, state = looked(config)

    assert_same_weights(state, weights(alone.files))
    for epoch, members in enumerate(alone.members, start=1):
        for one in members:
            assert seen[epoch, MEMBER, one["member"]] == [one[name] for name in METRICS]
    assert seen[2, SUBSET, "0+1+2"] == seen[2, MEMBER, "ensemble"]
    assert seen[2, SUBSET, "1"] == seen[2, MEMBER, "branch1"]
    heads = {name: seen[2, HEAD, name] for name in FUSION_DESIGNS}
    assert len(set(map(tuple, heads.values()))) == len(heads)


@pytest.mark.parametrize("design", ["gated", "squeeze_excitation"])
def test_a_look_of_the_own_design_is_the_training_s_own_head_where_that_is_detached_too(
    design: str,
) -> None:
    seen, _ = looked(tiny(model__mix="resnet8+wrn10_1", fusion__design=design, fusion__detach=True))

    for epoch in (1, 2):
        assert seen[epoch, HEAD, design] == seen[epoch, MEMBER, "fused"]


def test_a_method_without_a_fusion_module_can_t_be_looked_at() -> None:
    with (
        prepared(
            tiny(distill__method="dml", objective="ensemble.nll"), MemorySession()
        ) as training,
        pytest.raises(SettingError, match="such as ffl, not dml"),
    ):
        Looks(training)


def test_a_grid_s_groups_are_its_points_that_differ_in_one_choice(tmp_path: Path) -> None:
    study = str(tmp_path / "grid")
    make_grid(tmp_path / "grid").close()

    with pytest.raises(StudyError, match=r"val\.ensemble\.nll is none"):
        groups_of(study, role="ensemble")
    _, groups = groups_of(study)

    assert [group.fixed for group in groups] == [("1.0",), ("3.0",), ("5.0",)]
    for group, temperature in zip(groups, (1.0, 3.0, 5.0), strict=True):
        assert (group.choice, group.names) == (DESIGN, DESIGNS)
        assert group.real.shape == (len(DESIGNS), SEEDS, EPOCHS)
        assert group.real[:, :, -1] == pytest.approx(
            np.array(
                [[-final_nll(name, temperature, seed) for seed in range(SEEDS)] for name in DESIGNS]
            )
        )
        config = group.config()
        assert (config.seed, config.distill.temperature) == (SEEDS, temperature)


def test_the_training_for_mixes_holds_them_all_and_a_mix_is_the_mean_of_its_subsets() -> None:
    mixes = ("2*resnet8", "resnet14+resnet8")
    group = Group(
        MIX, (), mixes, tuple(tiny(model__mix=mix) for mix in mixes), np.zeros((2, 2, 1)), 7
    )
    assert group.config().model.mix == ("resnet14", "resnet8", "resnet8")
    nll = {"0": 9.0, "0+1": 1.0, "0+2": 2.0, "1+2": 4.0, "0+1+2": 9.0}
    rows = pd.DataFrame(
        [{"epoch": 1, "kind": SUBSET, "look": name, "nll": value} for name, value in nll.items()]
        + [{"epoch": 1, "kind": HEAD, "look": "sum", "nll": 0.0}]
    )

    assert group.looked(rows, lambda value: -value, "nll").tolist() == [[-4.0], [-1.5]]
    rows.loc[rows["look"] == "1+2", "nll"] = np.nan
    assert group.looked(rows, lambda value: -value, "nll").tolist() == [[-np.inf], [-1.5]]


def test_rank_correlations_are_those_of_the_definitions() -> None:
    one, other = np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 30.0, 20.0, 40.0])

    assert spearman(one, other) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert kendall(one, other) == pytest.approx((5 - 1) / 6)
    assert spearman(one, -one) == -1
    assert spearman(one, np.ones(4)) == kendall(np.ones(4), one) == 0
    assert noise_free(0.5, 2) == pytest.approx((2 / 3) ** 0.5)
    assert noise_free(-0.2, 2) == 0


def test_looks_are_held_against_seeds_as_seeds_are_against_each_other() -> None:
    up = np.array([1.0, 2.0, 3.0])
    agreeing = Ranked(looks=up, real=np.stack([up, up], axis=1), early=np.stack([up, -up], axis=1))
    opposed = Ranked(looks=up, real=np.stack([up, -3 * up], axis=1), early=np.stack([up, up], 1))
    groups = [agreeing, opposed]

    assert with_all(groups) == [1, -1]  # the mean over the seeds falls
    assert with_the_rest(groups, by_looks) == [1, 0]
    assert with_the_rest(groups, by_seed) == [1, -1]
    assert with_the_rest(groups, by_early) == [0, 0]
    assert by_others(groups) == [-1, -1]
    assert by_others(groups[:1]) == [0]
    assert [list(group.looks) for group in without(groups, 1)] == [[1, 3], [1, 3]]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([0.8, 0.9, 1.0], "reached"), ([0.1, 0.2], "missed"), ([0.2, 1], "not told")],
)
def test_the_verdict_is_that_of_the_interval(values: list[float], verdict: str) -> None:
    found = mean_of(values)

    assert found.low <= found.value <= found.high
    assert found.verdict == verdict
    assert mean_of([1.0]).verdict == "not told"
