"""The answers of a search: true on made studies, silent on permuted ones, those of a real grid."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, rankdata, t
from support.helpers import ROOT

import ffl_ray.results
from ffl_ray.config.objectives import VALUE, parse_objective
from ffl_ray.errors import StudyError
from ffl_ray.results.search_answers.dimensions import dimensions_of
from ffl_ray.results.search_answers.effects import Answer, Level, answers_of
from ffl_ray.results.search_answers.models import left_out_r2
from ffl_ray.results.search_answers.outcomes import outcomes
from ffl_ray.results.search_answers.power import more_by_size
from ffl_ray.results.search_answers.table import answers_frame, sentences, study_answers

GRID = str(ROOT / "benchmarks" / "grids" / "digits")
ACCURACY, NLL = parse_objective("fused.accuracy"), parse_objective("fused.nll")
DESIGNS = ("sum", "gated", "concat_depthwise")


def made(n: int, seed: int = 0, *, design: float = 0.0, slope: float = 0.0) -> pd.DataFrame:
    """Trials of which one design and the temperature add so much to noise of deviation 1."""
    generator = np.random.default_rng(seed)
    trials = pd.DataFrame(
        {
            "trial_id": [f"{number:05d}" for number in range(n)],
            "status": "completed",
            "optim.epochs": 1,
            "epochs_done": 1,
            "params": '{"fusion.design": 0, "distill.temperature": 1.0, "seed": 3}',
            "fusion.design": generator.choice(DESIGNS, n),
            "distill.temperature": generator.uniform(1, 8, n),
            "seed": generator.integers(0, 2, n),
        }
    )
    effect = design * (trials["fusion.design"] == "sum") + slope * trials["distill.temperature"]
    return trials.assign(value=generator.normal(size=n) + effect)


def answered(trials: pd.DataFrame) -> dict[str, Answer]:
    epochs = trials[["trial_id"]].assign(epoch=1, **{VALUE: trials["value"]})
    return {one.dimension: one for one in study_answers(trials, epochs, ACCURACY)}


def test_a_planted_effect_is_told_with_its_size_and_the_other_dimension_is_not() -> None:
    found = answered(made(120, design=-2.0))

    assert list(found) == ["fusion.design", "distill.temperature"]  # a seed is a repeat
    assert found["fusion.design"].told
    assert not found["distill.temperature"].told
    levels = {level.name: level for level in found["fusion.design"].levels}
    assert levels["sum"].effect == pytest.approx(-2.0, abs=levels["sum"].half)
    assert levels["gated"].effect == pytest.approx(1.0, abs=levels["gated"].half)
    said = sentences(list(found.values()), ACCURACY)
    assert said[0].startswith("fusion.design: sum is worse than the others by ")
    assert "distill.temperature: not told apart (p " in said[1]


def test_a_training_that_was_made_again_is_no_second_observation() -> None:
    trials = made(12)
    again = trials.loc[[3] * 30].assign(trial_id=[f"{100 + number}" for number in range(30)])

    found = answered(pd.concat([trials, again], ignore_index=True))

    assert found == answered(trials)
    assert answered(pd.concat([trials, again.assign(seed=range(30))], ignore_index=True)) != found


def test_the_plain_baseline_is_no_trial_of_theirs() -> None:
    trials = made(40, design=-2.0).assign(baseline=None)
    plain = trials.iloc[:1].assign(trial_id="00099", baseline="plain", params="{}", value=50.0)

    found = answered(pd.concat([trials, plain]))

    assert found == answered(trials)


def test_a_size_that_one_outlier_rules_is_said_to_be_uncertain() -> None:
    levels = [Level("sum", -0.074, 0.18, 0.3, -1.2), Level("gated", 0.074, 0.18, 1.7, 1.1)]
    answer = Answer("fusion.design", 16, 0.046, levels, 0.4, 0.3)

    assert sentences([answer], ACCURACY) == [
        "fusion.design: sum is worse than the others by rank (p 0.046); by 7.4 points, uncertain "
        "(-10.6 to 25.4)"
    ]
    [unclear] = sentences([answer._replace(p=0.2, more_trials=30)], ACCURACY)
    assert "no difference would have shown; about 30 more trials would" in unclear
    small = answer._replace(p=0.2, levels=levels[:1])
    assert "; 30 points would have shown" in sentences([small], ACCURACY)[0]


def test_a_direction_by_rank_is_that_of_the_ranks_and_not_of_a_mean_with_trials_far_out() -> None:
    noise = np.random.default_rng(0).normal(scale=0.005, size=40)
    two = made(40).assign(seed=range(40), **{"distill.temperature": 1.0})
    two["fusion.design"] = np.repeat(["a", "b"], 20)
    two["value"] = noise + np.repeat([0.60, 0.64, 0.01], [20, 18, 2])

    found = answered(two)

    [said] = sentences([*found.values()], ACCURACY)
    assert said.startswith("fusion.design: a is worse than the others by rank (p 0.0")
    assert "; its mean is better, through single trials: by 2." in said
    assert "uncertain (-" in said
    assert found["fusion.design"].clearest.shown < 0 < found["fusion.design"].clearest.effect
    assert list(answers_frame([*found.values()])["by_rank"] > 1) == [False, True]
    for seed in range(4):
        three = made(36, seed, design=2.0).assign(seed=range(36), **{"distill.temperature": 1.0})
        three.loc[three.index[three["fusion.design"] == "sum"][0], "value"] = -60.0
        [said] = sentences([answered(three)["fusion.design"]], ACCURACY)
        assert said.startswith("fusion.design: sum is better than the others by rank (p 0.0")


def test_a_sure_mean_that_the_ranks_do_not_share_is_said_with_them() -> None:
    levels = [Level("sum", -0.2, 0.1, 0.3, 1.2), Level("gated", 0.05, 0.18, 1.7, -1.3)]

    assert sentences([Answer("fusion.design", 16, 0.04, levels, 0.4, 0.3)], ACCURACY) == [
        "fusion.design: sum is worse than the others by 20 points (10 to 30; p 0.040); by rank it "
        "is better, so single trials make its mean"
    ]


def test_the_sizes_are_those_of_least_squares() -> None:
    trials = made(40, design=1.0, slope=0.3)
    dimensions = dimensions_of(trials)

    found = answers_of(dimensions, trials["value"].to_numpy(), np.ones(40))

    columns = np.hstack([np.ones((40, 1)), *(one.columns for one in dimensions)])
    slopes = np.linalg.lstsq(columns, trials["value"].to_numpy(), rcond=None)[0]
    for answer, own in zip(found, (slopes[1:3], slopes[3:5]), strict=True):
        dimension = next(one for one in dimensions if one.name == answer.dimension)
        for level in answer.levels:
            assert level.effect == pytest.approx(float(dimension.levels[level.name] @ own))
            # 35 are free; at 2.5%, as the one of two tests is that counts more, and four in five
            least = (t.isf(0.05 / 2 / 2, 35) + norm.isf(0.2)) * level.half / t.isf(0.05 / 2, 35)
            assert level.detectable == pytest.approx(least)


def test_a_number_that_some_trials_leave_unset_is_a_choice() -> None:
    trials = made(60)
    trials["distill.temperature"] = [float("nan"), 2.0, 4.0] * 20
    trials.loc[::3, "value"] += 3.0

    found = answered(trials)["distill.temperature"]

    assert [level.name for level in found.levels] == ["2", "4", "unset"]
    assert found.told


def conditional(seed: int, *, parent: float, child: float = 0.0) -> pd.DataFrame:
    """Trials of a momentum that is proposed beside one optimizer alone, and else its default."""
    trials, generator = made(40, seed).assign(seed=range(40)), np.random.default_rng(seed)
    sgd = np.arange(40) % 2 == 0
    momentum = np.where(sgd, generator.choice([0.8, 0.95], 40), 0.9)
    params = ['{"optim.optimizer": "sgd", "optim.momentum": 0.8}', '{"optim.optimizer": "adamw"}']
    return trials.assign(
        **{"optim.optimizer": np.where(sgd, "sgd", "adamw"), "optim.momentum": momentum},
        params=params * 20,
        value=trials["value"] - parent * ~sgd + child * (momentum == 0.95),
    )


@pytest.mark.parametrize("default", [0.9, float("nan")])
def test_a_setting_that_one_choice_alone_has_is_told_apart_from_that_choice(default: float) -> None:
    trials = conditional(0, parent=8.0).replace({"optim.momentum": {0.9: default}})

    found = answered(trials)

    said = sentences(list(found.values()), ACCURACY)
    assert said[0].startswith("optim.optimizer: adamw is worse than the others by ")
    assert said[1].startswith("optim.momentum: not told apart")
    assert [level.name for level in found["optim.momentum"].levels] == ["0.8", "0.95"]
    assert [one.n for one in found.values()] == [40, 20]
    both = answered(conditional(1, parent=-8.0, child=4.0))
    assert both["optim.momentum"].told
    assert both["optim.momentum"].levels[1].effect == pytest.approx(4.0, abs=1.5)
    assert both["optim.optimizer"].levels[0].effect == pytest.approx(6.0, abs=1.5)  # at its mean


def test_what_varied_together_is_not_told_apart_and_no_difference_would_have_shown() -> None:
    trials = conditional(0, parent=8.0)
    trials["params"] = trials["params"].iloc[0]  # both were proposed for all, always together
    trials["optim.momentum"] = [0.8, 0.95] * 20

    found = answered(trials)

    assert sentences(list(found.values()), ACCURACY) == [
        "optim.optimizer: not told apart from optim.momentum: they varied together",
        "optim.momentum: not told apart from optim.optimizer: they varied together",
    ]
    assert (
        answers_frame(list(found.values()))[["effect", "low", "detectable"]].isna().all(axis=None)
    )
    assert all(math.isinf(level.detectable) for one in found.values() for level in one.levels)


def test_a_dimension_that_varied_with_another_in_part_says_what_is_told_and_from_what() -> None:
    trials = made(40).assign(seed=range(40), params='{"fusion.design": 0, "optim.nesterov": 0}')
    trials["fusion.design"] = [*DESIGNS, "sum"] * 10
    trials["optim.nesterov"] = trials["fusion.design"] == "concat_depthwise"
    trials["value"] += 8.0 * (trials["fusion.design"] == "sum")

    [said, _] = sentences(list(answered(trials).values()), ACCURACY)

    assert said.startswith("fusion.design: something is told (p 0.0")
    assert said.endswith(", but not apart from optim.nesterov: they varied together")


def test_where_nothing_matters_little_is_told() -> None:
    told = [one.told for seed in range(30) for one in answered(made(20, seed)).values()]

    assert sum(told) <= 4  # of 60, at 2.5% each


def test_what_is_not_told_says_how_many_more_trials_would_and_they_do() -> None:
    few = [answered(made(16, seed, design=1.5))["fusion.design"] for seed in range(12)]
    more = [one.more_trials for one in few if not one.told and one.more_trials]

    assert len(more) >= 3
    enough = 16 + int(np.median(more))
    then = [answered(made(enough, seed, design=1.5))["fusion.design"].told for seed in range(12)]
    assert sum(then) > sum(one.told for one in few)


@pytest.mark.parametrize("counts", [(6, 1, 1, 1), (20, 1), (5, 5, 5)])
def test_an_interval_holds_in_95_of_100_also_of_a_level_with_one_trial(
    counts: tuple[int, ...],
) -> None:
    rows = [f"d{place}" for place, count in enumerate(counts) for _ in range(count)]
    trials = pd.DataFrame({"params": '{"fusion.design": 0}', "fusion.design": rows})
    [one] = dimensions_of(trials)
    generator, held = np.random.default_rng(0), []
    for _ in range(400):
        [answer] = answers_of([one], generator.normal(size=len(rows)), np.ones(len(rows)))
        held += [abs(level.effect) <= level.half for level in answer.levels]

    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


def test_as_many_levels_as_trials_say_nothing() -> None:
    trials = made(4)
    trials["fusion.design"], trials["distill.temperature"] = list("abcd"), 1.0
    found = answered(trials)

    said = sentences(list(found.values()), ACCURACY)
    assert said == ["fusion.design: not told apart (p 1.00); no difference would have shown"]
    frame = answers_frame(list(found.values()))
    assert frame[["low", "high", "detectable"]].isna().all(axis=None)
    assert frame["effect"].notna().all()


@pytest.mark.parametrize(
    ("effect", "detectable", "more"),
    [(0.1, 0.2, 30), (0.1, 0.05, 1), (0.01, 0.29, None), (0.0, 0.1, None), (0.1, math.inf, None)],
)
def test_intervals_narrow_by_the_root_of_the_trials(
    effect: float, detectable: float, more: int | None
) -> None:
    assert more_by_size(10, effect, detectable) == more


def test_a_stopped_trial_counts_by_what_completed_ones_did_from_there() -> None:
    curves = {f"{n:05d}": [0.1 * n, 0.2 * n, 0.4 * n + 0.1] for n in range(1, 7)}
    curves["00007"] = [0.65]
    rows = [(t, e + 1, v) for t, values in curves.items() for e, v in enumerate(values)]
    epochs = pd.DataFrame(rows, columns=["trial_id", "epoch", VALUE])
    status = ["completed"] * 6 + ["pruned"]
    trials = pd.DataFrame({"trial_id": [*curves], "status": status, "optim.epochs": 3})

    found = outcomes(trials, epochs)

    assert found.loc["00007", "value"] == pytest.approx(4 * 0.65 + 0.1)
    assert found["weight"].tolist() == [1.0] * 7  # the order of then is that of the end
    early = outcomes(trials.assign(status=["completed", *["pruned"] * 6]), epochs)
    assert early["value"].to_dict()["00007"] == pytest.approx(0.65 + 0.4)  # as the one went on
    assert early["weight"].to_dict()["00007"] < 1


def stopped_halfway(late: float, *, best: int = 0, every: int = 1) -> list[Answer]:
    """Of 60 trials "sum" is worse by 2 halfway and by so much at the end; the best go on."""
    trials = made(60).assign(seed=range(60), **{"optim.epochs": 2})
    worse = trials["fusion.design"] == "sum"
    then = trials["value"] + np.random.default_rng(0).normal(size=60) - 2.0 * worse
    goes_on = (then.rank(ascending=False) <= best) | (np.arange(60) % every > 0)
    trials["status"] = np.where(goes_on, "completed", "pruned")
    rung = trials[["trial_id"]].assign(epoch=1, **{VALUE: then})
    ends = trials[["trial_id"]].assign(epoch=2, **{VALUE: trials["value"] - late * worse})
    return study_answers(trials, pd.concat([rung, ends[goes_on]]), ACCURACY)


def test_what_learns_slowly_and_is_stopped_for_it_is_told_by_predicted_ends_alone() -> None:
    slow, worse = stopped_halfway(0.0, best=20), stopped_halfway(2.0, every=2)

    assert [(one.told, one.predicted) for one in slow] == [(True, True), (False, False)]
    words = "; by the predicted ends of stopped trials: the completed ones alone do not show it"
    said = sentences(slow, ACCURACY)
    assert said[0].startswith("fusion.design: sum is worse than the others by ")
    assert [line.endswith(words) for line in said] == [True, False]
    assert list(answers_frame(slow)["predicted"]) == [True] * 3 + [False] * 3
    assert [(one.told, one.predicted) for one in worse] == [(True, False), (False, False)]
    assert not sentences(worse, ACCURACY)[0].endswith(words)
    nothing = stopped_halfway(0.0)
    assert [(one.told, one.predicted) for one in nothing] == [(True, True), (False, False)]


def test_a_real_grid_tells_that_a_sum_is_worse_and_its_parts_tell_nothing_else() -> None:
    trials, epochs, _ = ffl_ray.results.load(GRID)
    whole = study_answers(trials, epochs, NLL)
    told = {one.dimension for one in whole if one.told}

    assert told == {"branches", "mix: resnet20", "fusion.design"}
    assert any("fusion.design: sum is worse" in line for line in sentences(whole, NLL))
    wrong = hits = 0
    for seed in range(12):
        some = trials.sample(40, random_state=seed)
        late = epochs["trial_id"].isin(some["trial_id"][::2]) & (epochs["epoch"] > 6)
        status = ["pruned", "completed"] * 20
        part = study_answers(some.assign(status=status), epochs[~late], NLL)
        hits += bool(told & {one.dimension for one in part if one.told})
        wrong += bool({one.dimension for one in part if one.told} - told)
    assert hits >= 7
    assert wrong <= 2


def test_importance_is_held_against_chance_and_against_trials_left_out() -> None:
    trials = made(40, design=3.0)
    dimensions, values = dimensions_of(trials), trials["value"].to_numpy()

    design, temperature = answers_of(dimensions, values, np.ones(40))

    assert design.share > 0.5 > design.by_chance > 0.05
    assert temperature.share < temperature.by_chance
    columns = np.hstack([np.ones((40, 1)), *(one.columns for one in dimensions)])
    scores = norm.ppf((rankdata(values) - 0.5) / 40)
    missed = plain = 0.0
    for place in range(40):
        kept = np.arange(40) != place
        slopes = np.linalg.lstsq(columns[kept], scores[kept], rcond=None)[0]
        missed += float(scores[place] - columns[place] @ slopes) ** 2
        plain += float(scores[place] - scores[kept].mean()) ** 2
    assert left_out_r2(dimensions, values, np.ones(40)) == pytest.approx(1 - missed / plain)


def test_the_frame_has_a_row_for_each_level_and_a_training_has_no_answers() -> None:
    frame = ffl_ray.results.answers(GRID)

    assert frame["dimension"].nunique() == 4
    assert (frame["low"] <= frame["effect"]).all()
    assert set(frame["unit"]) == {"log"}
    assert frame["told"].dtype == bool
    assert answers_frame([]).empty
    trials, epochs, _ = ffl_ray.results.load(GRID)
    assert not study_answers(trials.head(0), epochs.head(0), NLL)
    with pytest.raises(StudyError, match="no study here"):
        ffl_ray.results.answers("nothing")
