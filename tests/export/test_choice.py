"""Which member the command's options choose, with and without its checkpoint."""

import shlex
from typing import Any

import pytest

from ffl_ray import train
from ffl_ray.cli import overrides_of
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.export.choice import Rows, choose
from ffl_ray.export.rule import Rule, parse_macs
from ffl_ray.export.trained import retrain_command
from ffl_ray.results.schema import config_columns

DESCRIPTION = {"study": "s", "settings": {"objective": "fused.accuracy"}}
CONFIGS = {f"0000{i}": with_overrides(Config(), {"seed": i}) for i in range(3)}
TRIALS = {
    name: config_columns(config)
    | {"trial_id": name, "status": "completed", "objective_values": [top], "sampler_state": None}
    for (name, config), top in zip(CONFIGS.items(), (0.7, 0.9, 0.8), strict=True)
}
MEMBERS: list[dict[str, Any]] = [
    {"trial_id": name, "member": member, "checkpoint": "latest", "accuracy": accuracy, "macs": macs}
    for name, top in (("00000", 0.7), ("00001", 0.9), ("00002", 0.8))
    for member, accuracy, macs in (("branch0", top - 0.3, 10), ("fused", top, 40))
]
ALL = set(TRIALS)


def chosen(rule: Rule, kept: set[str]) -> tuple[str, str, str]:
    candidate, note, _ = choose(
        rule, Rows(DESCRIPTION, TRIALS, MEMBERS, dict.fromkeys(kept, "latest"))
    )
    return candidate.trial_id, candidate.member, note


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(), ("00001", "fused")),
        (Rule(member="branch0"), ("00001", "branch0")),
        (Rule(trial="0"), ("00000", "fused")),
        (Rule(trial="0", member="branch0"), ("00000", "branch0")),
        (Rule("knee"), ("00001", "branch0")),
        (Rule(max_macs=39), ("00001", "branch0")),
        (Rule(max_macs=40, trial="2"), ("00002", "fused")),
    ],
)
def test_a_rule_chooses_among_all_that_it_leaves(rule: Rule, expected: tuple[str, str]) -> None:
    trial, member, note = chosen(rule, ALL)

    assert (trial, member) == expected
    assert ("the front has no knee" in note) == (rule.pick == "knee")


def test_the_best_is_the_trial_that_the_search_calls_best() -> None:
    """Of 25 images .9 has a standard error of .06: .8 is two of them away, .85 within one."""
    trials = {name: row | {"optim.lr": 0.1 + int(name)} for name, row in TRIALS.items()}
    trials["00002"]["objective_values"] = [0.85]
    cheaper = {("00002", "fused"): {"accuracy": 0.85, "macs": 30}}
    members = [
        {"images": 25} | row | cheaper.get((row["trial_id"], row["member"]), {}) for row in MEMBERS
    ]
    state = '{"trial": {"constraints:deployed.macs<=9": 0.5}}'
    broken = {**trials, "00002": trials["00002"] | {"sampler_state": state}}

    def of(trials: Any, rule: Rule = Rule()) -> tuple[str, str]:
        kept = dict.fromkeys(ALL, "latest")
        found = choose(rule, Rows(DESCRIPTION, trials, members, kept)).candidate
        return found.trial_id, found.member

    assert of(trials) == ("00002", "fused")
    assert of(broken) == ("00001", "fused")
    assert of(broken, Rule(trial="2")) == ("00002", "fused")
    worst = {**trials, "00001": trials["00001"] | {"sampler_state": state}}
    assert of(worst, Rule(member="branch0")) == ("00002", "branch0")


def test_where_the_best_was_not_kept_the_best_of_the_rest_comes_with_a_note() -> None:
    trial, member, note = chosen(Rule(), {"00000", "00002"})

    assert (trial, member) == ("00002", "fused")
    assert note.startswith("note: another would be picked, but the checkpoint of trial 00001")


def test_of_what_was_kept_the_best_mean_over_all_seeds_is_chosen() -> None:
    """Trials 0 and 2 are one config, of which the unlucky one's weights are gone."""
    values = {"00000": 0.30, "00001": 0.75, "00002": 0.80}
    other = config_columns(with_overrides(Config(), {"seed": 1, "optim.lr": 0.3}))
    trials = {
        name: row | (other if name == "00001" else {}) | {"objective_values": [values[name]]}
        for name, row in TRIALS.items()
    }
    members = [{"images": 100} | row for row in MEMBERS]
    gone = with_overrides(Config(), {"seed": 3, "optim.lr": 0.5})
    trials["00003"] = TRIALS["00001"] | config_columns(gone) | {"trial_id": "00003"}
    members += [row | {"trial_id": "00003"} for row in members if row["trial_id"] == "00001"]
    kept = {"00001": "latest", "00002": "latest"}

    candidate, note, _ = choose(Rule(), Rows(DESCRIPTION, trials, members, kept))

    assert candidate.trial_id == "00001"
    assert "trial 00003" in note


