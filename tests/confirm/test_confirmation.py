"""A confirmation that is asked for more: what was planned stays, and new trainings come behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.helpers import small_config

import ffl_ray.confirm.plan
from ffl_ray.config.methods import mix_of, trained_on
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.confirm.arms import new_seeds
from ffl_ray.confirm.chosen import confirmed_form
from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.pairs import Chosen
from ffl_ray.confirm.plan import following, new_configs, plan_confirmation
from ffl_ray.confirm.plan_text import plan_words
from ffl_ray.confirm.request import Request
from ffl_ray.data.facts import DataFacts
from ffl_ray.errors import PlanError, SettingError, StudyError
from ffl_ray.planning.layout import Plan
from ffl_ray.results.storage.storage import Storage

PLAN = Plan(1, 1, 1, 0.0)
FACTS = DataFacts("0", 100, 0, 10)
RANKED = [
    Chosen(trial_id, confirmed_form(small_config(fusion__design=design)))
    for trial_id, design in (("00004", "sum"), ("00001", "mean"), ("00002", "gated"))
]


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configs whose epochs were measured: two seconds for each branch."""
    found: list[Config] = []

    def epoch_seconds(
        configs: Sequence[Config], plan: Plan, facts: DataFacts, *, cluster: bool
    ) -> list[float]:
        found.extend(configs)
        return [2.0 * len(mix_of(config)) for config in configs]

    monkeypatch.setattr(ffl_ray.confirm.plan, "epoch_seconds", epoch_seconds)
    return found


def request(folder: Path, top: int, seeds: int, ranked: list[Chosen] = RANKED) -> Request:
    return Request(
        storage=Storage(str(folder)),
        name="study/confirmed",
        top=top,
        baselines="both",
        chosen=ranked,
        seeds=new_seeds({0}, seeds),
        settings={"baselines": "both", "margin": 0.5},
        search=SearchConfig(),
        ranked_by="fused.accuracy",
        searched={},
        address=None,
        dry_run=False,
    )


def test_more_configs_and_seeds_come_behind_what_was_planned(
    timed: list[Config], tmp_path: Path
) -> None:
    first = plan_confirmation(request(tmp_path, 1, 2), None, PLAN, FACTS)
    timed.clear()

    wider = following(request(tmp_path, 2, 3), first)
    more = plan_confirmation(wider, first, PLAN, FACTS)

    assert (more.chosen, more.seeds) == (["00004", "00001"], [1000, 1001, 1002])
    assert more.runs[: len(first.runs)] == first.runs
    assert more.arms[: len(first.arms)] == first.arms
    assert more.pairs[: len(first.pairs)] == first.pairs
    assert len(more.arms) == len(first.arms) + 1  # the baselines are shared
    assert len(more.runs) == 3 * len(more.arms)
    assert timed[0] == RANKED[1].config
    assert RANKED[0].config not in timed


def test_more_seeds_alone_measure_nothing_again(timed: list[Config], tmp_path: Path) -> None:
    first = plan_confirmation(request(tmp_path, 1, 1), None, PLAN, FACTS)
    timed.clear()

    wider = following(request(tmp_path, 1, 2), first)
    more = plan_confirmation(wider, first, PLAN, FACTS)

    assert timed == []
    assert more.arms == first.arms
    assert len(more.runs) == 2 * len(first.runs)


def test_a_race_with_fewer_seeds_has_its_own_looks(timed: list[Config], tmp_path: Path) -> None:
    raced = request(tmp_path, 1, 20)._replace(looks=17)
    first = plan_confirmation(raced, None, PLAN, FACTS)

    fewer = following(request(tmp_path, 1, 8)._replace(looks=5), first)
    now = plan_confirmation(fewer, first, PLAN, FACTS)

    assert first.looked == (17, 4)
    assert now.looked == (5, 4)
    dumped = {"kind": "confirm", "settings": now.settings, **now.dump()}
    assert Confirmation.load(dumped, "there").looked == (5, 4)
    for looks in (6, 7, 400):
        with pytest.raises(StudyError, match="damaged: looks must"):
            Confirmation.load({**dumped, "looks": looks}, "there")


def test_a_chosen_trial_stays_chosen_when_the_search_goes_on_and_finds_better(
    timed: list[Config], tmp_path: Path
) -> None:
    first = plan_confirmation(request(tmp_path, 1, 1), None, PLAN, FACTS)

    later = following(request(tmp_path, 2, 1, [RANKED[1], RANKED[2], RANKED[0]]), first)

    assert [one.trial_id for one in new_configs(later, first)] == ["00001"]
    assert new_configs(following(request(tmp_path, 1, 1, RANKED[::-1]), first), first) == []


