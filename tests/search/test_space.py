"""Search spaces: the bundled ones hold, and a wrong one is refused before anything starts."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.helpers import FOUR_DIMENSIONS

from ffl_ray.config.methods import METHODS, resolved
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.errors import SettingError, SpaceError
from ffl_ray.search.grid import every_point
from ffl_ray.search.points import check_space, effect_advice, points
from ffl_ray.search.space import SearchSpace, bundled_folder, load_space, settle

ONE_QUESTION = {
    "branch_count": {"num_branches"},
    "mix": {"mix.resnet20", "mix.resnet32", "mix.wrn16_2"},
    "fusion": {"fusion.design"},
    "temperature": {"distill.temperature"},
}
EVERY_POINT = {
    "methods": {"distill.method", "model.trunk_stages", "distill.fused_to_branch", "seed"},
    "methods_short": {"distill.method", "model.trunk_stages", "distill.fused_to_branch", "seed"},
    "ablations": {
        "distill.ensemble_to_fused",
        "distill.fused_to_branch",
        "fusion.detach",
        "seed",
    },
}
# Each method, once more where its authors' networks share otherwise, and ffl untaught.
SHARING = [parts for parts in METHODS.values() if parts.trunk_stages == 0 and parts.may_share]
METHOD_POINTS = len(METHODS) + len(SHARING) + 1
NUM_POINTS = {"ablations": 24, "methods": 3 * METHOD_POINTS, "methods_short": 3 * METHOD_POINTS}
BUNDLED = sorted(path.stem for path in bundled_folder().glob("*.py"))
HEAD = "from ffl_ray.search import suggest_mix\n"


def written(folder: Path, text: str) -> str:
    path = folder / "space.py"
    path.write_text(HEAD + text)
    return str(path)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_space_proposes_only_what_can_be_trained(name: str) -> None:
    space = load_space(name)

    settled = settle(space, {})

    names = check_space(space, settled.training, search=settled.search)

    four = {"num_branches", "fusion.design", "distill.temperature"}
    others = {
        "graph": {"gates.1>0", "gates.0>2", "gates.fused>1"},
        "layers": {f"distill.layer_{of}" for of in ("weight", "to_branch_weight", "decay")},
        "recipes": {"distill.method", "distill.temperature", "distill.kdcl_teacher"},
    }
    assert (ONE_QUESTION | EVERY_POINT | others).get(name, four) <= set(names)


@pytest.mark.parametrize("name", ONE_QUESTION)
def test_a_single_question_varies_nothing_else_and_prunes_nothing(name: str) -> None:
    space = load_space(name)
    study = settle(space, {})
    base, search = study.training, study.search

    varied = set()
    for point in points(space, base, 50):
        changed = flatten(point.config)
        varied |= {key for key, value in flatten(resolved(base)).items() if changed[key] != value}

    assert (search.sampler, search.scheduler) == ("random", "none")
    expected = {"fusion": {"fusion.design"}, "temperature": {"distill.temperature"}}
    assert varied == {"seed"} | expected.get(name, {"model.mix"})


@pytest.mark.parametrize("name", EVERY_POINT)
def test_a_comparison_visits_every_point_once_with_three_seeds(name: str) -> None:
    space = load_space(name)
    search = settle(space, {}).search

    seen = [tuple(sorted(params.items())) for params in every_point(space.suggest)]

    assert (search.sampler, search.scheduler) == ("grid", "none")
    assert len(set(seen)) == len(seen) == search.num_samples == NUM_POINTS[name]
    assert {dict(point)["seed"] for point in seen} == {0, 1, 2}


def test_a_grid_over_a_range_without_steps_and_one_too_small_are_refused(tmp_path: Path) -> None:
    space = load_space(
        written(tmp_path, "def search_space(t):\n    t.suggest_float('optim.lr', 0.1, 1)\n")
    )
    with pytest.raises(SpaceError, match=r"grid takes choices.*and optim.lr has none"):
        check_space(space, Config(), search=SearchConfig(sampler="grid"))

    space = load_space("methods")
    settled = settle(space, {"search.num_samples": NUM_POINTS["methods"] + 1})
    with pytest.raises(SettingError, match=rf"at most the {NUM_POINTS['methods']} points .* not"):
        check_space(space, settled.training, search=settled.search)


def test_a_search_over_methods_can_not_be_for_a_classifier_that_some_lack() -> None:
    space = load_space("methods")
    settled = settle(space, {"search.objectives": ("fused.accuracy",)})

    with pytest.raises(SpaceError, match=r"has no fused classifier: try ensemble.accuracy"):
        check_space(space, settled.training, search=settled.search)


def test_the_ends_of_ranges_come_with_every_choice_and_then_random_points() -> None:
    space = load_space(FOUR_DIMENSIONS)

    found = list(points(space, settle(space, {}).training, 5))

    ends = [point for point in found if point.at_end]
    assert len(found) - len(ends) == 5
    assert {point.params["fusion.design"] for point in ends} == {
        "concat_depthwise", "concat_pointwise", "sum", "gated",
    }  # fmt: skip
    assert {point.params["distill.temperature"] for point in ends} == {1.0, 8.0}


def test_a_refused_point_is_named(tmp_path: Path) -> None:
    text = "def search_space(trial): trial.suggest_float('distill.temperature', 1, 101)"

    with pytest.raises(SpaceError, match=r"not 101.* \(at distill.temperature=101.0\)"):
        check_space(load_space(written(tmp_path, text)), Config())


def test_digits_is_the_default_and_among_them() -> None:
    assert "digits" in BUNDLED


def test_the_command_line_wins_over_the_space_and_the_space_over_the_defaults() -> None:
    space = load_space(FOUR_DIMENSIONS)

    base = settle(space, {})
    changed = settle(space, {"optim.epochs": "7", "search.num_samples": 3})

    assert (base.optim.epochs, base.search.num_samples) == (12, 16)
    assert (changed.optim.epochs, changed.search.num_samples) == (7, 3)
    assert changed.search.reduction_factor == base.search.reduction_factor


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def search_space(trial): return {}", "is empty: .* at least one setting"),
        ("def search_space(trial): trial.suggest_float('distill.temprature', 1, 2)",
         "invalid config: unknown setting 'distill.temprature'.*'distill.temperature'"),
        ("def search_space(trial): trial.suggest_float('distill.temperature', 1, 101)",
         "distill.temperature must be less than or equal to 100, not 101"),
        ("def search_space(trial): trial.suggest_float('distill.temperature', 0, 5)",
         "distill.temperature must be greater than 0, not 0"),
        ("def search_space(trial): trial.suggest_categorical('fusion.design', ['sum', 'add'])",
         "fusion.design must be .*not 'add'"),
        ("def search_space(trial):\n"
         "    suggest_mix(trial, num_branches=(2, 3), backbones=('resnet20', 'resnet23'))",
         r"resnet23: a CIFAR ResNet's depth is 6n \+ 2 with n >= 1, not 23"),
        ("def search_space(trial): suggest_mix(trial, num_branches=(1, 3), backbones=('a',))",
         r"search_space fails: ValueError: num_branches must be .*not \(1, 3\)"),
        ("def search_space(trial):\n"
         "    trial.suggest_int('seed', 0, 9)\n"
         "    return {'model.trunk_stages': 3}",
         "model.trunk_stages must be less than the 3 stages"),
        ("def search_space(trial): 1 / 0", "search_space fails: ZeroDivisionError"),
        ("import optuna\ndef search_space(trial):\n"
         "    if trial.suggest_int('seed', 0, 9) > 7:\n"
         "        raise optuna.TrialPruned",
         r"can't refuse a point by TrialPruned: have it suggest .* \(at seed=9\)"),
        ("def search_space(trial): trial.suggest_categorical('mix.resnet20', ['two'])",
         r"search_space fails: TypeError: .* \(at mix.resnet20=two\)"),
        ("def search_space(trial):\n    trial.suggest_int('seed', 0, 9)\n    return [1]",
         r"search_space fails: .* \(at seed=0\)"),
        ("def search_space(trial): trial.suggest_categorical('optim.lr', [0.1, {0.2: 1}])",
         r"optim.lr must be a valid number.*, not '\{0.2: 1\}' \(at optim.lr=\{0.2: 1\}\)"),
    ],
)  # fmt: skip
def test_a_space_that_can_go_wrong_is_refused(text: str, message: str, tmp_path: Path) -> None:
    space = load_space(written(tmp_path, text))

    with pytest.raises(SpaceError, match=message):
        check_space(space, Config())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", r"must define search_space\(trial\)"),
        ("def search_space(trial) return", "can't be loaded: SyntaxError"),
        ("import nothing_of_the_kind", "can't be loaded: ModuleNotFoundError"),
        ("BASE = 3\ndef search_space(trial): pass", "BASE must map dotted settings"),
    ],
)
def test_a_file_that_is_no_space_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=message):
        load_space(written(tmp_path, text))


def test_an_unknown_space_names_the_nearest_bundled_one() -> None:
    with pytest.raises(SpaceError, match="not 'digit'; the nearest known is 'digits'"):
        load_space("digit")


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("{'optim.epoch': 3}", "BASE: unknown setting 'optim.epoch'.*'optim.epochs'"),
        ("{'optim.epochs': 0}", "BASE: optim.epochs must be greater than or equal to 1, not 0"),
        (
            "{'search.num_samples': 0}",
            "BASE: search.num_samples must be greater than or equal to 1",
        ),
    ],
)
def test_wrong_base_settings_are_refused(base: str, message: str, tmp_path: Path) -> None:
    space = load_space(written(tmp_path, f"BASE = {base}\ndef search_space(trial): pass"))

    with pytest.raises(SpaceError, match=message):
        settle(space, {})


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(SettingError, match="unknown setting 'optim.epoch'"):
        settle(load_space(FOUR_DIMENSIONS), {"optim.epoch": 3})


def test_a_setting_that_a_space_returns_can_not_be_set_as_well(tmp_path: Path) -> None:
    text = (
        "def search_space(trial):\n"
        "    trial.suggest_int('seed', 0, 9)\n"
        "    return {'optim.lr': 0.1}"
    )

    with pytest.raises(SpaceError, match="optim.lr is chosen by"):
        check_space(load_space(written(tmp_path, text)), Config(), ["optim.lr"])


def test_a_setting_is_searched_or_set_but_not_both() -> None:
    with pytest.raises(SpaceError, match="distill.temperature is chosen by .*digits.py"):
        check_space(load_space("digits"), Config(), ["distill.temperature"])


EVERY_TRAINING_OPTION = """
def search_space(trial):
    suggest_mix(trial, num_branches=(2, 3), backbones=("resnet20", "wrn16_2"))
    trial.suggest_int("model.trunk_stages", 0, 2)
    trial.suggest_categorical("fusion.detach", [True, False])
    trial.suggest_categorical("data.augment", ["standard", "trivial", "none"])
    trial.suggest_categorical("data.mixing", ["none", "mixup", "cutmix"])
    trial.suggest_float("data.mixing_alpha", 0.1, 4.0, log=True)
    trial.suggest_float("distill.label_smoothing", 0.0, 0.3)
    trial.suggest_float("distill.ensemble_to_fused_temperature", 1.0, 8.0, log=True)
    trial.suggest_categorical("distill.fused_to_branch_temperature", [None, 2.0, 4.0])
    trial.suggest_float("distill.ensemble_to_fused_weight", 0.0, 4.0)
    trial.suggest_float("distill.fused_to_branch_weight", 0.0, 4.0)
    trial.suggest_float("distill.ramp_up", 0.0, 1.0)
    trial.suggest_categorical("optim.lr_schedule", ["step", "cosine", "linear", "constant"])
    trial.suggest_float("optim.warmup", 0.0, 0.5)
    if trial.suggest_categorical("optim.optimizer", ["sgd", "adamw"]) == "adamw":
        trial.suggest_float("optim.beta1", 0.8, 0.95)
        trial.suggest_float("optim.beta2", 0.95, 0.999)
        trial.suggest_float("optim.epsilon", 1e-8, 1e-4, log=True)
        trial.suggest_float("optim.lr", 1e-4, 1e-2, log=True)
    else:
        trial.suggest_float("optim.momentum", 0.8, 0.95)
        trial.suggest_categorical("optim.nesterov", [True, False])
        trial.suggest_float("optim.lr", 1e-2, 1.0, log=True)
