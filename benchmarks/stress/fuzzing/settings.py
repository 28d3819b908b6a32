"""Random settings through the functions that `train` and `tune` begin with, and their commands."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from pathlib import Path

from benchmarks.stress.fuzzing.outcome import WrongError
from benchmarks.stress.fuzzing.values import misspelt, text
from ffl_ray import cli
from ffl_ray.config.methods import resolved, resolved_from, with_reachable_objective
from ffl_ray.config.overrides import flatten, settings, with_overrides
from ffl_ray.config.settings import StudyConfig
from ffl_ray.models.registry import check_model
from ffl_ray.planning.layout import Machines, make_plan
from ffl_ray.results.description import check_name
from ffl_ray.results.schema import config_columns, row_config
from ffl_ray.search.space import load_space, settle

SETTINGS = {s.name: s for s in settings(StudyConfig)}
SEARCH = [name for name in SETTINGS if name.startswith("search.")]
GOOD = {
    int: ("1", "2", "7", "64"), float: ("0", "0.1", "0.5", "1", "3.5"), bool: ("true", "false"),
}  # fmt: skip


def _name(rng: random.Random) -> str:
    known = rng.choice([*SETTINGS])
    return misspelt(rng, known) if rng.random() < 0.1 else known


def _value(rng: random.Random, name: str) -> str:
    """Half of all values are of the setting's own kind, so that deeper rules are reached."""
    setting = SETTINGS.get(name)
    if setting is None or rng.random() < 0.25:
        return text(rng)
    default = setting.field.default
    return rng.choice(GOOD.get(type(default), (str(default), "none")))


def assignments(rng: random.Random) -> list[str]:
    """Words of `--set`, some without a value or a name."""
    made = []
    for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 5))):
        name = _name(rng)
        form = rng.choice(("{}={}",) * 12 + ("{}", "={1}", "{}=={}", "{}:{}"))
        made.append(form.format(name, _value(rng, name)))
    return made


def case(rng: random.Random, folder: Path) -> None:
    """Parse, check and plan; what is accepted comes back the same from the tables.

    Raises:
        WrongError: it does not.
    """
    given = assignments(rng)
    seed = rng.choice((None, None, None, None, 0, 7, -1, 10**30))
    data_dir = rng.choice((None, None, None, text(rng)))
    named = {"config": None, "set": given, "data.dir": data_dir, "seed": seed}
    args = argparse.Namespace(**named)
    overrides = cli.overrides_of(args)
    if rng.random() < 0.1:
        check_name(text(rng))
    flags = {name: _flag(rng) for name in rng.sample(SEARCH, 2)}
    overrides |= {name: value for name, value in flags.items() if value is not None}
    if rng.random() < 0.5:
        study = settle(load_space("digits"), overrides)
        config = resolved(study.training)
    else:
        study = with_overrides(StudyConfig(), overrides)
        config = with_reachable_objective(resolved(study.training))
    check_model(config)
    if resolved_from(flatten(config)) != config:
        raise WrongError(f"{given}: the settings differ when they are taken once more")
    columns = {n: v for n, v in config_columns(config).items() if n != "num_branches"}
    back = resolved(row_config(columns))
    if back != config:
        raise WrongError(f"{given}: the settings differ when they come back from the tables")
    machines = Machines(rng.choice((1, 2, 64)), rng.choice((0, 1, 8)))
    plan = make_plan(study.search, machines, device=config.compute.device)
    if plan.max_concurrent_trials < 1 or plan.cpus_per_worker < 1:
        raise WrongError(f"{given}: the plan is {plan}")


def _flag(rng: random.Random) -> object:
    return rng.choice((None,) * 20 + (0, 1, 2, -1, 0.5, 10**12, float("nan"), text(rng)))


def command_case(rng: random.Random, folder: Path) -> None:
    """Check settings through a real command line: refused in one line, or checked to the end.

    Raises:
        WrongError: a traceback, another exit status, or several lines.
    """
    words = [word for item in assignments(rng) for word in ("--set", item)]
    words = [word.replace("\x00", "") for word in words]
    command = [sys.executable, "-m", "ffl_ray.tune", "digits", "--check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    good = done.returncode == 0 and not lines
    refused = done.returncode == 2 and len(lines) == 1 and lines[0].startswith("error: ")
    usage = done.returncode == 2 and lines and lines[0].startswith("usage: ")
    if not (good or refused or usage):
        raise WrongError(f"{words}: exit status {done.returncode}: {done.stderr[-2000:]}")
