"""Random search spaces, whole and broken, through loading, settling and checking.

A loop without end in a space is its author's code, and not looked for.
"""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

from benchmarks.stress.fuzzing.outcome import WrongError
from benchmarks.stress.fuzzing.settings import SETTINGS
from benchmarks.stress.fuzzing.values import misspelt, plain, text
from ffl_ray.planning.space_check import check_networks
from ffl_ray.search.points import check_space, points
from ffl_ray.search.space import load_space, settle

SUGGEST = (
    'trial.suggest_float("distill.temperature", 1.0, 8.0)',
    'trial.suggest_float("optim.lr", 1e-3, 1e-1, log=True)',
    'trial.suggest_categorical("fusion.design", ["sum", "gated"])',
    'trial.suggest_categorical("model.mix", ["2*resnet20", "resnet20+wrn16_2"])',
    'trial.suggest_categorical("distill.method", ["ffl", "dml", "independent"])',
    'suggest_mix(trial, num_branches=(2, 3), backbones=("resnet20", "wrn16_2"))',
    'suggest_mix(trial, num_branches=(3, 2), backbones=())',
    'suggest_mix(trial, num_branches=(0, 99), backbones=("resnet20", "resnet31"))',
    'trial.suggest_int("optim.epochs", 1, 3)',
    'trial.suggest_int("optim.epochs", 3, 1)',
    'trial.suggest_float("distill.temperature", float("-inf"), float("inf"))',
    'trial.suggest_float("distill.temperature", 0.0, 8.0, log=True)',
    'trial.suggest_categorical("fusion.design", [])',
    'trial.suggest_categorical("fusion.design", [[1], {}])',
    'trial.suggest_float("é", 0, 1)',
    'trial.suggest_float("no.such", 0, 1)',
    'trial.suggest_float("search.num_samples", 1, 9)',
    'trial.suggest_float(3, 1, 9)',
    'trial.suggest_uniform("distill.temperature", 1, 2)',
    'if trial.suggest_categorical("fusion.design", ["sum", "gated"]) == "sum":\n'
    '        trial.suggest_float("distill.temperature", 1.0, 2.0)',
    'for _ in range(3):\n        trial.suggest_float("distill.temperature", 1.0, 2.0)',
    'trial.report(0.5, 1)',
    'trial.set_user_attr("a", object())',
    "raise ValueError('no')",
    "raise SystemExit(3)",
    "1 / 0",
    "search_space(trial)",
    "nonsense",
    'raise Exception("\\x1b[31m" + "x" * 5000)',
    "import no_such_module",
)  # fmt: skip
WHOLE = 6
HEADS = (
    "", "import sys\nsys.exit(1)\n", "raise RuntimeError('at import')\n", "def f(:\n",
    "# \xe9\n", "from __future__ import no_such\n", "import optuna\n", "\x00",
)  # fmt: skip
SPACES = (
    "def search_space(trial):\n    {}\n    return {}\n",
    "search_space = 3\n",
    "class search_space:\n    def __init__(self, trial):\n        {}\n",
    "search_space = lambda trial: {1}\n",
    "def search_space():\n    {}\n",
    "def search_space(a, b):\n    {}\n",
    "def other(trial):\n    {}\n",
    "async def search_space(trial):\n    {}\n",
    "def search_space(trial):\n    {}\n    yield {}\n",
)


def source(rng: random.Random) -> bytes:
    """The text of a space; about a third can be searched."""
    good = rng.random() < 0.4
    pool = SUGGEST[:WHOLE] if good else SUGGEST
    lines = "\n    ".join(rng.sample(pool, rng.randint(1, 3)))
    returned = "{}" if good else rng.choice(("{}", "None", repr(plain(rng)), _settings(rng)))
    head = "" if good or rng.random() < 0.8 else rng.choice(HEADS)
    form = SPACES[0] if good or rng.random() < 0.7 else rng.choice(SPACES)
    base = rng.choice(("{}", '{"optim.epochs": 2}')) if good else _base(rng)
    body = f"{head}from ffl_ray.search import suggest_mix\n\nBASE = {base}\n\n"
    data = (body + form.format(lines, returned)).encode("utf-8", "surrogatepass")
    return data if rng.random() < 0.95 else data[: rng.randrange(len(data))] + b"\xff\xfe"


def _settings(rng: random.Random) -> str:
    names = rng.choices([*SETTINGS], k=rng.randint(1, 3))
    return repr({misspelt(rng, n) if rng.random() < 0.2 else n: plain(rng) for n in names})


def _base(rng: random.Random) -> str:
    return rng.choice(("{}", "{}", _settings(rng), repr(text(rng)), "None", "[('a', 1)]", "{1: 2}"))


def case(rng: random.Random, folder: Path) -> None:
    """Load, settle and check a space; now and then build its networks too.

    Raises:
        WrongError: a space that passed proposes nothing.
    """
    file = folder / "space.py"
    file.write_bytes(source(rng))
    space = load_space(str(file))
    settled = settle(space, {})
    if rng.random() < 0.1:
        named = check_space(space, settled.training, [], settled.search)
    else:
        found = islice(points(space, settled.training, 10), 40)
        named = sorted({name for point in found for name in point.params})
    if not named:
        raise WrongError("a space without a parameter passed")
    if rng.random() < 0.02:
        check_networks(space, settled.training, 2)
