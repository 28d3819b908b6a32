"""Searches for baselines: over what applies to them, with the config's budget."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from support.helpers import small_config

from ffl_ray.config.objectives import parse_objectives
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import ResolvedConfig, SearchConfig
from ffl_ray.confirm.arms import config_of, networks_to_time, plan_arms
from ffl_ray.confirm.chosen import confirmed_form
from ffl_ray.confirm.compared import comparison_rows, parity_columns, parity_words
from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.measured import measured_arms
from ffl_ray.confirm.opponents import Against, Kind
from ffl_ray.confirm.pairs import Arm, Chosen, Tuning
from ffl_ray.confirm.plan import with_runs
from ffl_ray.confirm.request import Request
from ffl_ray.confirm.tuned import FOLDER, baseline_searches, with_tuned
from ffl_ray.confirm.tuning import has_ended, search_of
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.results.description import describe_study
from ffl_ray.results.spent import note_used
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.search.part_space import searched_kinds
from ffl_ray.search.space import load_space

LR = FloatDistribution(0.01, 1.0, log=True)
KINDS: dict[str, BaseDistribution] = {
    "optim.lr": LR,
    "data.flip": CategoricalDistribution([True, False]),
    "optim.fusion_weight_decay": FloatDistribution(1e-6, 1e-3, log=True),
    "fusion.design": CategoricalDistribution(["sum", "mean"]),
    "distill.temperature": FloatDistribution(1.0, 8.0),
    "optim.epochs": IntDistribution(3, 6),
    "num_branches": IntDistribution(2, 4),
    "mix.resnet8": IntDistribution(0, 4),
    "mix.resnet20": IntDistribution(0, 4),
    "my_own_name": FloatDistribution(0.0, 1.0),
}
ARMS: tuple[Kind, ...] = ("alone", "together", "untaught")
MIX = {
    "data__name": "cifar10",
    "model__mix": "2*resnet20",
    "optim__lr": 0.05,
    "distill__temperature": 2.0,
}
CHOSEN = (
    Chosen("00004", confirmed_form(small_config(**MIX))),
    Chosen("00001", confirmed_form(small_config(**MIX | {"optim__lr": 0.2}))),
)


def request(folder: Path, kinds: dict[str, BaseDistribution] = KINDS, trials: int = 4) -> Request:
    return Request(
        storage=Storage(str(folder)),
        name="study/confirmed",
        top=2,
        baselines="both",
        chosen=list(CHOSEN),
        seeds=[1000, 1001],
        settings={"baselines": "both", "margin": 0.5, "data.dir": "/there"},
        search=SearchConfig(cpus_per_trial=1),
        ranked_by="fused.accuracy",
        searched={"settings": {"search.scheduler": "none", "search.seed": 5}},
        address=None,
        dry_run=False,
        kinds=ARMS,
        tune_baselines=trials,
        dimensions=kinds,
        search_trials=8,
    )


def planned(chosen: Sequence[Chosen] = CHOSEN) -> Confirmation:
    """A plan whose baselines wait for their searches; a branch takes a second an epoch."""
    against = Against(ARMS)
    timed = networks_to_time(chosen, "both", against)
    seconds = {one: 1.0 * len(one.model.mix) for one in timed}
    arms, pairs = plan_arms(chosen, "both", seconds, (), against)
    ids = [one.trial_id for one in chosen]
    return Confirmation({}, "fused.accuracy", ids, [1000, 1001], arms, pairs, [], search_trials=8)


def test_a_baseline_is_searched_over_what_it_has() -> None:
    searches = baseline_searches(planned(), request(Path("/there")), 10)

    searched = {name: set(one.searched) for name, one in searches.items()}
    both = {"optim.lr", "data.flip"}
    assert searched["independent 2*resnet20, 3 epochs"] == both
    assert searched["independent resnet20, 3 epochs"] == {*both, "model.mix"}
    assert searched["untaught 2*resnet20, 3 epochs"] == {*both, "optim.fusion_weight_decay"}
    ours = searches["independent resnet20, 3 epochs"]
    assert "trial.suggest_float('optim.lr', 0.01, 1.0, step=None, log=True)" in ours.text
    assert "suggest_categorical('model.mix', ['resnet20', 'resnet8'])" in ours.text
    # The other config's learning rate is another, and that is what is searched: one search.
    assert ours.folder == searches["independent resnet20, 3 epochs (no. 2)"].folder
    assert ours.folder != searches["independent resnet20, 6 epochs"].folder


def test_where_nothing_applies_it_is_refused_in_one_line() -> None:
    kinds = {name: KINDS[name] for name in ("fusion.design", "distill.temperature")}

    with pytest.raises(SettingError, match="--tune-baselines must be .*not of fusion.design, dist"):
        baseline_searches(planned(), request(Path("/there"), kinds), 10)
    silent = request(Path("/there"), kinds)._replace(tune_baselines=None)
    assert baseline_searches(planned(), silent, 10) == {}


def test_a_baselines_search_begins_with_what_it_inherits_and_has_the_configs_budget(
    tmp_path: Path,
) -> None:
    asked = request(tmp_path)
    one = baseline_searches(planned(), asked, 10)["independent resnet20, 6 epochs"]
    path = tmp_path / "space.py"
    path.write_text(one.text)

    search = search_of(load_space(str(path)), one, asked, Storage(str(tmp_path / "s")))

    settings = search.settings
    inherited = with_overrides(settings.training, {"data.dir": None})
    assert flatten(inherited) == flatten(config_of(one.arm))
    assert settings.data.dir == "/there"
    assert (settings.search.scheduler, settings.search.seed) == ("none", 5)
    assert (settings.search.num_samples, settings.search.sampler) == (4, "tpe")
    assert settings.search.objectives == ("ensemble.accuracy",)
    assert settings.search.cpus_per_trial == 1
    assert 0 <= time.monotonic() - search.started < 60  # its time is not that of the machine


@pytest.mark.parametrize(
    ("ranked_by", "untaught"),
    [
        ("fused.nll", "fused.nll"),
        ("params, deployed.nll", "deployed.nll"),
        ("branch0.nll, branch0.accuracy", "branch0.nll"),
    ],
)
def test_a_baselines_search_is_judged_by_the_searchs_metric_of_the_member_that_is_compared(
    ranked_by: str, untaught: str, tmp_path: Path
) -> None:
    asked = request(tmp_path)._replace(ranked_by=ranked_by)
    path, found = tmp_path / "space.py", {}
    for name, one in baseline_searches(planned(), asked, 10).items():
        path.write_text(one.text)
        search = search_of(load_space(str(path)), one, asked, Storage(str(tmp_path / "s")))
        assert search.settings.objective == search.settings.search.objectives[0]
        found[name] = search.settings.search.objectives

    assert found["independent 2*resnet20, 3 epochs"] == ("ensemble.nll",)
    assert found["independent resnet20, 3 epochs"] == ("ensemble.nll",)  # of a branch: that branch
    assert found["untaught 2*resnet20, 3 epochs"] == (untaught,)


def test_a_space_of_few_points_is_tried_whole(tmp_path: Path) -> None:
    asked = request(tmp_path, {"data.flip": KINDS["data.flip"]}, trials=20)
    one = baseline_searches(planned(), asked, 10)["independent 2*resnet20, 3 epochs"]
    path = tmp_path / "space.py"
    path.write_text(one.text)

    search = search_of(load_space(str(path)), one, asked, Storage(str(tmp_path / "s")))

    assert (search.settings.search.num_samples, search.settings.search.sampler) == (2, "grid")


def searched(
    folder: Path,
    config: ResolvedConfig,
    found: dict[float, dict[str, Any]],
    search: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """A finished search for a baseline: the settings that got each validation accuracy."""
    objectives = parse_objectives(["ensemble.accuracy"])
    settings = flatten(config) | {"search.objectives": ("ensemble.accuracy",)}
    settings |= {"search.num_samples": 4, **search}
    description = describe_study("search", settings)
    tables = StudyTables.open(Storage(str(folder)), "s", description, objectives)
    for number, (value, changes) in enumerate(found.items()):
        trial_id, trained = f"{number:05d}", with_overrides(config, changes)
        tables.start(trial_id, trained, params="{}", distributions="{}", num_workers=1)
        epoch = {"epoch": 1, "time": datetime.now(UTC), "best_epoch": 1, "objective_value": value}
        member = {"member": "ensemble", "split": "val", "split_hash": "0", "accuracy": value}
        tables.epoch(trial_id, epoch, [member], [member])
        tables.end(trial_id, "completed", accelerator_s=3.0)
    tables.start(f"{len(found):05d}", config, params="{}", distributions="{}", num_workers=1)
    tables.store()
    tables.close()


@pytest.mark.parametrize(
    ("limit_s", "budget_s", "left_s"), [(None, 60.0, 60.0), (30.0, 60.0, 30.0), (None, None, None)]
)
def test_a_baselines_search_ends_when_a_search_with_a_budget_did(
    limit_s: float | None, budget_s: float | None, left_s: float | None, tmp_path: Path
) -> None:
    times = {"search.time_budget_s": limit_s, "search.budget_s": budget_s}
    asked = request(tmp_path)._replace(searched={"settings": times})
    one = baseline_searches(planned(), asked, 10)["independent resnet20, 6 epochs"]
    path = tmp_path / "space.py"
    path.write_text(one.text)

    config = search_of(load_space(str(path)), one, asked, Storage(str(tmp_path / "s"))).settings

    assert (config.search.time_budget_s, config.search.budget_s) == (left_s, None)


def test_a_baselines_search_has_the_time_that_the_search_had_by_all_its_starts(
    tmp_path: Path,
) -> None:
    """Of a search that went on with more its study.json keeps the first limit."""
    asked = request(tmp_path / "study/confirmed")._replace(
        searched={"settings": {"search.budget_s": 60.0}}
    )
    one = baseline_searches(planned(), asked, 10)["independent resnet20, 6 epochs"]
    path = tmp_path / "space.py"
    path.write_text(one.text)
    left_s = []
    (tmp_path / "study").mkdir()
    for used in (50.0, 3000.0):
        note_used(Storage(str(tmp_path / "study")), used)
        found = search_of(load_space(str(path)), one, asked, Storage(str(tmp_path / "s")))
        left_s.append(found.settings.search.time_budget_s)

    assert left_s == [60.0, 3000.0]


def test_a_baselines_search_whose_time_is_used_up_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER / "alone"
    searched(folder, small_config(), {0.5: {}}, {"search.time_budget_s": 30.0})
    storage = Storage(str(folder))

    note_used(storage, 29.0)
    before = has_ended(storage)
    note_used(storage, 30.0)

    assert (before, has_ended(storage)) == (False, True)


def tune_all(tmp_path: Path, found: dict[float, dict[str, Any]]) -> Confirmation:
    """A plan after searches that all found the same."""
    plan, asked = planned(), request(tmp_path)
    searches = baseline_searches(plan, asked, 10)
    for one in {one.folder: one for one in searches.values()}.values():
        searched(tmp_path / FOLDER / one.folder, config_of(one.arm), found)
    return with_runs(with_tuned(plan, asked, searches, twice_as_long), asked, 10)


def twice_as_long(configs: Sequence[ResolvedConfig]) -> dict[ResolvedConfig, float]:
    """Seconds of an epoch where a flip costs as much again."""
    return {one: len(one.model.mix) * (2.0 if one.data.flip else 1.0) for one in configs}


def test_a_baseline_that_its_search_made_a_config_is_named_and_the_config_stays(
    tmp_path: Path,
) -> None:
    plan, asked = planned(), request(tmp_path)
    pair = plan.pairs[0]
    config = next(arm for arm in plan.arms if arm.name == pair.arm)
    point = config._replace(  # the search's default point is such a baseline
        name=pair.baseline, trial_id=None, settings={**config.settings, "optim.lr": 0.9}
    )
    others = [arm for arm in plan.arms if arm.name not in (config.name, point.name)]
    plan = plan._replace(arms=[point, *others, config])  # that was planned after it
    searches = {point.name: baseline_searches(plan, asked, 10)[point.name]}
    found_lr: dict[str, Any] = {"optim.lr": config.settings["optim.lr"]}
    searched(tmp_path / FOLDER / searches[point.name].folder, config_of(point), {0.5: found_lr})

    found = with_tuned(plan, asked, searches, twice_as_long)

    assert {arm.name for arm in found.arms if arm.trial_id is not None} == {"00004", "00001"}
    assert found.merged[0] == (
        f"The search for baseline {point.name}, of equal {pair.equal}, found config {pair.arm} "
        "itself: nothing to compare."
    )
    assert point.name not in {one.baseline for one in found.pairs}
    assert len(found.pairs) < len(plan.pairs)
    # Were they all such, there would be nothing left to search for, nor wrong.
    left = found._replace(arms=[arm for arm in found.arms if arm.trial_id is not None], pairs=[])
    assert {run.arm for run in with_runs(left, asked, 10).runs} == {"00004", "00001"}


def test_what_the_searches_found_is_trained_compared_and_registered(tmp_path: Path) -> None:
    before = planned()
    assert {run.arm for run in with_runs(before, request(tmp_path), 10).runs} == {"00004", "00001"}

    plan = tune_all(tmp_path, {0.5: {}, 0.7: {"optim.lr": 0.3}, 0.6: {"optim.lr": 0.4}})

    tuned = {arm.name: arm for arm in plan.arms if arm.trial_id is None}
    assert "tuned independent resnet20, 3 epochs" in tuned
    assert all(name.startswith("tuned ") and "no. 2" not in name for name in tuned)  # now equal
    assert {config_of(arm).optim.lr for arm in tuned.values()} == {0.3}
    assert {run.arm for run in plan.runs} == {"00004", "00001", *tuned}
    assert {pair.baseline for pair in plan.pairs} == set(tuned)
    assert len(plan.pairs) == len(before.pairs)
    assert {config_of(arm).objective for arm in plan.arms} == {
        config_of(arm).objective for arm in before.arms
    }
    one = tuned["tuned independent resnet20, 3 epochs"].tuned
    assert one is not None
    assert (one.trial_id, one.trials, one.accelerator_s) == ("00001", 3, 9.0)
    assert plan.as_registered().registered.plan["arms"][-1]["tuned"]["trials"] == 3  # type: ignore[union-attr]
    rows = comparison_rows(
        plan.pairs, plan.arms, measured_arms(plan.runs, [], []), 0.005, search_trials=8
    )
    assert {(row["parity"], row["search_trials"], row["baseline_trials"]) for row in rows} == {
        ("tuned against tuned", 8, 3)
    }
    assert parity_words(rows).startswith("Tuned against tuned: ")


def test_a_tuned_baseline_whose_step_costs_more_trains_for_equal_seconds(tmp_path: Path) -> None:
    plan = tune_all(tmp_path, {0.5: {"data.flip": True}})

    lengths = {arm.name: config_of(arm).optim.epochs for arm in plan.arms}
    assert lengths["tuned independent resnet20, 3 epochs"] == 3
    assert "tuned independent resnet20, 6 epochs" not in lengths  # a flip costs as much again
    seconds = {pair.baseline for pair in plan.pairs if pair.equal == "seconds"}
    assert {lengths[name] for name in seconds if "independent resnet20" in name} == {3}
    # One arm that is of equal epochs and of equal seconds keeps its epochs.
    assert {lengths[name] for name in seconds if "2*resnet20" in name} == {3}


def test_a_search_without_a_completed_trial_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="has no completed trial, so independent .* can't be tune"):
        tune_all(tmp_path, {})


def test_what_was_searched_is_read_from_the_tables() -> None:
    text = (
        '{"x": {"name": "FloatDistribution", "attributes": {"low": %s, "high": 2.0, "log": false, '
        '"step": null}}}'
    )

    found = searched_kinds([{"distributions": text % low} for low in ("0.5", "0.1", "0.5")])

    assert found == {"x": FloatDistribution(0.1, 2.0)}


def test_without_a_search_of_their_own_baselines_inherit_and_of_one_trial_nothing_is_tuned() -> (
    None
):
    plan = planned()
    asked = request(Path("/there"))._replace(tune_baselines=None)
    measured = measured_arms(with_runs(plan, asked, 10).runs, [], [])

    said = {}
    for trials in (0, 1, 8):
        rows = comparison_rows(plan.pairs, plan.arms, measured, 0.005, search_trials=trials)
        said[trials] = {row["parity"] for row in rows}

    assert said == {
        0: {"tuned against inherited"},
        1: {"untuned against untuned"},
        8: {"tuned against inherited"},
    }


def test_a_default_point_that_was_not_searched_for_is_not_called_tuned() -> None:
    default = Arm("00000", "00000", {})
    found = Tuning("tuned/x", "00003", 4, 9.0, ("optim.lr",))

    said = [
        parity_columns(arm, trials, "default")
        for arm in (default, default._replace(trial_id=None), default._replace(tuned=found))
        for trials in (1, 8)
    ]

    assert [(row["parity"], row["baseline_trials"]) for row in said] == [
        ("untuned against untuned", None), ("tuned against default", None),
        ("untuned against untuned", None), ("tuned against default", None),
        ("untuned against tuned", 4), ("tuned against tuned", 4),
    ]  # fmt: skip
    assert "the search's default point keeps its settings" in parity_words([said[1]])


def test_a_baselines_search_has_its_data_where_the_config_had_them(tmp_path: Path) -> None:
    chosen = [one._replace(config=with_overrides(one.config, {"data.dir": "/photos"}))
              for one in CHOSEN]  # fmt: skip
    asked = request(tmp_path)._replace(settings={"baselines": "both", "margin": 0.5})
    one = baseline_searches(planned(chosen), asked, 10)["independent resnet20, 6 epochs"]
    path = tmp_path / "space.py"
    path.write_text(one.text)

    search = search_of(load_space(str(path)), one, asked, Storage(str(tmp_path / "s")))

    assert search.settings.data.dir == "/photos"


def test_searches_of_different_lengths_are_not_said_to_be_of_one() -> None:
    rows = [{"parity": "tuned against tuned", "baseline_trials": n, "search_trials": 20}
            for n in (4, 20, 8)]  # fmt: skip

    assert "with 4 to 20 trials" in parity_words(rows)
    assert "with 8 trials" in parity_words(rows[2:])
