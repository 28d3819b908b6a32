"""The check that a GPU's owner is asked to run, as far as a CPU goes and without our needs."""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.helpers import ROOT
from support.simulated_cuda import SimulatedCuda

from benchmarks import thread_turns
from benchmarks.gpu import right
from benchmarks.gpu.__main__ import in_its_own_process, parser
from benchmarks.gpu.plan import PARTS, PREDICTIONS, Part, verdicts
from benchmarks.gpu.trainings import Bench
from ffl_ray.config.methods import METHODS, resolved_from
from ffl_ray.config.overrides import flatten, shown
from ffl_ray.distill.check import check_config

# Of a machine that has torch alone nothing of these is found, but what stands in for it.
WITHOUT = """
import runpy, sys
from importlib.machinery import PathFinder
gone = set(sys.argv.pop(1).split(","))

class Without(PathFinder):
    def find_spec(name, path=None, target=None):
        if name in gone:
            path = [place for place in sys.path if "site-packages" not in place]
        return PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
sys.argv[0] = "benchmarks.gpu"
runpy.run_module("benchmarks.gpu", run_name="__main__", alter_sys=True)
"""


def run_without(gone: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, gone, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_runs_with_torch_alone_and_writes_what_it_found(tmp_path: Path) -> None:
    parts = "versions,fresh,threads,refused,step,numbers"
    options = ("--device", "cpu", "--rounds", "1", "--parts", parts, "--out", str(tmp_path))

    told = run_without("pydantic,ray,optuna,pandas,pyarrow", *options)

    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["stand_ins"] is True
    assert [part for part in found["parts"].values() if "error" in part] == [], told
    assert list(found["parts"]) == parts.split(",")
    assert found["parts"]["refused"]["note"] == "needs CUDA: not run on a CPU"
    assert found["parts"]["step"]["figures"]["eager_ms"] > 0
    assert found["parts"]["threads"]["figures"] == {"equal": 1}
    assert {one["verdict"] for one in found["verdicts"]} == {"not run"}
    config = resolved_from(
        {"data.name": "benchmarks.gpu.trainings:tiny", "model.mix": "2*resnet8"}
        | {"optim.batch_size": 32, "optim.epochs": 1}
    )
    expected = {name: shown(value) for name, value in flatten(config).items()}
    assert found["parts"]["fresh"]["figures"]["settings"] == expected


@pytest.mark.parametrize(("name", "changes"), right.VARIANTS.items())
def test_every_method_is_held_to_the_same_bits(name: str, changes: dict[str, Any]) -> None:
    assert METHODS.keys() <= right.VARIANTS.keys()
    method = changes.get("distill__method", "ffl")
    bench = Bench(torch.device("cpu"), "2*resnet8", "tiny", "tiny", 32, 1, (1, 2))

    check_config(bench.config(model__mix=right.mix_for(method, bench.mix), **changes))


def test_the_plan_is_shown_without_torch() -> None:
    told = run_without("torch,pydantic", "--plan")

    assert f"{len(PARTS)} parts, at most 480 s in all" in told
    assert all(f"{p.what}: {p.range}" in told for p in PREDICTIONS)


def test_a_part_that_breaks_its_process_costs_no_other(tmp_path: Path) -> None:
    options = ["--device", "cpu", "--rounds", "1", "--out", str(tmp_path)]
    args: argparse.Namespace = parser().parse_args(options)

    found = in_its_own_process(Part("none", 1, False, "no part of this name"), args, 5)

    assert found["figures"] == {}
    assert "--parts must be of versions" in found["error"]


def test_a_part_for_cuda_alone_ends_on_a_simulated_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(torch.device("cuda", 0), "2*resnet8", "tiny", "tiny", 32, 1, (1, 2))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 0)
    cuda = SimulatedCuda()
    monkeypatch.setattr(torch.cuda, "default_stream", lambda: cuda.stream)

    with cuda.running():
        found = dict(right.refused(bench))

    assert found == {"ended": 1, "left_bytes": 0, "own_stream": True, "recorded_after": 1}


def test_threads_are_held_against_one_thread_on_a_stand_in_for_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["--seconds", "0.02", "--rounds", "1", "--launch-ms", "0.05"]
    monkeypatch.setattr(sys, "argv", ["thread_turns", *short])

    assert thread_turns.main() == 0

    rates = re.findall(r"[a-z] (\d+)", capsys.readouterr().out)
    assert len(rates) == 12
    assert all(int(rate) > 0 for rate in rates)


@pytest.mark.parametrize(
    ("measured", "verdict"), [(3.5, "held"), (4.3, "missed"), (None, "not run")]
)
def test_a_prediction_is_held_where_its_figure_lies_in_its_range(
    measured: float | None, verdict: str
) -> None:
    found = verdicts({"step": {"figures": {"recorded_ms": measured}}}, comparable=True)

    assert [one["verdict"] for one in found if "recorded step, ms" in one["what"]] == [verdict]


def test_the_documentation_has_every_prediction() -> None:
    page = (ROOT / "docs/performance.md").read_text()

    assert [one for one in PREDICTIONS if f"| {one.what} | {one.range} |" not in page] == []
