"""A sampler's notes in somebody else's study are read as plain values, and never run."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import optuna
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.studies import make_study

from ffl_ray import results
from ffl_ray.config.settings import SearchConfig
from ffl_ray.results.sampler_state import plain_state
from ffl_ray.search.samplers import new_sampler


class Opener:
    """What runs a program when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("whose", ["ours", "optuna"])
def test_a_pickle_in_the_trials_table_is_not_opened(whose: str, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    make_study(folder)
    notes = {"cma:generation": 0, "cma:optimizer:0": pickle.dumps(Opener(tmp_path / "mark")).hex()}
    for path in (folder / "trials").glob("part-*.parquet"):
        found = pq.read_table(path, use_threads=False)
        rows = [row | {"sampler_state": json.dumps({"trial": notes})} for row in found.to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, schema=found.schema), path)

    study = results.optuna_study(str(folder))
    search = SearchConfig(sampler="cmaes", startup_trials=2)
    own = optuna.samplers.CmaEsSampler(n_startup_trials=1, warn_independent_sampling=False)
    study.sampler = new_sampler(search, 50) if whose == "ours" else own
    study.ask(study.trials[0].distributions)

    assert not (tmp_path / "mark").exists()
    assert {key for trial in study.trials for key in trial.system_attrs} == {"cma:generation"}


@pytest.mark.parametrize(
    "notes",
    [
        {"cma:optimizer:0": "80049500"},
        {"cma:generation": "0"},
        {"cma:generation": True},
        {"tpe:relative_params:0": "[1]"},
        {"tpe:relative_params:0": 3},
        {"grid_id": 1},
        ["cma:generation"],
        None,
    ],
)
def test_what_has_no_known_key_and_type_is_left_out(notes: object) -> None:
    assert plain_state({"trial": notes, "study": {"NSGAIISampler:parent:1": ["x"]}}) == {
        "trial": {},
        "study": {},
    }
