"""`clusters/local.yaml` is what Ray accepts and its comments promise; tests/cluster runs it."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from cluster.derived import derived_local
from support.cluster_files import accept, start_options

Config = dict[str, Any]

ROOT = Path(__file__).parents[2]
FILE = ROOT / "clusters" / "local.yaml"
ENVIRONMENT = "~/.ffl_env/bin"
LOCKED = f"{ENVIRONMENT}/pip install --no-cache-dir --require-hashes -r ~/ffl_ray/requirements.txt"
PACKAGE = f"{ENVIRONMENT}/pip install --no-cache-dir --no-deps --no-build-isolation ~/ffl_ray"
MAY_DIFFER = {"provider", "auth", "file_mounts", "setup_commands"} | {
    f"{role}_start_ray_commands" for role in ("head", "worker")
}


def read() -> Config:
    config: Config = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return config


@pytest.fixture(scope="module")
def cluster() -> Config:
    return accept(read())


def test_every_named_worker_is_wanted_and_stays(cluster: Config) -> None:
    (machine,) = cluster["available_node_types"].values()
    workers = cluster["provider"]["worker_ips"]

    assert machine["min_workers"] == machine["max_workers"] == len(workers)


def test_nobody_elses_machine_is_addressed_before_the_file_is_edited(cluster: Config) -> None:
    # 192.0.2.0/24 is kept for documentation (RFC 5737).
    for address in (cluster["provider"]["head_ip"], *cluster["provider"]["worker_ips"]):
        assert address.startswith("192.0.2.")
    marked = re.findall(r"^ +(\w+):.*# SET", FILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert marked == ["head_ip", "worker_ips", "ssh_user", "ssh_private_key"]


@pytest.mark.parametrize("role", ["head", "worker"])
def test_every_node_installs_the_locked_versions_and_then_the_package(
    cluster: Config, role: str
) -> None:
    commands = cluster[f"{role}_setup_commands"]

    assert commands.index(LOCKED) < commands.index(PACKAGE)
    assert f"ray[default]=={ray.__version__}" in " ".join(commands)
    assert cluster["file_mounts"]["~/ffl_ray"] == "."


@pytest.mark.parametrize("role", ["head", "worker"])
def test_what_starts_ray_names_its_path_in_full(cluster: Config, role: str) -> None:
    for command in cluster[f"{role}_start_ray_commands"]:
        assert f"{ENVIRONMENT}/ray " in command


def test_the_upload_leaves_out_nothing_of_the_package(cluster: Config) -> None:
    inside = [pattern for pattern in cluster["rsync_exclude"] if not pattern.startswith("/")]

    assert inside == ["**/__pycache__", "**/.*_cache"]
    assert {"/.git", "/.venv", "/results"} <= set(cluster["rsync_exclude"])


@pytest.mark.parametrize("role", ["head", "worker"])
def test_every_node_asks_for_the_token(cluster: Config, role: str) -> None:
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "RAY_AUTH_MODE=token " in cluster[f"{role}_start_ray_commands"][-1]
    (exported,) = (c for c in cluster[f"{role}_setup_commands"] if ".bashrc" in c)
    assert "RAY_AUTH_MODE=token" in exported


def test_the_head_drives_and_shows_its_dashboard_to_itself_alone(cluster: Config) -> None:
    options = start_options(cluster["head_start_ray_commands"])

    assert options["num-cpus"] == "0"
    assert options["dashboard-host"] == "127.0.0.1"


def test_a_node_that_falls_silent_is_noticed_within_half_a_minute(cluster: Config) -> None:
    system = json.loads(start_options(cluster["head_start_ray_commands"])["system-config"])

    silence = system["grpc_client_keepalive_time_ms"] + system["grpc_client_keepalive_timeout_ms"]
    assert silence <= 30_000


def test_the_file_says_what_cannot_stand_in_it() -> None:
    comments = FILE.read_text(encoding="utf-8").partition("cluster_name")[0]

    assert "export RAY_UP_enable_autoscaler_v2=0" in comments
    assert "ssh USER@WORKER .ffl_env/bin/ray stop" in comments


def test_the_file_that_is_run_in_tests_is_this_one_but_for_what_a_user_edits_and_wheels() -> None:
    config = read()

    made = accept(derived_local(config, "10.0.0.1", ["10.0.0.2"]))

    whole = accept(config)
    same = whole.keys() - MAY_DIFFER - {"available_node_types", "max_workers"}
    resolved = {
        name for name in same if "setup_commands" not in name and "ray_commands" not in name
    }
    assert {name: made[name] for name in resolved} == {name: whole[name] for name in resolved}
    for role in ("head", "worker"):
        name = f"{role}_start_ray_commands"
        assert made[name][0] == config[name][0]
        assert config[name][1] in made[name][1]
    assert made["file_mounts"].items() >= whole["file_mounts"].items()


BROKEN: dict[str, tuple[Callable[[Config], object], str]] = {
    "a misspelt setting": (
        lambda c: c.update(rsync_excludes=[]),
        "'rsync_excludes' was unexpected",
    ),
    "workers that are no list": (
        lambda c: c["provider"].update(worker_ips="192.0.2.11"),
        "is not of type 'array'",
    ),
    "a command that is no text": (
        lambda c: c["setup_commands"].append({"run": "pip"}),
        "is not of type 'string'",
    ),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_ray_refuses(change: Callable[[Config], object], message: str) -> None:
    config = copy.deepcopy(read())
    change(config)

    with pytest.raises(Exception, match=message):
        accept(config)


def test_the_page_shows_the_commands_that_make_test_cluster_runs() -> None:
    shown = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    lines = (ROOT / "clusters" / "local.md").read_text(encoding="utf-8").splitlines()

    commands = [line for line in lines if line.startswith("$ ")]
    assert len(commands) == 10
    assert "\n".join(commands) in shown
