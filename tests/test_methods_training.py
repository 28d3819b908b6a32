"""Every method trained: it learns, goes on where it stopped, and only the method differs."""

from __future__ import annotations

import io

import pytest
import torch
from helpers import MemorySession, small_config
from torch import Tensor

from ffl_ray.config import Config
from ffl_ray.methods import METHODS, with_reachable_objective
from ffl_ray.overrides import with_overrides
from ffl_ray.worker import run_worker


def config_for(method: str, **overrides: object) -> Config:
    small = {
        "model__mix": "3*resnet8",
        "distill__method": method,
        "data__fraction": 0.5,
        "optim__lr_schedule": "cosine",
    }
    return with_reachable_objective(small_config(**small | overrides))


def train(config: Config, files: dict[str, bytes] | None = None) -> MemorySession:
    session = MemorySession(files)
    run_worker(config, session)
    return session


def weights(session: MemorySession) -> dict[str, Tensor]:
    state = torch.load(io.BytesIO(session.files["latest.pt"]), weights_only=True)
    network: dict[str, Tensor] = state["network"]
    return network


@pytest.mark.parametrize("method", METHODS)
def test_every_member_learns_digits(method: str) -> None:
    session = train(config_for(method, optim__epochs=5, distill__ramp_up_epochs=1))

    found = {row["member"]: row["accuracy"] for row in session.members[-1]}
    assert len(found) == 3 + 1 + (METHODS[method].head is not None)
    assert min(found.values()) > 0.8, found
    losses = [row["loss.total"] for row in session.rows]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("method", ["one", "okddip", "pcl"])
def test_a_stopped_training_goes_on_to_the_same_weights(method: str) -> None:
    config = config_for(method, data__fraction=0.2, optim__epochs=2)
    whole = train(config)
    stopped = MemorySession(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        run_worker(config, stopped)

    resumed = train(config, stopped.files)

    for name, value in weights(whole).items():
        assert torch.equal(weights(resumed)[name], value), name
    assert resumed.rows[-1]["loss.total"] == whole.rows[-1]["loss.total"]


def test_a_branch_of_independent_is_its_backbone_trained_alone_bit_for_bit() -> None:
    alone = weights(train(config_for("independent", model__mix="resnet8")))
    together = weights(train(config_for("independent", model__mix="resnet8+2*wrn10_1")))

    for name, value in alone.items():
        assert torch.equal(together[name], value), name
    rest = {name for name in together if ".0." in name.partition("branches")[2][:4]}
    assert len(alone) >= len(rest) > 0


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"kdcl", "pcl"}))
def test_methods_without_views_see_the_same_images_in_the_same_order(method: str) -> None:
    baseline = train(config_for("independent", model__trunk_stages=2, optim__epochs=1))
    silent = {"distill.ramp_up_epochs": 1e9, "model.trunk_stages": 2, "optim.epochs": 1}

    config = with_overrides(config_for(method), silent)
    first = train(config).rows[0]["loss.ce_branches"]

    expected = baseline.rows[0]["loss.ce_branches"]
    assert first == pytest.approx(expected, rel=0.35)
    assert all(value > 0 for value in first)