@pytest.mark.parametrize(
    ("rule", "kept"),
    [(Rule(), set[str]()), (Rule(trial="1"), {"00000"}), (Rule(trial="1", max_macs=10), {"00002"})],
)
def test_a_choice_whose_weights_are_gone_names_the_trial_and_the_ways_out(
    rule: Rule, kept: set[str]
) -> None:
    with pytest.raises(StudyError, match="trial 00001 .* larger search.keep_checkpoints") as caught:
        chosen(rule, kept)

    assert "train --name s-00001 --set 'model.mix=2*resnet32' --set seed=1" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def raced(*done: int, looks: int = 3) -> Rows:
    """A race of two configs that may have six seeds, of which they have had so many.

    The second is better with the first four; the first had luck after that.
    """
    arms = [{"name": f"0000{i}", "trial_id": f"0000{i}"} for i in range(2)]
    runs: list[dict[str, Any]] = [
        {"run_id": f"{2 * s + i:05d}", "arm": arms[i]["name"], "seed": s}
        for s in range(6)
        for i in range(2)
    ]
    had = [run for run in runs if run["seed"] < done[int(run["arm"])]]
    members = [
        {"trial_id": run["run_id"], "member": "fused", "checkpoint": "latest", "split": "test",
         "accuracy": 0.9 if run["arm"] == "00001" else 0.89 + 0.1 * (run["seed"] > 3),
         "top5": None, "nll": 0.1, "ece": None, "macs": 40}
        for run in had
    ]  # fmt: skip
    trials = {
        run["run_id"]: {"trial_id": run["run_id"], "status": "completed", "accelerator_s": 1.0}
        for run in had
    }
    description = {
        "study": "s/confirmed", "kind": "confirm", "ranked_by": "fused.accuracy", "looks": looks,
        "seeds": list(range(6)), "arms": arms, "runs": runs,
    }  # fmt: skip
    return Rows(description, trials, members, {"00000": "latest", "00001": "latest"})


def test_of_a_race_the_seeds_that_all_configs_have_choose() -> None:
    assert choose(Rule(), raced(6, 4)).candidate.trial_id == "00001"
    assert choose(Rule(), raced(4, 4)).candidate.trial_id == "00001"
    with pytest.raises(StudyError, match="1 of their trainings have not"):
        choose(Rule(), raced(4, 3))
    assert choose(Rule(), raced(6, 5, looks=2)).candidate.trial_id == "00000"
    with pytest.raises(StudyError, match="1 of their trainings have not"):
        choose(Rule(), raced(5, 4, looks=2))  # its first look has five seeds


def test_the_command_that_trains_again_gives_the_same_config(other_config: Config) -> None:
    words = shlex.split(retrain_command(other_config, "again"))

    args = train.parser().parse_args(words[3:])

    assert words[:3] == ["python", "-m", "ffl_ray.train"]
    assert with_overrides(Config(), overrides_of(args)) == other_config


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule("knee", trial="1"), "at the cheap end of the front of validation accuracy against"),
        (Rule(), "Chosen by the study's objective among the members."),
        (Rule("knee", trial="0"), "at the knee of validation accuracy against log(MACs) among the"),
        (Rule(max_macs=4_000, member="fused"), "most accurate of the fused members within 4,000"),
    ],
)
def test_a_rule_says_for_the_card_what_it_did(rule: Rule, words: str) -> None:
    bent = MEMBERS[0] | {"member": "ensemble", "accuracy": 0.69, "macs": 12}
    kept = dict.fromkeys(ALL, "latest")

    among = choose(rule, Rows(DESCRIPTION, TRIALS, [*MEMBERS, bent], kept)).among

    assert words in rule.sentence(among)


@pytest.mark.parametrize(
    ("text", "number"), [("40000000", 40_000_000), ("40e6", 40_000_000), ("1.5g", 1_500_000_000)]
)
def test_a_limit_of_macs_may_have_a_unit(text: str, number: int) -> None:
    assert parse_macs(text) == number


@pytest.mark.parametrize("text", ["", "M", "-1", "0", "many", "nan", "inf"])
def test_a_limit_that_is_no_positive_number_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="--max-macs must be a positive number such as 40M, not"):
        parse_macs(text)
