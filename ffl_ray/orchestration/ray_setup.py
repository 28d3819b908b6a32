"""The setup of Ray: its environment, its start or a cluster's, and nothing printed of its own."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from ffl_ray.console.stopping import needing
from ffl_ray.errors import PlanError
from ffl_ray.files import user_folder
from ffl_ray.orchestration.mps import PIPES, stop_mps
from ffl_ray.orchestration.ray_private import (
    count_no_callbacks,
    cpus_to_take,
    is_head_gone,
    read_environment_again,
    session_folder,
    without_helpers,
)
from ffl_ray.orchestration.sessions import take_session
from ffl_ray.planning.layout import PASSIVE_WAITING, Machines, wait_passively
from ffl_ray.results.storage.retry import VARIABLE as RETRY_S

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no banner, nothing sent home
    "RAY_AIR_NEW_OUTPUT": "0",  # the older output engine keeps quiet when told to
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a FutureWarning on CUDA_VISIBLE_DEVICES
    "RAY_prestart_worker_first_driver": "0",  # idle workers that no trial could use
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # the working folder stays what it is
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no csv, json and tensorboard files per trial
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # errors go to the tables and the log
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # 2 s let a slow stop fail the next trial silently
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # the tables are the truth; Tune's own state is unused
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.05",  # else one report per 2 s
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
}

LOCAL_ENVIRONMENT = {
    # Actors of a killed driver look for its cluster for so long, each with all its memory: 60 s.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
    # Else every process talks and listens on the address of the Wi-Fi or VPN, and dies with it.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # a Ray that can't be a cluster keeps to 127.0.0.1
    "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
}
SETTLED = {
    *PASSIVE_WAITING,
    *ENVIRONMENT,
    *LOCAL_ENVIRONMENT,
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN",
    "RAY_TMPDIR",
}


@contextmanager
def ray_state() -> Iterator[str]:
    """A folder of this machine for what Tune and Ray Train write of their own.

    The tables are the truth and nothing of it is read, so it stays out of the study's storage: an
    object store that fails for a minute would end the run from inside Ray. In the folder of Ray's
    session it goes with that when its process is killed.
    """
    session = session_folder()
    place = session if os.access(session, os.W_OK) else None
    with tempfile.TemporaryDirectory(
        prefix="ffl_ray-", dir=place, ignore_cleanup_errors=True
    ) as folder:
        yield folder


@contextmanager
def own_ray() -> Iterator[None]:
    """A block that starts or joins a Ray of its own: after it this process has none, as before it.

    Raises:
        PlanError: this process has one already.
    """
    if ray.is_initialized():
        raise PlanError(
            "this process has started or joined a Ray, and a command does that itself: call "
            "ray.shutdown() before it (--address joins a cluster)"
        )
    before = set(os.environ)
    try:
        with needing(is_head_gone):
            yield
    finally:
        ray.shutdown()
        if PIPES in set(os.environ) - before:
            stop_mps()
        for name in SETTLED & (set(os.environ) - before):
            del os.environ[name]


def prepare_environment(*, local: bool) -> None:
    """Settle what Ray reads from the environment; call before Ray is started.

    A value that the user set wins. A cluster's authentication is its own affair.
    """
    wait_passively()
    for name, value in (ENVIRONMENT | (LOCAL_ENVIRONMENT if local else {})).items():
        os.environ.setdefault(name, value)
    if local:
        _require_token()
        os.environ.setdefault("RAY_TMPDIR", _private_folder())
    read_environment_again()


def _require_token() -> None:
    """Have the Ray that starts here take orders from processes of this run alone.

    Its ports are open to every user of this machine, and whoever reaches one can run code unless
    Ray asks for a token. It is made for this run and lives in the environment of its processes.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    os.environ["RAY_AUTH_MODE"] = "token"
    if "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _private_folder() -> str:
    """A short path of a folder that this user alone can enter, for Ray's sessions.

    Ray opens its own folders to every user of the machine, sockets and pickled errors included.
    """
    try:
        return str(user_folder())
    except PermissionError:
        return tempfile.mkdtemp(prefix="ffl_ray-", dir="/tmp")


def start_ray(address: str | None) -> None:
    """Start Ray on this machine, or join the cluster at an address.

    Raises:
        PlanError: no cluster answers there, or Ray does not start here.
    """
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    if address is None:
        _start_here(options)
    else:
        _join(address, options)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's ends the process in mid-sentence
    log_warnings()


def _start_here(options: Mapping[str, Any]) -> None:
    count_no_callbacks()
    options = {"num_cpus": cpus_to_take(), "include_dashboard": False, **options}
    try:
        with without_helpers():
            context: Any = ray.init(address="local", **options)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PlanError(
            f"Ray can't start on this machine: {first} (when other work keeps it busy, the "
            f"same command later may do)"
        ) from error
    take_session(Path(context.address_info["session_dir"]))


def _join(address: str, options: Mapping[str, Any]) -> None:
    names = {*PASSIVE_WAITING, *ENVIRONMENT, RETRY_S}
    forwarded = {n: v for n, v in os.environ.items() if n in names}
    try:
        ray.init(address=address, runtime_env={"env_vars": forwarded}, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise PlanError(f"--address {address}: no Ray cluster answers there: {error}") from error


def cluster_machines() -> Machines:
    """What the nodes of the joined cluster have in all."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    gpus = [node.get("GPU", 0.0) for node in nodes]
    return Machines(sum(cpus), sum(gpus), max(cpus), max(gpus))


def log_warnings() -> None:
    """Have Ray warn where Python's log goes, and leave the console to us."""
    # It misses Tune's own csv and json files, which the tables replace.
    logging.getLogger("ray.tune.analysis").setLevel(logging.CRITICAL)
    for name in ("ray", "ray.tune", "ray.train"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.handlers = []
        logger.propagate = True
