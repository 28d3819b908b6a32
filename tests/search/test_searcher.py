"""The searcher tells Optuna the truth, and proposes the same for the same results."""

import json
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from support.helpers import FOUR_DIMENSIONS

from ffl_ray.config.methods import resolved
from ffl_ray.config.objectives import VALUE, parse_objectives
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig, SearchConfig
from ffl_ray.errors import SettingError, SpaceError
from ffl_ray.results.history import PastTrial, distributions_of, past_trials
from ffl_ray.results.schema import config_columns, params_of
from ffl_ray.results.steering import Steering, ask_for, refused
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.distributions import found_distributions, widest
from ffl_ray.search.mirror import Mirror
from ffl_ray.search.mix import settings_from_params
from ffl_ray.search.points import check_space
from ffl_ray.search.searcher import StudySearcher
from ffl_ray.search.space import SearchSpace, load_space, settle
from ffl_ray.search.warm_start import PriorTrial, WarmStart
from ffl_ray.training.session import Report

EPOCHS = 4
SPACE = load_space(FOUR_DIMENSIONS)
BASE = with_overrides(settle(SPACE, {}).training, {"optim.epochs": EPOCHS})


def new_searcher(
    seed: int = 0,
    past: Sequence[PastTrial] = (),
    objectives: Sequence[str] = ("fused.accuracy",),
    search: SearchConfig | None = None,
    space: SearchSpace = SPACE,
    mirror: Mirror | None = None,
    **options: Any,
) -> StudySearcher:
    return StudySearcher(
        space,
        BASE,
        search or SearchConfig(seed=seed, startup_trials=3),
        parse_objectives(objectives),
        make_job=lambda trial_id, config: {"trial_id": trial_id, "config": config},
        past=past,
        mirror=mirror,
        **options,
    )


def result(epoch: int, value: float) -> dict[str, Any]:
    members = [{"member": "fused", "accuracy": value, "macs": 1000 * epoch}]
    return {"epoch": epoch, VALUE: value, "report": Report({}, members, [])}


def run_trial(
    searcher: StudySearcher, name: str, values: list[float], error: bool = False
) -> ResolvedConfig:
    """As Tune does: the last result comes with the completion alone; the trial's config."""
    config: ResolvedConfig = searcher.suggest(name)["config"]
    for epoch, value in enumerate(values[:-1], start=1):
        searcher.on_trial_result(name, result(epoch, value))
    last = result(len(values), values[-1]) if values else None
    searcher.on_trial_complete(name, last, error=error)
    return config


@pytest.mark.parametrize(
    ("values", "error", "state"),
    [
        ([0.1, 0.2, 0.3, 0.4], False, TrialState.COMPLETE),
        ([0.1, 0.2], False, TrialState.PRUNED),
        ([0.1], False, TrialState.PRUNED),
        ([0.1, 0.2], True, TrialState.FAIL),
        ([], True, TrialState.FAIL),
        ([0.1, float("nan")], False, TrialState.FAIL),
    ],
)
def test_optuna_is_told_how_a_trial_really_ended(
    values: list[float], error: bool, state: TrialState
) -> None:
    searcher = new_searcher()

    run_trial(searcher, "a", values, error)

    told = searcher.study.trials[0]
    assert told.state == state
    assert told.intermediate_values == {e: v for e, v in enumerate(values, start=1) if v == v}
    if state == TrialState.COMPLETE:
        assert told.value == 0.4


def with_a_plain_baseline(past: Sequence[PastTrial] = ()) -> StudySearcher:
    plain = resolved(with_overrides(BASE, {"model.mix": "resnet20", "optim.epochs": 9}))
    return new_searcher(past=past, plain=plain)


def test_the_plain_baseline_is_trial_1_and_no_sampler_learns_from_it() -> None:
    searcher, without = with_a_plain_baseline(), new_searcher()
    jobs = [searcher.suggest(str(number)) for number in range(2)]
    searcher.on_trial_complete("0", result(EPOCHS, 0.5))
    searcher.on_trial_complete("1", result(9, 0.99))
    for number in range(2, 8):
        run_trial(searcher, str(number), [0.1] * EPOCHS)
    run_trial(without, "0", [0.5] * EPOCHS)

    assert [job["trial_id"] for job in jobs] == ["00000", "00001"]
    assert jobs[1]["config"].model.mix == ("resnet20",)
    default, plain, *others = searcher.study.trials
    assert default.params == without.study.trials[0].params
    assert (plain.state, plain.params) == (TrialState.FAIL, {})
    assert [t.user_attrs.get("baseline") for t in searcher.study.trials[:3]] == [
        "default", "plain", None,
    ]  # fmt: skip
    assert searcher.optuna_columns(1)["baseline"] == "plain"
    assert searcher.study.best_trial.number == 0
    space = searcher._sampler(9).infer_relative_search_space(searcher.study, others[-1])
    assert {"distill.temperature", "num_branches", "mix.resnet20"} <= space.keys()


