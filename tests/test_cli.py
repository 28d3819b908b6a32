"""The commands as a person meets them: instant help, one-line errors."""

import importlib
import os
import runpy
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.forked import run as run_forked
from support.helpers import ROOT, command, run

import ffl_ray
from ffl_ray.cli import COMMANDS, completion, main
from ffl_ray.config.overrides import settings
from ffl_ray.config.settings import StudyConfig
from ffl_ray.errors import UNREAD
from ffl_ray.planning.layout import available_cpus
from ffl_ray.tune import fixed_settings
from ffl_ray.tune import parser as tune_parser

HEAVY = {"torch", "ray", "optuna", "pandas", "plotly", "onnxruntime"}
TRAINING = ("tune", "train")


def loaded_by(code: str) -> set[str]:
    """Names of the top packages that a piece of code loads."""
    code = f"{code}\nimport sys; print(*{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["ffl_ray", "ffl_ray.cli"])
def test_the_package_and_its_module_are_the_command(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [module, "--version"])

    with (
        pytest.warns(RuntimeWarning) if module == "ffl_ray.cli" else nullcontext(),
        pytest.raises(SystemExit) as ended,
    ):
        runpy.run_module(module, run_name="__main__")

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{ffl_ray.__version__}\n"


@pytest.mark.parametrize(
    "code",
    ["import ffl_ray", "import ffl_ray.results"]
    + [f"import {command.module} as c; c.parser().format_help()" for command in COMMANDS.values()],
)
def test_importing_and_asking_for_help_load_neither_torch_nor_ray(code: str) -> None:
    assert not HEAVY & loaded_by(code)


def cpu_s_of(words: list[str]) -> tuple[float, str]:
    """Seconds of CPU that a command takes, which is what it takes on an idle machine; its output.

    Raises:
        AssertionError: it fails.
    """
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        shown = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime, shown


@pytest.mark.parametrize("name", COMMANDS)
def test_help_answers_in_half_a_second(name: str) -> None:
    """Where Python takes .07 s to load pydantic; half of all machines are slower than that."""
    for _ in range(5):
        taken_s, shown = cpu_s_of(command(name, "--help"))
        unit_s, _ = cpu_s_of([sys.executable, "-c", "import pydantic"])
        if taken_s < 7 * unit_s:
            break

    assert f"usage: python -m ffl_ray.{name}" in shown
    assert taken_s < 7 * unit_s  # 1.2 to 5 times


@pytest.mark.parametrize(
    ("name", "idle"),
    [
        ("confirm", {"--name", "--seed", "--skip-bad-files", "--predictions"}),
        ("reproduce", {"--predictions"}),
    ],
)
def test_a_flag_that_would_be_refused_or_passed_over_is_not_offered(
    name: str, idle: set[str]
) -> None:
    parser = importlib.import_module(COMMANDS[name].module).parser()

    offered = {word for action in parser._actions for word in action.option_strings}

    assert not offered & idle
    assert {"--data-dir", "--num-workers", "--seeds"} <= offered


