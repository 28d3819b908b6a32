"""Settings: names, bounds, messages."""

import pytest

from ffl_ray.config.methods import resolved, resolved_from
from ffl_ray.config.overrides import flatten, parse_assignments, settings, shown, with_overrides
from ffl_ray.config.settings import Config, SearchConfig, StudyConfig
from ffl_ray.config.values import as_time
from ffl_ray.errors import SettingError


def test_defaults_are_the_authors_setting() -> None:
    flat = flatten(resolved(Config()))

    assert flat["model.mix"] == ("resnet32", "resnet32")
    assert (flat["distill.temperature"], flat["distill.ramp_up"]) == (3.0, 80 / 300)
    assert (flat["optim.weight_decay"], flat["optim.fusion_weight_decay"]) == (1e-4, 1e-5)
    assert (flat["optim.lr"], flat["optim.momentum"], flat["optim.nesterov"]) == (0.1, 0.9, True)
    assert (flat["optim.epochs"], flat["optim.batch_size"]) == (300, 128)
    assert [300 * share for share in flat["optim.lr_milestones"]] == [150, 225]


def test_flatten_and_with_overrides_are_inverse() -> None:
    config = with_overrides(Config(), {"model.mix": "wrn16_2+resnet20", "distill.temperature": 5})

    assert with_overrides(Config(), flatten(config)) == config


@pytest.mark.parametrize("method", ["ffl", "okdph"])
def test_a_setting_shown_as_text_is_read_back_the_same(method: str) -> None:
    config = resolved_from({"distill.method": method})

    texts = {name: shown(value) for name, value in flatten(config).items()}

    assert resolved(with_overrides(Config(), texts)) == config


@pytest.mark.parametrize(
    "text",
    ["resnet20+4+resnet20+2*resnet20+10", " resnet20 + 10, resnet20+10+resnet20+4, resnet20"],
)
def test_a_number_after_a_name_makes_a_branch_deeper_and_deeper_ones_come_later(text: str) -> None:
    config = with_overrides(Config(), {"model.mix": text})

    assert config.model.mix == ("resnet20", "resnet20+4", "resnet20+10", "resnet20+10")
    again = with_overrides(Config(), {"model.mix": shown(config.model.mix)})
    assert again == config


@pytest.mark.parametrize(
    "text", ["resnet20+wrn16_2+resnet20", "2*resnet20+wrn16_2", "wrn16_2, resnet20, resnet20"]
)
def test_every_order_and_spelling_of_a_mix_is_one_mix(text: str) -> None:
    config = with_overrides(Config(), {"model.mix": text})

    assert config.model.mix == ("resnet20", "resnet20", "wrn16_2")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("distill.temprature", 3, r"unknown setting 'distill.temprature'.*'distill.temperature'"),
        ("temperature", 3, r"unknown setting 'temperature'.*'distill.temperature'"),
        ("distill.temperature", 0, r"distill.temperature must be greater than 0, not 0"),
        ("distill.temperature", "nan", r"distill.temperature must be a finite number, not 'nan'"),
        ("model.mix", "", r"model.mix must hold at least one branch.*not ''"),
        ("model.mix", "x*resnet20", r"model.mix must read like 2\*resnet20.*not 'x\*resnet20'"),
        ("optim.epochs", 0, r"optim.epochs must be greater than or equal to 1, not 0"),
        ("optim.lr_milestones", "0.5,2", r"optim.lr_milestones must be less than or equal to 1"),
        ("data.name", "cifar", r"data.name must be 'digits', 'cifar10', 'cifar100' or 'folder'"),
        ("data.val_fraction", 0, r"data.val_fraction must be greater than 0, not 0"),
        ("fusion.design", "add", r"fusion.design must be 'concat_depthwise', .*not 'add'"),
        ("data.augment", "randaugment", r"must be 'standard', 'trivial' or 'none', not 'rand"),
        ("data.mixing_alpha", 0, r"data.mixing_alpha must be greater than or equal to 0.01, not"),
        ("distill.label_smoothing", 1, r"distill.label_smoothing must be less than 1, not 1"),
        ("distill.fused_to_branch_temperature", 0, r"_temperature must be greater than 0, not 0"),
        ("optim.beta2", 1, r"optim.beta2 must be less than 1, not 1"),
        ("optim.warmup", 5, r"optim.warmup must be less than or equal to 1, not 5"),
        ("distill.ramp_up_epochs", 8, r"'distill.ramp_up_epochs': it is distill.ramp_up now, a sh"),
        (
            "optim.warmup_epochs",
            5,
            r"unknown .*_epochs': it is optim.warmup now",
        ),
        ("distill.ema_decay", 0.9, r"unknown .*: it is distill.ema_span now, a share of the train"),
        ("seed", -1, r"seed must be greater than or equal to 0, not -1"),
    ],
)
def test_a_wrong_setting_is_refused_with_name_rule_and_value(
    name: str, value: object, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        with_overrides(Config(), {name: value})


@pytest.mark.parametrize("item", ["optim.epochs", "=3", " =3"])
def test_an_assignment_without_name_or_value_is_refused(item: str) -> None:
    with pytest.raises(SettingError, match="name=value"):
        parse_assignments([item])


@pytest.mark.parametrize("model", [Config, SearchConfig])
def test_every_setting_says_what_it_means(model: type[Config | SearchConfig]) -> None:
    for name, field in settings(model):
        assert field.description, name


@pytest.mark.parametrize("text", ["none", "None", ""])
def test_a_temperature_of_none_is_the_common_one(text: str) -> None:
    config = with_overrides(Config(), {"distill.fused_to_branch_temperature": text})

    assert config == Config()


def test_the_settings_of_a_study_are_those_of_a_training_and_of_its_search() -> None:
    study = with_overrides(StudyConfig(), {"optim.epochs": 7, "search.num_samples": 3})

    names = [*flatten(Config()), *(f"search.{name}" for name in flatten(SearchConfig()))]
    assert list(flatten(study)) == names
    assert study.training == with_overrides(Config(), {"optim.epochs": 7})
    with pytest.raises(SettingError, match=r"search.num_samples must be greater .*, not 0"):
        with_overrides(study, {"search.num_samples": 0})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("40m", 2_400), ("40 min", 2_400), ("1.5h", 5_400), ("1h30m", 5_400)],
)
def test_a_time_may_be_given_with_its_units(text: str, seconds: float) -> None:
    search = with_overrides(StudyConfig(), {"search.budget_s": text}).search

    assert search.budget_s == seconds
    assert with_overrides(StudyConfig(), {"search.budget_s": as_time(seconds)}).search == search


@pytest.mark.parametrize("text", ["soon", "-3", "1h30", "3 weeks", "1e3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"search.budget_s must read like 90s, 40m, 1.5h"):
        with_overrides(StudyConfig(), {"search.budget_s": text})