def test_an_epoch_that_a_retry_repeats_is_reported_once() -> None:
    searcher = new_searcher()
    searcher.suggest("a")
    for epoch in (1, 2, 1, 2, 3):
        searcher.on_trial_result("a", result(epoch, epoch / 10))
    searcher.on_trial_complete("a", result(4, 0.4))

    assert searcher.study.trials[0].intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}


def proposals(seed: int) -> list[dict[str, Any]]:
    searcher = new_searcher(seed)
    for index in range(8):
        run_trial(searcher, str(index), [0.1 * index] * EPOCHS)
    return [trial.params for trial in searcher.study.trials]


def test_a_seed_gives_the_same_proposals_for_the_same_results() -> None:
    assert proposals(1) == proposals(1)
    assert proposals(1) != proposals(2)


def test_the_largest_seed_is_as_good_as_any() -> None:
    searcher = new_searcher(2**31 - 1)

    assert searcher.suggest("a")["trial_id"] == "00000"


def test_a_job_carries_the_trials_number_and_a_checked_config() -> None:
    searcher = new_searcher()

    jobs = [searcher.suggest(name) for name in "abc"]

    assert [job["trial_id"] for job in jobs] == ["00000", "00001", "00002"]
    assert all(isinstance(job["config"], Config) for job in jobs)
    columns = {name: json.loads(text) for name, text in searcher.optuna_columns(1).items()}
    assert columns["params"] == searcher.study.trials[1].params
    assert set(columns["distributions"]) == set(columns["params"])


def history(
    searcher: StudySearcher,
    interrupted: Set[int] = frozenset(),
    configs: Sequence[Config] = (),
) -> list[PastTrial]:
    """What the tables would hold of a searcher's trials.

    Args:
        configs: of the trials; none: what their parameters make of the base.
    """
    states = {TrialState.COMPLETE: "completed", TrialState.PRUNED: "pruned"}
    rows, values = [], {}
    for trial in searcher.study.trials:
        trial_id = f"{trial.number:05d}"
        made = resolved(with_overrides(BASE, settings_from_params(trial.params)))
        config = configs[trial.number] if configs else made
        status = "running" if trial.number in interrupted else states[trial.state]
        ids = {"trial_id": trial_id, "status": status, "attempt": 1}
        columns = searcher.optuna_columns(trial.number) | {"objective_values": trial.values}
        rows.append(ids | config_columns(config) | columns)
        values[trial_id] = trial.intermediate_values
    return past_trials(rows, values)


def test_a_plain_baseline_that_never_started_is_still_trial_1() -> None:
    first = with_a_plain_baseline()
    run_trial(first, "0", [0.5] * EPOCHS)
    first.suggest("1")
    run_trial(first, "2", [0.5] * EPOCHS)
    past = [one for one in history(first, interrupted={1}) if one.trial_id != "00001"]

    jobs = [with_a_plain_baseline(past).suggest("a"), new_searcher(past=past).suggest("a")]

    assert [job["trial_id"] for job in jobs] == ["00001", "00001"]
    assert len(jobs[0]["config"].model.mix) == 1
    assert len(jobs[1]["config"].model.mix) > 1  # as without one, and in a study of before


def test_a_study_made_again_from_its_tables_proposes_what_it_would_have() -> None:
    whole, first = new_searcher(), new_searcher()
    for index in range(10):
        run_trial(whole, str(index), [0.1 * (index % 4)] * (2 if index == 3 else EPOCHS))
    for index in range(6):
        run_trial(first, str(index), [0.1 * (index % 4)] * (2 if index == 3 else EPOCHS))

    second = new_searcher(past=history(first))
    for index in range(6, 10):
        run_trial(second, str(index), [0.1 * (index % 4)] * EPOCHS)

    assert [t.params for t in second.study.trials] == [t.params for t in whole.study.trials]
    assert [t.state for t in second.study.trials] == [t.state for t in whole.study.trials]
    assert second.study.trials[3].intermediate_values == pytest.approx({1: 0.3, 2: 0.3})


