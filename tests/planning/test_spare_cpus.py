"""The CPUs of a study: what is idle when it begins, and the same ever after."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ffl_ray.config.settings import SearchConfig
from ffl_ray.planning import spare_cpus as module
from ffl_ray.planning.layout import usable_cpus
from ffl_ray.planning.spare_cpus import spare_cpus
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage.storage import Storage

PLAN = {"max_concurrent_trials": 3, "num_workers": 2, "cpus_per_worker": 4, "gpus_per_worker": 0}


@pytest.mark.parametrize(
    ("busy", "usable", "spare"),
    [
        ([0.0, 0.0, 0.0, 0.0], {0, 1, 2, 3}, 4),
        ([80.0, 70.0, 10.0, 20.0], {0, 1, 2, 3}, 2),  # .2 + .3 + .9 + .8
        ([100.0, 0.0, 0.0, 0.0], {0, 1}, 1),
        ([100.0, 100.0, 0.0, 0.0], {0, 1}, 1),  # one at least
    ],
)
def test_parts_of_cpus_that_are_idle_add_up(
    busy: list[float], usable: set[int], spare: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "usable_cpus", lambda: usable)
    monkeypatch.setattr("psutil.cpu_percent", lambda *_, **__: busy)

    assert spare_cpus(SearchConfig(), Storage(str(tmp_path))) == spare


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is kept to one CPU")
def test_cpus_that_others_keep_busy_are_not_spare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = set(sorted(usable_cpus())[:2])  # of many some are idle for moments
    monkeypatch.setattr(module, "usable_cpus", lambda: two)
    code = "import os; os.sched_setaffinity(0, [{}]); print(flush=True)\nwhile True: pass"
    others = [
        subprocess.Popen([sys.executable, "-c", code.format(cpu)], stdout=subprocess.PIPE)
        for cpu in two
    ]
    try:
        for one in others:
            assert one.stdout is not None
            one.stdout.readline()
        assert spare_cpus(SearchConfig(), Storage(str(tmp_path))) == 1
    finally:
        for one in others:
            one.kill()
            one.communicate()


def test_a_study_that_goes_on_keeps_the_cpus_it_began_with(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    description = describe_study("search", {}, plan=PLAN) | {"study": "study"}
    storage.write("study.json", json.dumps(description).encode())

    assert spare_cpus(SearchConfig(), storage) == 24
    assert spare_cpus(SearchConfig(cpus_per_trial=2), storage) is None
