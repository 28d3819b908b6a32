"""`cluster.yaml` and `clusters/gcp.yaml` are what Ray accepts and what their comments promise.

Nothing here calls a cloud.
"""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from support.cluster_files import accept, start_options

from ffl_ray.spot import parser

Config = dict[str, Any]

ROOT = Path(__file__).parents[2]
FILES = {"aws": ROOT / "cluster.yaml", "gcp": ROOT / "clusters/gcp.yaml"}
INSTALL = (
    "pip install --no-cache-dir --require-hashes -r ~/ffl_ray/requirements.txt",
    "pip install --no-cache-dir --no-deps --no-build-isolation ~/ffl_ray",
)


def read(cloud: str = "aws") -> Config:
    config: Config = yaml.safe_load(FILES[cloud].read_text(encoding="utf-8"))
    return config


@pytest.fixture(scope="module", params=FILES)
def cluster(request: pytest.FixtureRequest) -> Config:
    return accept(read(request.param))


@pytest.fixture(scope="module")
def aws() -> Config:
    return accept(read("aws"))


@pytest.fixture(scope="module")
def gcp() -> Config:
    return accept(read("gcp"))


def test_zero_to_eight_workers_come_and_go(cluster: Config) -> None:
    spot = cluster["available_node_types"]["gpu_spot"]

    assert (spot["min_workers"], spot["max_workers"], cluster["max_workers"]) == (0, 8, 8)
    assert cluster["idle_timeout_minutes"] == 10


def test_a_stopped_machine_of_aws_costs_nothing(aws: Config) -> None:
    assert aws["provider"]["cache_stopped_nodes"] is False


def test_on_demand_is_the_same_size_and_comes_second(cluster: Config) -> None:
    types = cluster["available_node_types"]
    spot, on_demand = types["gpu_spot"], types["gpu_ondemand"]

    assert (on_demand["min_workers"], on_demand["max_workers"]) == (0, 2)
    assert on_demand["resources"] == spot["resources"] == {"CPU": 4, "GPU": 1}
    assert spot["priority"] > on_demand.get("priority", 0)


def test_on_aws_nothing_but_the_market_differs(aws: Config) -> None:
    types = aws["available_node_types"]
    spot, on_demand = types["gpu_spot"]["node_config"], types["gpu_ondemand"]["node_config"]
    market = {"InstanceMarketOptions": {"MarketType": "spot"}}

    assert on_demand | market == spot
    assert "InstanceMarketOptions" not in on_demand


def test_on_google_cloud_nothing_but_the_scheduling_differs(gcp: Config) -> None:
    types = gcp["available_node_types"]
    spot, on_demand = types["gpu_spot"]["node_config"], types["gpu_ondemand"]["node_config"]
    head = types["head"]["node_config"]
    model = {"provisioningModel": "SPOT", "instanceTerminationAction": "DELETE"}

    assert on_demand["scheduling"] | model == spot["scheduling"]
    assert on_demand | {"scheduling": spot["scheduling"]} == spot
    assert "scheduling" not in head
    # A machine with a GPU can't be moved, and Google refuses one that says otherwise.
    assert on_demand["scheduling"]["onHostMaintenance"] == "TERMINATE"


def test_every_worker_listens_for_the_warning_of_its_cloud() -> None:
    for cloud in FILES:
        (listener,) = [c for c in read(cloud)["worker_start_ray_commands"] if "ffl_ray" in c]
        words = shlex.split(listener.strip("()").removesuffix("&"))

        module = words.index("-m")
        assert words[:3] == ["setsid", "nohup", "python"]
        assert parser().parse_args(words[module + 2 : module + 4]).cloud == cloud


def test_the_head_drives_and_takes_no_work(cluster: Config) -> None:
    head = cluster["available_node_types"][cluster["head_node_type"]]

    assert head["resources"] == {"CPU": 0}
    assert head["max_workers"] == 0
    assert not {"InstanceMarketOptions", "scheduling"} & set(head["node_config"])
    assert start_options(cluster["head_start_ray_commands"])["num-cpus"] == "0"


def test_the_images_hold_the_installed_ray(cluster: Config) -> None:
    image = f"rayproject/ray:{ray.__version__}-py312"

    assert cluster["docker"]["image"] == f"{image}-gpu"
    assert cluster["docker"]["head_image"] == f"{image}-cpu"
    assert "worker_image" not in cluster["docker"]