def test_interrupted_trials_go_on_before_new_ones_start() -> None:
    first = new_searcher()
    for index in range(4):
        run_trial(first, str(index), [0.5] * EPOCHS)
    past = history(first, interrupted={1, 3})
    second = new_searcher(past=past)

    jobs = [second.suggest(name) for name in "abc"]
    second.on_trial_result("a", result(EPOCHS, 0.5))
    second.on_trial_complete("a", result(EPOCHS, 0.6))

    assert [job["trial_id"] for job in jobs] == ["00001", "00003", "00004"]
    assert past[1].config is not None
    assert jobs[0]["config"] == resolved(past[1].config)
    assert second.study.trials[1].state == TrialState.COMPLETE
    assert second.study.trials[1].params == first.study.trials[1].params


def test_tpe_learns_from_what_it_is_told() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    searcher = new_searcher()

    for index in range(40):
        job = searcher.suggest(str(index))
        value = 1 - abs(job["config"].distill.temperature - 4) / 8
        searcher.on_trial_complete(str(index), result(EPOCHS, value))

    late = [trial.params["distill.temperature"] for trial in searcher.study.trials[25:]]
    assert sum(abs(t - 4) < 1.5 for t in late) >= 10


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "nsga2", "cmaes"])
def test_every_sampler_goes_on_as_if_it_had_never_stopped(sampler: str) -> None:
    def run(searcher: StudySearcher, numbers: range) -> None:
        for index in numbers:
            run_trial(searcher, str(index), [0.1 * (index % 4)] * (2 if index == 3 else EPOCHS))

    search = SearchConfig(seed=5, startup_trials=3, sampler=sampler)  # type: ignore[arg-type]
    whole, first = new_searcher(search=search), new_searcher(search=search)
    run(whole, range(6))
    run(first, range(4))

    second = new_searcher(search=search, past=history(first))
    run(second, range(4, 6))

    assert [t.params for t in second.study.trials] == [t.params for t in whole.study.trials]


def test_with_several_objectives_a_pruned_trial_stays_out_of_the_front() -> None:
    searcher = new_searcher(objectives=("fused.accuracy", "fused.macs"))

    run_trial(searcher, "a", [0.1, 0.2, 0.3, 0.4])
    run_trial(searcher, "b", [0.9])
    run_trial(searcher, "c", [0.1, 0.2, 0.3, 0.3])

    states = [trial.state for trial in searcher.study.trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE]
    assert searcher.study.trials[0].values == [0.4, 4000]
    assert [trial.number for trial in searcher.study.best_trials] == [0]
    again = new_searcher(objectives=("fused.accuracy", "fused.macs"), past=history(searcher))
    assert [t.state for t in again.study.trials] == states
    assert again.study.trials[0].values == [0.4, 4000]


def test_a_number_that_was_proposed_and_never_started_is_proposed_again() -> None:
    whole = new_searcher()
    for name in "abc":
        run_trial(whole, name, [0.5] * EPOCHS)
    past = [trial for trial in history(whole) if trial.trial_id != "00001"]

    searcher = new_searcher(past=past)
    jobs = [searcher.suggest(name) for name in "xy"]

    assert [job["trial_id"] for job in jobs] == ["00001", "00003"]
    assert searcher.study.trials[1].params == whole.study.trials[1].params


ODD_CHOICES: dict[str, list[Any]] = {
    "optim.lr_milestones": [(0.5, 0.75), (0.3,), [0.2, 0.4], np.array([0.1, 0.6]), "0.9"],
    "model.mix": [("resnet20", "resnet20"), ["resnet20", "wrn16_2"], "2*wrn16_2"],
    "distill.fused_to_branch_temperature": [None, 2, np.float32(2.5), np.int64(4)],
    "fusion.detach": [np.bool_(True), False],
    "seed": list(np.arange(3)),
}


