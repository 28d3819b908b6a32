"""The CPUs of a study: what is idle when it begins, and the same ever after."""

import json
import subprocess
from pathlib import Path

from ffl_ray.config.settings import SearchConfig
from ffl_ray.planning.layout import available_cpus
from ffl_ray.planning.spare_cpus import spare_cpus
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage.storage import Storage

PLAN = {"max_concurrent_trials": 3, "num_workers": 2, "cpus_per_worker": 4, "gpus_per_worker": 0}


def test_cpus_that_others_keep_busy_are_not_spare(tmp_path: Path) -> None:
    others = [
        subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"]) for _ in range(available_cpus())
    ]
    try:
        assert spare_cpus(SearchConfig(), Storage(str(tmp_path))) == 1
    finally:
        for one in others:
            one.kill()
            one.wait()


def test_a_study_that_goes_on_keeps_the_cpus_it_began_with(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    description = describe_study("search", {}, plan=PLAN) | {"study": "study"}
    storage.write("study.json", json.dumps(description).encode())

    assert spare_cpus(SearchConfig(), storage) == 24
    assert spare_cpus(SearchConfig(cpus_per_trial=2), storage) is None