@pytest.mark.parametrize("role", ["head", "worker"])
def test_every_node_installs_the_locked_versions_and_then_the_package(
    cluster: Config, role: str
) -> None:
    assert tuple(cluster[f"{role}_setup_commands"][:2]) == INSTALL
    assert cluster["file_mounts"]["~/ffl_ray"] == "."
    for node_type in cluster["available_node_types"].values():
        assert "worker_setup_commands" not in node_type


def test_the_upload_leaves_out_nothing_of_the_package(cluster: Config) -> None:
    inside = [pattern for pattern in cluster["rsync_exclude"] if not pattern.startswith("/")]

    assert inside == ["**/__pycache__", "**/.*_cache"]
    assert {"/.git", "/.venv", "/results"} <= set(cluster["rsync_exclude"])


def test_every_node_asks_for_the_token(cluster: Config) -> None:
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "--env RAY_AUTH_MODE=token" in cluster["docker"]["run_options"]


def test_the_dashboard_is_the_heads_own(cluster: Config) -> None:
    assert start_options(cluster["head_start_ray_commands"])["dashboard-host"] == "127.0.0.1"


def test_no_node_falls_back_to_a_network_that_lets_everybody_in() -> None:
    aws, gcp = read("aws"), read("gcp")

    assert "security_group" not in aws["provider"]
    for node_type in aws["available_node_types"].values():
        assert node_type["node_config"]["SecurityGroupIds"]
        assert node_type["node_config"]["MetadataOptions"] == {"HttpTokens": "required"}
    for node_type in gcp["available_node_types"].values():
        (network,) = node_type["node_config"]["networkInterfaces"]
        assert network["subnetwork"].split("/")[-1] != "default"


def test_no_node_falls_back_to_rays_old_disk_image() -> None:
    for node_type in read("aws")["available_node_types"].values():
        node = node_type["node_config"]

        assert node["ImageId"]
        assert node["BlockDeviceMappings"][0]["Ebs"] == {"VolumeSize": 200, "VolumeType": "gp3"}
    for node_type in read("gcp")["available_node_types"].values():
        (disk,) = node_type["node_config"]["disks"]

        assert disk["initializeParams"]["sourceImage"]
        assert disk["initializeParams"]["diskSizeGb"] == 200
        assert disk["autoDelete"]


@pytest.mark.parametrize(
    ("cloud", "name"), [("aws", "IamInstanceProfile"), ("gcp", "serviceAccounts")]
)
def test_only_the_workers_carry_the_right_to_write_results(cloud: str, name: str) -> None:
    types = accept(read(cloud))["available_node_types"]
    carriers = {key for key, node_type in types.items() if name in node_type["node_config"]}

    assert carriers == {"gpu_spot", "gpu_ondemand"}


def test_a_node_that_falls_silent_is_noticed_within_half_a_minute(cluster: Config) -> None:
    system = json.loads(start_options(cluster["head_start_ray_commands"])["system-config"])

    silence = system["grpc_client_keepalive_time_ms"] + system["grpc_client_keepalive_timeout_ms"]
    assert silence <= 30_000


BROKEN: dict[str, tuple[Callable[[Config], object], str]] = {
    "a misspelt setting": (
        lambda c: c.update(idle_timeout_minuts=10),
        "'idle_timeout_minuts' was unexpected",
    ),
    "a misspelt setting of a node type": (
        lambda c: c["available_node_types"]["gpu_spot"].update(min_worker=1),
        "'min_worker' was unexpected",
    ),
    "a count in quotes": (lambda c: c.update(max_workers="8"), "'8' is not of type 'integer'"),
    "more workers at least than at most": (
        lambda c: c["available_node_types"]["gpu_spot"].update(min_workers=9),
        "smaller than the sum of `min_workers`",
    ),
    "a head of no known type": (
        lambda c: c.update(head_node_type="haed"),
        "`head_node_type` must be one of",
    ),
    "a node type without resources": (
        lambda c: c["available_node_types"]["gpu_spot"].pop("resources"),
        "'resources' is a required property",
    ),
    "half a GPU": (
        lambda c: c["available_node_types"]["gpu_spot"]["resources"].update(GPU=0.5),
        "0.5 is not of type 'integer'",
    ),
    "a container without an image": (
        lambda c: c.update(docker={"container_name": "ffl_ray"}),
        "Must provide a container & image name",
    ),
    "a command that is no text": (
        lambda c: c["setup_commands"].append({"run": "pip"}),
        "is not of type 'string'",
    ),
}


@pytest.mark.parametrize("cloud", FILES)
@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_ray_refuses(change: Callable[[Config], object], message: str, cloud: str) -> None:
    config = read(cloud)
    change(config)

    with pytest.raises(Exception, match=message):
        accept(config)