def test_choices_of_every_kind_survive_the_tables_and_a_mirror() -> None:
    given: list[Any] = []

    def suggest(trial: optuna.Trial) -> None:
        given.extend(trial.suggest_categorical(name, ODD_CHOICES[name]) for name in ODD_CHOICES)

    space = SearchSpace("odd.py", {}, suggest)
    storage = "sqlite://"
    whole, first = new_searcher(space=space), new_searcher(space=space)
    for index in range(12):
        run_trial(whole, str(index), [0.1 * (index % 4)] * EPOCHS)
    configs = [run_trial(first, str(i), [0.1 * (i % 4)] * EPOCHS) for i in range(8)]

    second = new_searcher(
        space=space,
        past=history(first, interrupted={7}, configs=configs),
        mirror=Mirror(storage, "mine", parse_objectives(["fused.accuracy"])),
    )
    for index in range(7, 12):
        run_trial(second, str(index), [0.1 * (index % 4)] * EPOCHS)

    assert [t.params for t in second.study.trials] == [t.params for t in whole.study.trials]
    assert {type(choice) for choice in given} >= {tuple, list, np.ndarray, np.float32, type(None)}


def test_lists_that_an_older_version_kept_are_the_choices_that_they_were() -> None:
    def suggest(trial: optuna.Trial) -> None:
        choices: list[Any] = [(0.5, 0.75), (0.3,)]
        trial.suggest_categorical("optim.lr_milestones", choices)

    first = new_searcher(space=SearchSpace("odd.py", {}, suggest))
    run_trial(first, "a", [0.5] * EPOCHS)
    columns = first.optuna_columns(0)
    kind = json.loads(columns["distributions"])
    kind["optim.lr_milestones"]["attributes"]["choices"] = [[0.5, 0.75], [0.3]]
    drawn = [float(part) for part in first.study.trials[0].params["optim.lr_milestones"].split(",")]

    assert distributions_of(json.dumps(kind)) == first.study.trials[0].distributions
    assert params_of(json.dumps({"optim.lr_milestones": drawn})) == first.study.trials[0].params


def test_the_defaults_come_first_then_points_of_ones_own_whenever_it_goes_on() -> None:
    own = ("model.mix=3*wrn16_2 fusion.design=sum", "distill.temperature=2.5")
    first = new_searcher(search=SearchConfig(enqueue=own[:1], startup_trials=3))
    for name in "ab":
        run_trial(first, name, [0.5] * EPOCHS)

    second = new_searcher(search=SearchConfig(enqueue=own, startup_trials=3), past=history(first))
    jobs = [second.suggest(name)["config"] for name in "cd"]

    configs = [trial.params for trial in second.study.trials]
    assert configs[0]["distill.temperature"] == 3.0
    assert (configs[0]["mix.resnet20"], configs[0]["fusion.design"]) == (2, "concat_depthwise")
    assert (configs[1]["mix.wrn16_2"], configs[1]["fusion.design"]) == (3, "sum")
    assert jobs[0].distill.temperature == 2.5
    assert jobs[1].distill.temperature != 2.5


def test_a_grid_that_goes_on_proposes_every_point_once_with_trials_at_once() -> None:
    space = load_space("ablations")
    search = SearchConfig(sampler="grid", startup_trials=3)
    first = new_searcher(search=search, space=space)
    for name in range(9):
        run_trial(first, str(name), [0.5] * EPOCHS)
    points = [trial.params for trial in first.study.trials]

    second = new_searcher(search=search, space=space, past=history(first, interrupted={8}))
    for name in range(16):
        second.suggest(str(name))

    points = [trial.params for trial in second.study.trials]
    assert len({repr(sorted(point.items())) for point in points}) == len(points) == 24


def four_points(trial: optuna.Trial) -> dict[str, object]:
    trial.suggest_categorical("fusion.design", ["sum", "gated"])
    trial.suggest_int("optim.batch_size", 32, 64, step=32)
    return {}


def trained(searcher: StudySearcher, names: str, value: float = 0.5) -> list[ResolvedConfig]:
    """The configs of some trials, all trained to their end."""
    configs = []
    for name in names:
        configs.append(searcher.suggest(name)["config"])
        searcher.on_trial_complete(name, result(EPOCHS, value))
    return configs


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2", "cmaes", "gp", "grid"])
def test_a_training_comes_again_when_all_were_had_and_then_with_the_next_seed(sampler: Any) -> None:
    search = SearchConfig(sampler=sampler, startup_trials=2)
    space = SearchSpace("s.py", {}, four_points)
    first = new_searcher(space=space, search=search)

    configs = trained(first, "abcdef")
    past = history(first, configs=configs)
    configs += trained(new_searcher(space=space, search=search, past=past), "ghi")

    made = [(one.fusion.design, one.optim.batch_size, one.seed) for one in configs]
    assert len(set(made[:4])) == 4
    assert {seed for *_, seed in made[:4]} == {BASE.seed}
    assert {seed for *_, seed in made[4:6]} == {BASE.seed + 1}
    assert len(set(made)) == len(made) == 9


