"""The experiment "does FFL help?": what its one command plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ffl_helps.__main__ import BASELINES, CAUSES, DATA_SETS, Experiment, main
from ffl_ray import cli, tune
from ffl_ray.config.methods import resolved
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config
from ffl_ray.confirm import __main__ as confirm
from ffl_ray.confirm.arms import networks_to_time, plan_arms, plan_runs, primary_of
from ffl_ray.confirm.opponents import Against
from ffl_ray.errors import SettingError
from ffl_ray.planning.same_macs import same_macs
from ffl_ray.search.first_points import default_config
from ffl_ray.search.space import load_space, settle


def test_it_holds_ffl_against_every_arm_and_the_backbone_for_equal_seconds_too() -> None:
    asked = Experiment("/data", "/there", 5, 10).request("cifar100")
    chosen = asked.chosen[0]
    against = Against(asked.kinds, {chosen.config: same_macs(chosen.config, 100)})
    timed = networks_to_time(asked.chosen, asked.baselines, against)

    arms, pairs = plan_arms(asked.chosen, asked.baselines, dict.fromkeys(timed, 2.0), (), against)

    assert {(pair.kind, pair.equal) for pair in pairs} == {
        ("alone", "seconds"),
        *((kind, "epochs") for kind in CAUSES),
    }
    primary = primary_of(pairs, arms[0])
    assert primary is not None
    assert (primary.kind, primary.equal, primary.member) == ("alone", "seconds", "branches")
    settings = flatten(chosen.config)
    assert settings["model.mix"] == ("resnet14", "resnet14")
    assert (settings["data.image_size"], settings["optim.epochs"]) == (16, 30)
    assert round(settings["distill.ramp_up"] * 30) == 8
    assert [run.seed for run in plan_runs(arms, asked.seeds)[: len(arms)]] == [1000] * len(arms)
    assert (len(asked.seeds), asked.looks) == (10, 6)


def test_its_commands_are_those_that_anybody_can_give() -> None:
    experiment = Experiment("/data", "/there", 7, 9, ["optim.epochs=1"])

    searched = tune.parser().parse_args(experiment.training("cifar10"))
    confirmed = confirm.parser().parse_args(experiment.confirmation("cifar10"))
    across = confirm.parser().parse_args(experiment.across(DATA_SETS))

    assert searched.name == confirmed.study == "ffl-helps-cifar10"
    assert searched.set == ["data.name=cifar10", "optim.epochs=1"]
    assert (confirmed.seeds, confirmed.until_decided, confirmed.max_seeds) == (7, True, 9)
    assert (tuple(confirmed.arms), confirmed.baselines) == (CAUSES, BASELINES)
    assert cli.overrides_of(confirmed) == {"data.dir": "/data"}
    assert cli.overrides_of(searched)["data.dir"] == "/data"
    assert across.across == ["ffl-helps-cifar100", "ffl-helps-cifar10"]


@pytest.mark.parametrize("seeds", [["--seeds", "3"], ["--max-seeds", "600"]])
@pytest.mark.parametrize("which", [[], ["--searched"], ["--dry-run"]])
def test_seeds_that_can_not_be_are_refused_before_any_training(
    seeds: list[str], which: list[str], tmp_path: Path
) -> None:
    place = ["--data-dir", str(tmp_path), "--storage-path", str(tmp_path / "results")]

    with pytest.raises(SettingError, match="seeds must be"):
        main([*place, *seeds, *which])
    assert not (tmp_path / "results").exists()


def test_the_winner_of_a_search_meets_the_published_config_tuned_by_as_many_trials() -> None:
    experiment = Experiment("/data", "/there", 5)

    searched = tune.parser().parse_args(experiment.search())
    confirmed = confirm.parser().parse_args(experiment.winner())

    space = load_space(searched.space)
    settings = settle(space, {"data.dir": "/data"})
    assert (settings.search.num_samples, settings.search.sampler) == (20, "tpe")
    default = flatten(default_config(space, settings.training))
    assert default["model.mix"] == ("resnet14", "resnet14")
    published = {
        name: value for name, value in default.items() if name.startswith(("distill", "fusion"))
    }
    assert published == {name: flatten(resolved(Config()))[name] for name in published}
    assert not settings.search.plain_baseline
    assert (confirmed.study, confirmed.top, confirmed.arms) == (searched.name, 1, ["default"])
    assert confirmed.tune_baselines == settings.search.num_samples