"""


def test_every_training_option_can_be_searched(tmp_path: Path) -> None:
    space = load_space(written(tmp_path, EVERY_TRAINING_OPTION))

    names = check_space(space, with_overrides(Config(), {"optim.epochs": 12}))

    options = set(re.findall(r'"(\w+[.]\w+)"', EVERY_TRAINING_OPTION))
    assert len(options) == 20
    assert options <= set(names)


@pytest.mark.parametrize("old", ["distill.ramp_up_epochs", "optim.warmup_epochs"])
def test_a_name_that_counted_epochs_is_refused_with_todays(tmp_path: Path, old: str) -> None:
    text = EVERY_TRAINING_OPTION.replace(old.removesuffix("_epochs"), old)
    today = re.escape(old.removesuffix("_epochs"))

    with pytest.raises(SpaceError, match=f"unknown setting '{old}': it is {today} now, a share"):
        check_space(load_space(written(tmp_path, text)), Config())


def test_a_search_may_draw_its_mixes_from_other_backbones_than_its_space(tmp_path: Path) -> None:
    space = load_space(FOUR_DIMENSIONS)
    study = settle(space, {"search.backbones": "resnet8,resnet14"})

    names = check_space(
        space._replace(backbones=study.search.backbones), study.training, search=study.search
    )

    assert {"mix.resnet8", "mix.resnet14"} < set(names)
    assert "mix.resnet20" not in names
    without_mix = load_space("temperature")._replace(backbones=("resnet8",))
    with pytest.raises(SettingError, match=r"search.backbones must be none where .*, not resnet8"):
        check_space(without_mix, Config())


@pytest.mark.parametrize(
    ("ladders", "said"),
    [
        ("3", "LADDERS must map data.fraction, .* to values, not 3"),
        ("{'optim.lr': (0.1,)}", "LADDERS must map data.fraction, .* to values"),
        ("{'optim.epochs': ()}", "optim.epochs must have values"),
        ("{'optim.epochs': (0, 3)}", "LADDERS: optim.epochs must be greater than or equal to 1"),
    ],
)
def test_ladders_that_no_budget_can_choose_from_are_refused(
    ladders: str, said: str, tmp_path: Path
) -> None:
    text = f"LADDERS = {ladders}\ndef search_space(trial): pass"

    with pytest.raises(SpaceError, match=said):
        load_space(written(tmp_path, text))


METHODS_TOGETHER = """
BASE = {{"optim.epochs": 3, "objective": "ensemble.nll", {base}}}
def search_space(t):
    t.suggest_categorical("distill.method", {methods})
    t.suggest_float("distill.{name}", {low}, {high})