@pytest.mark.parametrize("given", [{}, {"seed": 7}])
def test_a_space_of_one_training_gets_one_seed_after_the_other(given: dict[str, object]) -> None:
    space = SearchSpace("s.py", {}, lambda _: given)
    first = new_searcher(space=space)

    configs = trained(first, "abc")
    again = new_searcher(space=space, past=history(first, configs=configs))
    configs += trained(again, "de")

    begins = int(str(given.get("seed", BASE.seed)))
    assert [one.seed for one in configs] == [begins + number for number in range(5)]


def test_points_that_differ_in_what_nobody_reads_are_one_training() -> None:
    def suggested(trial: optuna.Trial) -> dict[str, object]:
        trial.suggest_categorical("fusion.design", ["sum", "gated"])
        trial.suggest_categorical("distill.kdcl_teacher", ["naive", "linear", "min_logit"])
        return {}

    configs = trained(new_searcher(space=SearchSpace("s.py", {}, suggested)), "abcd")

    assert {one.fusion.design for one in configs[:2]} == {"sum", "gated"}
    assert [one.seed for one in configs[:2]] == [BASE.seed] * 2
    assert BASE.seed not in {one.seed for one in configs[2:]}


def test_a_choice_without_settings_of_its_own_is_not_trained_again_while_others_are_there() -> None:
    def suggested(trial: optuna.Trial) -> dict[str, object]:
        design = trial.suggest_categorical("fusion.design", ["sum", "gated"])
        if design == "gated":
            trial.suggest_float("distill.temperature", 1.0, 8.0)
        return {}

    searcher = new_searcher(space=SearchSpace("s.py", {}, suggested))
    for number in range(24):
        config = searcher.suggest(str(number))["config"]
        good = 0.9 if config.fusion.design == "sum" else 0.1
        searcher.on_trial_complete(str(number), result(EPOCHS, good))

    designs = [trial.params["fusion.design"] for trial in searcher.study.trials]
    assert designs.count("sum") == 1


def test_where_all_were_had_none_is_looked_for_within_bounds_either() -> None:
    asked: list[ResolvedConfig] = []

    def members(config: ResolvedConfig) -> list[dict[str, Any]]:
        asked.append(config)
        return costs(config)

    search = SearchConfig(startup_trials=2, constraints=("fused.macs<=5000",))
    space = SearchSpace("s.py", {}, four_points)
    searcher = new_searcher(space=space, search=search, known_members=members)

    trained(searcher, "abcde")
    before = len(asked)
    trained(searcher, "fgh")

    assert before > 100  # the fifth looked for another
    assert len(asked) == before + 3


def test_a_space_that_gives_every_trial_a_seed_has_no_repeats() -> None:
    def suggested(trial: optuna.Trial) -> dict[str, object]:
        trial.suggest_categorical("fusion.design", ["sum", "gated"])
        return {"seed": trial.number}

    space = SearchSpace("s.py", {}, suggested)
    search = SearchConfig(sampler="random")
    searcher = new_searcher(space=space, search=search)
    configs = trained(searcher, "abcdefghijklmnopqrst")

    assert [one.seed for one in configs] == list(range(20))
    designs = [one.fusion.design for one in configs]
    assert 4 < designs.count("sum") < 16
    first = new_searcher(space=space, search=search)
    half = trained(first, "abcdefghij")
    second = new_searcher(space=space, search=search, past=history(first, configs=half))
    assert half + trained(second, "klmnopqrst") == configs  # as if it had never been interrupted