def test_a_registered_plan_stays_once_its_test_split_was_opened(
    timed: list[Config], tmp_path: Path
) -> None:
    asked = request(tmp_path, 1, 2)._replace(search_trials=36, search_s=7.0)
    first = plan_confirmation(asked, None, PLAN, FACTS).as_registered()

    before = following(request(tmp_path, 1, 3), first)  # nothing was opened yet
    same = following(request(tmp_path, 1, 2, RANKED[::-1]), first, opened=True)
    another = following(request(tmp_path, 1, 2, RANKED[1:2]), first, opened=True)

    assert len(before.seeds) == 3
    assert (same.search_trials, same.search_s) == (36, 7.0)  # those that it was chosen among
    assert same.chosen == another.chosen == RANKED[:1]  # whatever the search finds best by now
    named = request(tmp_path, 1, 2, RANKED[1:2])._replace(named=True)
    for other in (request(tmp_path, 1, 3), request(tmp_path, 2, 2), request(tmp_path, 1, 1), named):
        with pytest.raises(StudyError, match="goes on only with the plan"):
            following(other, first, opened=True)
    with pytest.raises(StudyError, match="can't shrink to 0: 00004 stay"):
        following(named, first)


def test_a_confirmation_of_the_version_before_goes_on_with_the_default_margin(
    timed: list[Config], tmp_path: Path
) -> None:
    old = plan_confirmation(request(tmp_path, 1, 1), None, PLAN, FACTS)
    old = old._replace(settings={"baselines": "both"})

    assert following(request(tmp_path, 1, 2), old, opened=True).settings == old.settings
    narrow = request(tmp_path, 1, 1)._replace(settings={"baselines": "both", "margin": 0.1})
    with pytest.raises(StudyError, match="--margin was 0.5 and is 0.1"):
        following(narrow, old)


def test_without_a_machine_to_measure_on_nothing_is_planned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ffl_ray.confirm.plan, "epoch_seconds", lambda *_, **__: None)

    with pytest.raises(PlanError, match="no machine was free"):
        plan_confirmation(request(tmp_path, 1, 1), None, PLAN, FACTS)


def test_a_plan_with_new_configs_is_registered_anew(tmp_path: Path, timed: list[Config]) -> None:
    """Kept before it is, as while its baselines are searched for, it is still one that is read."""
    asked = request(tmp_path, 1, 2)
    first = plan_confirmation(asked, None, PLAN, FACTS).as_registered()

    same = plan_confirmation(asked, first, PLAN, FACTS)
    more = plan_confirmation(request(tmp_path, 2, 2), first, PLAN, FACTS)

    assert same.registered == first.registered
    stored = json.loads(json.dumps({"kind": "confirm"} | more.dump() | {"settings": {}}))
    assert Confirmation.load(stored, "here").chosen == ["00004", "00001"]


def test_what_holds_out_is_said_by_the_settings() -> None:
    general = small_config(distill__method="kdcl", distill__kdcl_teacher="general")
    plain = small_config()

    forms = [flatten(confirmed_form(config)) for config in (general, plain)]

    assert [form["data.hold_out"] for form in forms] == [True, False]
    assert trained_on([forms[1]], 1000) == "train + val, 1,000 images"
    assert trained_on([forms[0]], 1000).startswith("train alone, since")
    assert trained_on(forms).startswith("train + val, 1 of 2 on train alone, since")
    assert trained_on([flatten(general)]) == trained_on([forms[0]])  # by a version before


def test_a_test_split_is_not_opened_for_no_comparison(tmp_path: Path, timed: list[Config]) -> None:
    """As where the plain baseline itself came out best."""
    alone = small_config(distill__method="independent", model__mix="resnet8")
    ranked = [Chosen("00001", confirmed_form(alone)), *RANKED]
    asked = request(tmp_path, 1, 2, ranked)

    with pytest.raises(SettingError, match="--arms must have something to hold 00001 against, and"):
        plan_confirmation(asked, None, PLAN, FACTS)

    bare = plan_confirmation(asked._replace(baselines="none"), None, PLAN, FACTS)
    assert (bare.pairs, len(bare.runs)) == ([], 2)
    beside = plan_confirmation(request(tmp_path, 2, 2, ranked), None, PLAN, FACTS)
    said = plan_words(beside, beside.final_runs, PLAN).splitlines()
    assert said[2:4] == [
        "      00001: resnet8 independent, 3 epochs",
        "      00004: 2*resnet8 ffl, 3 epochs",
    ]
    assert len(said) == 2 + len(beside.arms)
