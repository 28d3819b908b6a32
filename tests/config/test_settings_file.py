"""Files of settings: what `--config` reads, and what a study writes for it."""

from pathlib import Path

import pytest

from ffl_ray.cli import named_settings, overrides_of
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import StudyConfig
from ffl_ray.config.settings_file import read_settings, settings_text
from ffl_ray.errors import SettingError
from ffl_ray.train import parser

CHANGED = {
    "model.mix": "2*resnet20+wrn16_2",
    "optim.lr_milestones": "0.25,0.5",
    "distill.temperature": 2.5,
    "data.dir": "/bilder/ä ö: ü",
    "search.objectives": ("fused.nll", "fused.macs"),
    "search.track": (),
    "objective": "fused.nll",
}


@pytest.mark.parametrize("changed", [{}, CHANGED])
def test_what_is_written_is_read_again(changed: dict[str, object], tmp_path: Path) -> None:
    config = with_overrides(StudyConfig(), changed)
    (tmp_path / "config.yaml").write_text(settings_text(flatten(config)))

    found = read_settings(str(tmp_path / "config.yaml"))

    assert with_overrides(StudyConfig(), found) == config
    assert found.keys() == flatten(config).keys()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "optim.epochs: 7\ndistill: {temperature: 2}\n"),
        ("a.yml", "{optim: {epochs: 7}, distill.temperature: '2'}"),
        ("a.toml", "optim.epochs = 7\n[distill]\ntemperature = 2.0\n"),
    ],
)
def test_sections_and_dotted_names_are_alike(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)

    config = with_overrides(StudyConfig(), read_settings(str(tmp_path / name)))

    assert (config.optim.epochs, config.distill.temperature) == (7, 2.0)


def test_the_command_line_goes_before_the_file_and_takes_settings_as_options(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("optim.epochs: 7\noptim.lr: 0.5\nseed: 3\n")
    words = ["--config", str(file), "--optim.epochs", "9", "--data.augment=none", "--seed", "4"]

    args = parser().parse_args([*words, "--set", "optim.batch_size=32"])

    named = {"optim.epochs": "9", "data.augment": "none", "optim.batch_size": "32", "seed": 4}
    assert named_settings(args) == named
    assert overrides_of(args) == {"optim.lr": 0.5} | named


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optim.epochs"], "argument --optim.epochs: expected one argument"),
        (["--num-worker", "2"], "--num-worker 2; the nearest known is '--num-workers'"),
    ],
)
def test_a_mistyped_option_is_named_with_the_nearest(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(words)

    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", r"--config must be a file .yaml, .yml, .toml, not"),
        ("none.yaml", None, r"none.yaml can't be read: .*No such file"),
        ("a.yaml", "seed: 1\nseed: 2\n", r"can't be read: it sets seed 2 times, and must once"),
        ("a.yaml", "optim: {epochs: 1, lr: 1, lr: 2}", r"can't be read: it sets lr 2 times"),
        ("a.yaml", "a: [", r"can't be read: while parsing"),
        ("a.yaml", "!!python/object/apply:os.getcwd []", r"can't be read: could not determine"),
        ("a.toml", "a = ", r"can't be read: Invalid value"),
        ("a.yaml", "[1, 2]", r"must hold settings by their names, not \[1, 2\]"),
        ("a.yaml", "optim.epoch: 3", r"unknown setting 'optim.epoch'; the nearest known is"),
        ("a.yaml", "optim: &a {b: *a}", r"a.yaml has a section that holds itself"),
        ("a.yaml", "optim: {epochs: 3}\noptim.epochs: 4", r"must set optim.epochs once, not twice"),
        ("a.yaml", "optim.epochs: 2020-01-01", r"optim.epochs must be a valid integer"),
    ],
)
def test_a_file_that_is_none_of_settings_is_refused_in_one_line(
    name: str, text: str | None, message: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)

    with pytest.raises(SettingError, match=message) as raised:
        with_overrides(StudyConfig(), read_settings(str(tmp_path / name)))

    assert "\n" not in str(raised.value)


def test_a_home_of_nobody_is_refused_in_one_line() -> None:
    with pytest.raises(SettingError, match="begins with a user whom this machine does not know"):
        read_settings("~nobody_of_this_name/a.yaml")
