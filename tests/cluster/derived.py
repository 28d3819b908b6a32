"""The project's cluster files, as tests run them: all that differs is here, and nowhere else."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.cloud import API

# A machine that is dead is held for dead after some 8 s, and the autoscaler looks every 2 s.
IMPATIENT = (
    "export RAY_health_check_initial_delay_ms=2000 RAY_health_check_period_ms=1000 "
    "RAY_health_check_timeout_ms=2000 RAY_health_check_failure_threshold=3 "
    "AUTOSCALER_UPDATE_INTERVAL_S=2 AUTOSCALER_HEARTBEAT_TIMEOUT_S=15; "
)
SAME_ENVIRONMENT = f"ln -sfn {sys.prefix} ~/.ffl_env"
COPY_COMES_FIRST = (
    "grep -q PYTHONPATH ~/.bashrc || "
    "echo 'export PYTHONPATH=$HOME/ffl_ray:$HOME/ffl_ray/tests' >> ~/.bashrc"
)
FIND_RAY = "grep -q ffl_env ~/.bashrc || echo 'export PATH=$HOME/.ffl_env/bin:$PATH' >> ~/.bashrc"
SMALL = " --object-store-memory=100000000"


def derived_local(config: Mapping[str, Any], head: str, workers: Sequence[str]) -> dict[str, Any]:
    """`clusters/local.yaml` for the machines of a test.

    Its addresses, user and key are filled in. No wheel is fetched: the environment of this test
    stands where the file would make one, and the package is the copy that `ray up` made. The
    credentials of the store are mounted. A worker offers one CPU, so that two workers of a trial
    need two of them, and a dead machine is noticed sooner.

    Args:
        config: the file.
        head: its address.
        workers: theirs.
    """
    made = copy.deepcopy(dict(config))
    made["provider"] |= {"head_ip": head, "worker_ips": [*workers]}
    made["auth"] = {"ssh_user": "root", "ssh_private_key": "~/.ssh/id_ed25519"}
    made["file_mounts"]["~/.aws/credentials"] = "~/.aws/credentials"
    made["setup_commands"] = [
        SAME_ENVIRONMENT,
        COPY_COMES_FIRST,
        *(command for command in config["setup_commands"] if ".bashrc" in command),
    ]
    made["head_start_ray_commands"][-1] = IMPATIENT + made["head_start_ray_commands"][-1] + SMALL
    made["worker_start_ray_commands"][-1] += f" --num-cpus=1{SMALL}"
    return made


def derived_cloud(config: Mapping[str, Any], pool: int) -> dict[str, Any]:
    """`cluster.yaml` for the small cloud of `cloud.py`.

    The provider, the user and its key, and what a machine is asked for with are the cloud's; there
    is no container, and so nothing to do before it. No wheel is fetched, as above. Idle machines
    end after half a minute.

    Args:
        config: the file.
        pool: how many workers the cloud can give.
    """
    made = copy.deepcopy(dict(config))
    module = "cluster.cloud_provider.CloudProvider"
    made["provider"] = {"type": "external", "module": module, "api": API}
    made["auth"] = {"ssh_user": "root", "ssh_private_key": "~/.ssh/id_ed25519"}
    made |= {"docker": {}, "initialization_commands": [], "head_setup_commands": []}
    made |= {"idle_timeout_minutes": 0.5, "max_workers": pool, "worker_setup_commands": []}
    made |= {"cluster_synced_files": [], "file_mounts_sync_continuously": False, "rsync_filter": []}
    for node_type in made["available_node_types"].values():
        node_type["node_config"] = {}
        node_type["max_workers"] = min(node_type["max_workers"], pool)
    made["file_mounts"]["~/.aws/credentials"] = "~/.aws/credentials"
    made["setup_commands"] = [SAME_ENVIRONMENT, COPY_COMES_FIRST, FIND_RAY]
    made["head_start_ray_commands"][-1] = IMPATIENT + made["head_start_ray_commands"][-1] + SMALL
    made["worker_start_ray_commands"][1] += SMALL
    return made