"""


def together(folder: Path, *methods: str, base: str = "", name: str = "weight") -> SearchSpace:
    ends = {"low": 0.5, "high": 0.9}
    text = METHODS_TOGETHER.format(base=base, methods=methods, name=name, **ends)
    return load_space(written(folder, text))


def test_what_has_no_effect_at_a_point_has_its_default_there(tmp_path: Path) -> None:
    space = together(tmp_path, "ffl", "dml", base="'distill.target_epsilon': 1e-6")
    base = settle(space, {}).training

    found = [point for point in points(space, base, 20) if point.params["distill.weight"] != 1]
    advice = list(effect_advice(found))

    of_ffl, of_dml = (
        [one for one in found if one.config.distill.method == name] for name in ("ffl", "dml")
    )
    assert {one.config.distill.weight for one in of_ffl} == {1.0}
    assert {one.config.distill.target_epsilon for one in of_ffl} == {1e-6}
    assert {one.config.distill.target_epsilon for one in of_dml} == {1e-7}
    assert [one.config.distill.weight for one in of_dml] == [
        one.params["distill.weight"] for one in of_dml
    ]
    assert advice == [
        f"distill.weight has no effect at {len(of_ffl)} of {len(found)} sampled points, and its "
        f"default there: it is read by every method but ffl, independent and layered_ffl"
    ]


def test_what_has_no_effect_at_any_point_is_refused(tmp_path: Path) -> None:
    def check(space: SearchSpace, overrides: Mapping[str, object]) -> None:
        settled = settle(space, overrides)
        check_space(space, settled.training, [*overrides], settled.search, [*overrides])

    space = together(tmp_path, "ffl", "layered_ffl")
    with pytest.raises(SpaceError, match=r"searches distill.weight, which has no effect at any po"):
        check(space, {})
    # A file or a budget that makes the choice, and a search that has begun, go on.
    settled = settle(space, {})
    for chosen in (None, ["distill.method"]):
        check_space(space, settled.training, (), settled.search, chosen)
    epsilon = {"distill.target_epsilon": 1e-6}
    space = together(tmp_path, "dml", "kdcl")
    with pytest.raises(SettingError, match=r"target_epsilon must be 1e-07 for .* dml: .*not 1e-06"):
        check(space, epsilon)
    check(together(tmp_path, "dml", "ffl"), epsilon)
    space = together(tmp_path, "dml", base="'optim.optimizer': 'adamw', 'optim.momentum': .5")
    with pytest.raises(SettingError, match=r"momentum must be 0.9 where optim.optimizer is adamw"):
        check(space, {})
    check(space, {"optim.optimizer": "sgd"})
    space = together(tmp_path, "dml", base="'optim.momentum': .5")
    check(space, {"optim.optimizer": "adamw"})  # the command line's choice, not the space's
