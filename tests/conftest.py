"""Fixtures of all tests."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from support.fork_server import FOLDER
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent
# Files whose tests run one after the other in one process. No more than two Rays are started at
# one time; the two groups take about as long. What is exported is trained and exported once, and
# torch's compiler, which takes seconds to import, is loaded with torchvision in that process alone;
# and, for trainings of several processes, in one that these are forked from.
GROUPS = {
    "tests/test_tune.py": "ray 1",
    "tests/confirm/test_command.py": "ray 1",
    "tests/orchestration/test_remote.py": "ray 1",
    "tests/test_tune_interrupted.py": "ray 2",
    "tests/orchestration/test_train_workers.py": "ray 2",
    "tests/planning/test_preflight.py": "ray 2",
    "tests/reproduce/test_command.py": "ray 1",
    "tests/safety/test_private_search.py": "ray 1",
    "tests/test_cli.py": "ray 2",
    "tests/training/test_distributed.py": "shared",
    "tests/training/test_epoch_checkpoint.py": "shared",
    "tests/bench/test_input.py": "exported",
    "tests/benchmarks/test_messy_photos.py": "exported",
    "tests/data/test_files.py": "exported",
    "tests/data/test_hub.py": "exported",
    "tests/data/test_policies.py": "exported",
    "tests/data/test_trivial_augment.py": "exported",
    "tests/distill/test_teacher.py": "exported",
    "tests/distill/test_teacher_beside.py": "exported",
    "tests/distill/test_teacher_timm.py": "exported",
    "tests/models/families/test_timm_nets.py": "exported",
    "tests/models/families/test_torchvision_nets.py": "exported",
    "tests/models/families/test_backbones.py": "exported",
    "tests/planning/test_member_costs.py": "exported",
}
# What a page draws with takes seconds to import, too.
FOLDERS = {"tests/export/": "exported", "tests/report/": "drawn", "tests/replay/": "drawn"}
# Folders and files whose tests train or wait.
LONG = (
    "drawn",
    "shared",
    "tests/training/",
    "tests/trackers/",
    "tests/test_train",
    "tests/test_spot",
)


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """Tests of a group, or of a file that is in none, in one process."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    for folder, group in FOLDERS.items():
        if file.startswith(folder):
            return group
    return GROUPS.get(file, file)


def pytest_configure(config: pytest.Config) -> None:
    """A folder for what forks the commands, and where tests are run what they find there."""
    if config.getoption("dist", "no") == "no":
        config.pluginmanager.import_plugin("support.fixtures")
    os.environ["TERM"] = "xterm-256color"  # of a dumb one rich believes no width that it is told
    for name in ("COLUMNS", "LINES", "FORCE_COLOR"):
        os.environ.pop(name, None)
    if not hasattr(config, "workerinput"):
        os.environ[FOLDER] = folder = tempfile.mkdtemp(prefix="ffl_ray-", dir="/tmp")
        config.add_cleanup(lambda: shutil.rmtree(folder))


def pytest_collection(session: pytest.Session) -> None:
    """No search for garbage among what is loaded once and stays: a tenth of the time of this."""
    gc.disable()
    if worker := getattr(session.config, "workerinput", None):
        load_own_share(int(worker["workerid"].removeprefix("gw")), worker["workercount"])


def load_own_share(index: int, count: int) -> None:
    """In a fresh clone each process compiles some of the tests, and finds the others compiled."""
    for file in sorted(TESTS.rglob("test_*.py"))[index::count]:
        with suppress(Exception, pytest.skip.Exception):  # told where it is collected
            import_module(".".join(file.relative_to(TESTS.parent).with_suffix("").parts))


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.set_threshold(5_000)  # a third of the time that it takes
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups | None:
    """As `make test` spreads tests over processes."""
    return Groups(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts Ray begins at once, since it takes longest; files of short tests fill the end."""
    first = ("ray 1", "ray 2", "exported", "tests/training/test_methods.py", "tests/test_lint.py")
    order = {group: place for place, group in enumerate(first)}

    def place(item: pytest.Item) -> int:
        group = group_of(item.nodeid)
        return order.get(group, len(first) + (not group.startswith(LONG)))

    items.sort(key=place)