def costs(config: Any) -> list[dict[str, Any]]:
    return [{"member": "fused", "macs": len(config.model.mix) * 1000, "parameters": 1}]


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2", "cmaes"])
def test_what_breaks_a_bound_that_is_known_before_is_never_trained(sampler: Any) -> None:
    search = SearchConfig(
        sampler=sampler,
        startup_trials=3,
        constraints=("fused.macs<=2000", "fused.accuracy>=0.55"),
        enqueue=("num_branches=4",),
    )
    searcher = new_searcher(search=search, known_members=costs)
    for index in range(8):
        searcher.suggest(str(index))
        members = [{"member": "fused", "accuracy": 0.1 * index, "macs": 2000}]
        report = {"epoch": EPOCHS, VALUE: 0.1 * index, "report": Report({}, members, [])}
        searcher.on_trial_complete(str(index), report)

    trials = searcher.study.trials
    assert [trial.number for trial in trials] == list(range(8))
    assert {trial.params["num_branches"] for trial in trials} == {2}
    assert trials[3].constraints["fused.accuracy>=0.55"] == pytest.approx(0.25 / 0.55)
    assert searcher.study.best_trial.number == 7
    again = new_searcher(search=search, past=history(searcher), known_members=costs)
    assert [t.constraints for t in again.study.trials] == [t.constraints for t in trials]


def test_what_a_warm_start_proposes_beyond_a_bound_is_passed_over() -> None:
    kinds = found_distributions(SPACE.suggest)
    wide = PriorTrial(
        {"num_branches": 4, "mix.resnet20": 4, "mix.wrn16_2": 0, "distill.temperature": 2.0}, 1.0
    )
    warm_start = WarmStart(((wide,),), {name: widest(found) for name, found in kinds.items()})
    search = SearchConfig(startup_trials=4, constraints=("fused.macs<=2000",))

    searcher = new_searcher(search=search, known_members=costs, warm_start=warm_start)
    for name in "abcd":
        searcher.suggest(name)

    assert {trial.params["num_branches"] for trial in searcher.study.trials} == {2}


def test_where_no_point_keeps_a_bound_the_nearest_is_tried() -> None:
    search = SearchConfig(startup_trials=3, constraints=("fused.macs<=1000",))

    searcher = new_searcher(search=search, known_members=costs)
    searcher.suggest("a")

    assert searcher.study.trials[0].params["num_branches"] == 2


def test_a_point_that_is_asked_for_meanwhile_is_tried_next(tmp_path: Path) -> None:
    storage, steering = Storage(str(tmp_path)), Steering(str(tmp_path))
    searcher = new_searcher(steering=steering)
    run_trial(searcher, "a", [0.1] * EPOCHS)

    ask_for(storage, "fusion.design=sum num_branches=3")
    ask_for(storage, "no.such=1")
    ask_for(storage, "fusion.design=gated")
    for name in "bcd":
        run_trial(searcher, name, [0.2] * EPOCHS)

    asked = [trial.params for trial in searcher.study.trials]
    assert (asked[1]["fusion.design"], asked[1]["num_branches"]) == ("sum", 3)
    assert asked[2]["fusion.design"] == "gated"
    assert list(refused(storage)) == ["no.such=1"]
    again = new_searcher(steering=Steering(str(tmp_path)), past=history(searcher))
    run_trial(again, "e", [0.3] * EPOCHS)
    fresh = new_searcher(past=history(searcher))
    run_trial(fresh, "e", [0.3] * EPOCHS)
    assert again.study.trials[-1].params == fresh.study.trials[-1].params  # it was tried already


@pytest.mark.parametrize(("value", "said"), [(5.0, "can't be trained: optim.lr"), (6.0, "fails")])
def test_a_point_that_a_space_can_not_make_a_config_of_is_refused_and_ends_nothing(
    value: float, said: str, tmp_path: Path
) -> None:
    def suggested(trial: optuna.Trial) -> dict[str, object]:
        drawn = trial.suggest_float("distill.temperature", 1.0, 8.0)
        assert drawn != 6.0
        return {"optim.lr": -1.0} if drawn == 5.0 else {}

    space = SearchSpace("s.py", {}, suggested)
    searcher = new_searcher(space=space, steering=Steering(str(tmp_path)))
    searcher.suggest("a")
    ask_for(Storage(str(tmp_path)), f"distill.temperature={value}")

    searcher.suggest("b")

    (reason,) = refused(Storage(str(tmp_path))).values()
    assert said in reason
    with pytest.raises((SettingError, SpaceError), match=said):
        check_space(space, BASE, (), SearchConfig(enqueue=(f"distill.temperature={value}",)))
