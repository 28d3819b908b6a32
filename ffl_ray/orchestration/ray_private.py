"""Private names of Ray, which it does not promise to keep; nothing else of ffl_ray knows any.

Each with where it stands in the version that the tests run with, and why Ray's public interface
does not do. A newer Ray that drops one breaks here, and at import.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import ray
from ray._private import ray_constants, services, utils, worker
from ray._private.node import Node
from ray._raylet import (  # type: ignore[attr-defined]
    AuthenticationTokenLoader,
    Config,
    PlacementGroupID,
)
from ray.air._internal import usage
from ray.tune.execution.class_cache import ENV_VARS_TO_PROPAGATE
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.util.placement_group import PlacementGroup

from ffl_ray.orchestration import ray_agent, ray_worker
from ffl_ray.planning.layout import available_cpus

UPSTREAM = "https://github.com/ray-project/ray/blob/ray-2.60.0/python/ray"


def session_folder() -> str:
    """The folder of Ray's session on this machine; only the one who started Ray is told of it.

    UPSTREAM/_private/worker.py, `_global_node`; UPSTREAM/_private/node.py.
    """
    node = worker._global_node
    return str(node.get_session_dir_path())  # type: ignore[attr-defined]


def is_head_gone() -> bool:
    """Whether a process of the head that was started here has ended. UPSTREAM/_private/node.py."""
    node: Any = worker._global_node
    return node is not None and node.head and bool(node.dead_processes())


def read_environment_again() -> None:
    """Have Ray take its settings from the environment as it is now.

    It reads them when `ray` is imported, and the token at the first start: UPSTREAM/_raylet.pyx,
    `Config` and `AuthenticationTokenLoader`. Whether it may be a cluster stands in
    UPSTREAM/_private/ray_constants.py. One that may not, as on macOS, keeps to 127.0.0.1; from
    `ray.init(_node_ip_address="127.0.0.1")` it takes the network's address.
    """
    if not ray.is_initialized():
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
        may = os.environ.get(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, "1") not in ("0", "false")
        ray_constants.ENABLE_RAY_CLUSTER = may


@contextmanager
def without_helpers() -> Iterator[None]:
    """A block in which a Ray that starts here has nothing that nobody asks for.

    That is an autoscaler, a dashboard's server with all that it imports, its agent, a reader of
    the workers' logs; a start takes 5 s of CPU less. `include_dashboard=False` starts the server
    all the same. Its workers begin by a program of ours. UPSTREAM/_private/node.py,
    `start_head_processes`; UPSTREAM/_private/services.py, `start_raylet`.
    """
    python_of: Any = services._build_python_executable_command_memory_profileable

    def start_of(component: str, *options: Any) -> Any:
        if component == ray_constants.PROCESS_TYPE_DASHBOARD_AGENT:
            return [sys.executable, "-IS", ray_agent.__file__]
        return python_of(component, *options)

    start_raylet = services.start_raylet

    def start_with_ours(*options: Any, **named: Any) -> Any:
        told = inspect.signature(start_raylet).bind(*options, **named)
        told.arguments["setup_worker_path"] = ray_worker.__file__
        return start_raylet(*told.args, **told.kwargs)

    servers = ("start_monitor", "start_log_monitor", "start_api_server")
    with ExitStack() as changes:
        for name in servers:
            changes.enter_context(_changed(Node, name, _nothing))
        changes.enter_context(_changed(utils, "get_dashboard_dependency_error", _nothing))
        changes.enter_context(_changed(services, python_of.__name__, start_of))
        changes.enter_context(_changed(services, start_raylet.__name__, start_with_ours))
        yield


@contextmanager
def _changed(owner: object, name: str, value: object) -> Iterator[None]:
    kept = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, kept)


def cpus_to_take() -> int | None:
    """The CPUs of a Ray that starts here; none: what it finds itself.

    It finds those that a container is given, or all of the machine's, and does not ask which of
    them this process may use: Slurm and taskset leave it a few. UPSTREAM/_private/utils.py,
    `get_num_cpus`.
    """
    usable = available_cpus()
    if usable == os.cpu_count():
        return None
    return min(usable, int(utils.get_num_cpus(override_docker_cpu_warning=True)))


def count_no_callbacks() -> None:
    """Have Tune load no tracker to count its users. UPSTREAM/air/_internal/usage.py."""
    usage.tag_callbacks = _nothing


def _nothing(*_: Any, **__: Any) -> Any:
    pass


def placement_group(group_id: str) -> PlacementGroup:
    """A placement group by its id, in hex, as `placement_group_table` names it.

    Ray's own `get_placement_group` finds one by name, and Ray Train gives its groups none.
    UPSTREAM/includes/unique_ids.pxi, `PlacementGroupID`.
    """
    return PlacementGroup(PlacementGroupID(bytes.fromhex(group_id)))


def keep_from_actors(variables: tuple[str, ...]) -> None:
    """Have Tune hand its actors none of these variables of the driver's environment.

    Ray writes what it hands on to its logs. UPSTREAM/tune/execution/class_cache.py.
    """
    ENV_VARS_TO_PROPAGATE.difference_update(variables)


class Mute(TrialProgressCallback):
    """Tune prints through a callback of its own unless it finds one of this kind.

    UPSTREAM/tune/utils/callback.py, `_create_default_callbacks`.
    """

    def _print(self, msg: str) -> None:
        pass


def allow_failures(trial: Trial, max_failures: int) -> None:
    """Have Tune start a trial again so many times from here on, whatever it survived before.

    Tune compares the two numbers. UPSTREAM/tune/experiment/trial.py, `should_recover`.
    """
    trial.max_failures = trial.num_failures + max_failures


def has_retry_left(trial: Trial) -> bool:
    """Whether a trial that failed may be started again, as `should_recover` says it."""
    return bool(trial.num_failures <= trial.max_failures)


def error_file(trial: Trial) -> str | None:
    """Where the driver has pickled a trial's latest error; none when it has failed in no way.

    UPSTREAM/tune/experiment/trial.py, `pickled_error_file`: a callback is told of no error.
    """
    path: str | None = trial.pickled_error_file
    return path