@pytest.mark.parametrize("name", TRAINING)
def test_settings_lists_every_setting(name: str) -> None:
    done = run(name, "--settings")

    assert done.returncode == 0
    for setting in (
        "distill.temperature",
        "model.mix",
        "search.num_samples",
        "optim.lr_milestones",
    ):
        assert setting in done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) == 1 + len(list(settings(StudyConfig)))  # a line each, whole
    assert "…" not in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["tune", "--set", "distill.temprature=3"],
         "error: unknown setting 'distill.temprature'; the nearest known is 'distill.temperature'"),
        (["train", "--set", "distill.temperature=0"],
         "error: distill.temperature must be greater than 0, not '0'"),
        (["train", "--set", "model.mix=resnet20"],
         "error: model.mix must hold at least 2 branches for distill.method ffl, not 1 (resnet20): "
         "a single branch is trained by distill.method independent"),
        (["tune", "--set", "optim.epochs"],
         "error: --set takes name=value, such as optim.epochs=30, not 'optim.epochs'"),
        (["train", "--set", "data.name=cifar100", "--data-dir", "/no/such/folder"],
         "error: data.dir must be an existing folder, not '/no/such/folder'"),
        (["tune", "cifar100", "--data-dir", "/no/such/folder"],
         "error: data.dir must be an existing folder, not '/no/such/folder'"),
        (["train", "--data-dir", "docs"],
         "error: data.dir must be none where data.name is digits, which is embedded and reads"),
        (["tune", "--data-dir", "docs"],
         "error: data.dir must be none where data.name is digits, which is embedded and reads no "
         "folder, not 'docs': images of yours are searched by ffl-ray tune folder --data-dir docs"),
        (["tune", "docs"],
         "error: 'docs' is a folder and no search space: images of yours are searched by "
         "ffl-ray tune folder --data-dir docs"),
        (["tune", "nothing.py"],
         "error: a search space is a Python file or one of"),
        (["tune", "--num-samples", "0"],
         "error: search.num_samples must be greater than or equal to 1, not 0"),
        (["tune", "--name", "../up"], "error: --name must be letters"),
        (["train", "--set", "data.name=cifar10"],
         "error: data.dir must name the folder that holds"),
    ],
)  # fmt: skip
def test_a_wrong_input_is_one_line_on_stderr_and_status_2(
    options: list[str], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status = main([*options, "--storage-path", str(tmp_path)])

    shown, errors = capfd.readouterr()
    assert status == 2
    assert shown.splitlines()[1:] == []
    assert errors.startswith(message)
    assert len(errors.splitlines()) == 1


def test_an_empty_space_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def search_space(trial): return {}\n")

    status = main(["tune", str(path), "--storage-path", str(tmp_path)])

    assert status == 2
    errors = capfd.readouterr().err
    assert "mine.py is empty: search_space(trial) must suggest at least one" in errors


def test_a_damaged_cifar_file_is_refused_before_any_training(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    (folder / "train").write_bytes(b"cut short")
    options = ("--set", "data.name=cifar100", "--data-dir", str(tmp_path))

    status = main(["train", *options, "--storage-path", str(tmp_path), "--name", "x"])

    assert status == 2
    assert (
        "cifar-100-python/train is damaged: its md5 must be 16019d7e3df5f24257cddd939b257f8d"
        in capfd.readouterr().err
    )


def test_more_workers_than_cpus_are_refused(tmp_path: Path) -> None:
    workers = str(available_cpus() + 97)

    done = run_forked("tune", "--num-workers", workers, "--storage-path", str(tmp_path))

    assert done.returncode == 2
    assert f"needs {workers} CPUs, and there are {available_cpus()}: use --num-" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_one_command_runs_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name}" not in shown] == []
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert f"ffl_ray.{name} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["ffl-ray", "rep"], {"replay", "report", "reproduce"}),
        (["ffl-ray", "tune", "--num-s"], {"--num-samples"}),
        (["ffl-ray", "report", "--format", ""], {"html", "md", "csv"}),
        (["ffl-ray", "bench", "st"], {"study"}),
        (["ffl-ray", "tune", "READ"], {"README.md"}),
        (["ffl-ray", "train", "--data-dir", "search_s"], {"search_spaces"}),
    ],
)
def test_bash_completes_commands_options_and_choices(words: list[str], completed: set[str]) -> None:
    line = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _shtab_ffl_ray ffl-ray"
    script = f"{completion('bash')}\n{asked} '{words[-1]}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""

    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert set(done.stdout.split()) == completed


def test_completion_loads_neither_torch_nor_ray() -> None:
    code = "from ffl_ray.cli import completion\n"
    code += "assert completion('bash') and 'tune' in completion('zsh')"
    assert not HEAVY & loaded_by(code)


def test_a_reader_that_has_gone_is_no_error() -> None:
    """As behind `| head -1`."""
    writes = "lambda: 0 * sys.stdout.write('x' * 100_000)"
    code = f"import sys, ffl_ray.cli as c; sys.exit(c.refusing(c.new_parser('x', ''), {writes}))"
    command = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert command.stdout is not None

    command.stdout.close()
    command.stdout = None

    assert command.communicate(timeout=60)[1] == b""
    assert command.returncode == UNREAD


@pytest.mark.parametrize(
    ("words", "fixed"),
    [
        (["--seed", "1"], ["search.seed"]),  # where a space chooses, it seeds the sampler alone
        (["--set", "seed=1"], ["seed"]),
        (["--optim.epochs", "3", "--seed", "1"], ["optim.epochs", "search.seed"]),
    ],
)
def test_what_the_command_line_names_is_not_searched(words: list[str], fixed: list[str]) -> None:
    assert fixed_settings(tune_parser().parse_args(words)) == fixed
