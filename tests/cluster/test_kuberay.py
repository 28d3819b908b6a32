"""The Kubernetes files are what KubeRay and Ray's autoscaler take, and what their comments promise.

Nothing here calls a cluster. KubeRay's own definitions are not part of this repository: where
FFL_RAY_TEST_KUBERAY names a folder with its `ray.io_rayclusters.yaml` and `ray.io_rayjobs.yaml`
(ray-operator/config/crd/bases of its release 1.7), the files are held against them, unknown fields
refused.
"""

from __future__ import annotations

import copy
import json
import os
import shlex
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import ray
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)

from ffl_ray.spot import parser

Tree = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "clusters"
DEFINITIONS = os.environ.get("FFL_RAY_TEST_KUBERAY", "")


def read(name: str) -> Tree:
    tree: Tree = yaml.safe_load((FOLDER / f"kuberay-{name}.yaml").read_text(encoding="utf-8"))
    return tree


def spec_of(name: str) -> Tree:
    """The cluster's own part of either file."""
    spec: Tree = read(name)["spec"]
    return spec if name == "cluster" else spec["rayClusterSpec"]


def groups(spec: Tree) -> dict[str, Tree]:
    return {group["groupName"]: group for group in spec["workerGroupSpecs"]}


def pods(spec: Tree) -> list[Tree]:
    return [g["template"]["spec"] for g in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]]


@pytest.fixture(scope="module")
def spec() -> Tree:
    return spec_of("cluster")


def test_the_job_runs_on_the_same_cluster(spec: Tree) -> None:
    assert spec_of("job") == spec


def test_kind_and_version_are_kuberays() -> None:
    kinds = [(read(name)["apiVersion"], read(name)["kind"]) for name in ("cluster", "job")]

    assert kinds == [("ray.io/v1", "RayCluster"), ("ray.io/v1", "RayJob")]


def test_rays_autoscaler_reads_zero_to_eight_spot_workers_before_two_on_demand(
    spec: Tree,
) -> None:
    cluster = read("cluster")
    cluster["metadata"]["namespace"] = "default"

    config = _derive_autoscaling_config_from_ray_cr(cluster)

    types = config["available_node_types"]
    spot, on_demand, head = types["gpu-spot"], types["gpu-ondemand"], types["headgroup"]
    assert spec["autoscalerOptions"]["version"] == "v2"
    assert config["idle_timeout_minutes"] == 10
    assert head["resources"]["CPU"] == 0
    assert [(t["min_workers"], t["max_workers"]) for t in (spot, on_demand)] == [(0, 8), (0, 2)]
    assert spot["priority"] > on_demand.get("priority", 0)
    for worker in (spot, on_demand):
        assert (worker["resources"]["CPU"], worker["resources"]["GPU"]) == (4, 1)


def test_nothing_but_the_kind_of_node_differs_between_the_two_groups(spec: Tree) -> None:
    spot, on_demand = (
        dict(groups(spec)[name]["template"]["spec"]) for name in ("gpu-spot", "gpu-ondemand")
    )
    for pod in (spot, on_demand):
        del pod["affinity"], pod["tolerations"]

    assert spot == on_demand


@pytest.mark.parametrize(
    ("group", "operator"), [("gpu-spot", "In"), ("gpu-ondemand", "DoesNotExist")]
)
def test_each_group_keeps_to_its_kind_of_node(spec: Tree, group: str, operator: str) -> None:
    pod = groups(spec)[group]["template"]["spec"]
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    ((expression,),) = (term["matchExpressions"] for term in required["nodeSelectorTerms"])
    spot_taint = [t for t in pod["tolerations"] if t["key"] == "cloud.google.com/gke-spot"]

    assert (expression["key"], expression["operator"]) == ("cloud.google.com/gke-spot", operator)
    assert bool(spot_taint) == (group == "gpu-spot")


def test_every_pod_runs_one_image_of_the_installed_ray(spec: Tree) -> None:
    images = {container["image"] for pod in pods(spec) for container in pod["containers"]}

    (image,) = images
    assert spec["rayVersion"] == ray.__version__
    assert image.endswith(f":{ray.__version__}")


def test_whoever_lacks_the_token_is_refused_and_nothing_is_served_outside(spec: Tree) -> None:
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert "enableIngress" not in spec["headGroupSpec"]
    for pod in pods(spec):
        assert not pod.get("hostNetwork")
        assert all("hostPort" not in p for c in pod["containers"] for p in c.get("ports", []))


def test_no_pod_is_root_or_can_become_it(spec: Tree) -> None:
    for pod in pods(spec):
        (container,) = pod["containers"]

        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }


def test_credentials_come_from_an_account_or_a_secret_and_never_from_the_file(spec: Tree) -> None:
    for pod in pods(spec):
        (container,) = pod["containers"]

        assert pod["serviceAccountName"] == "ffl-ray"
        assert container["envFrom"] == [
            {"secretRef": {"name": "ffl-ray-storage", "optional": True}}
        ]
        assert "env" not in container


def test_a_node_that_falls_silent_is_noticed_within_half_a_minute(spec: Tree) -> None:
    # KubeRay puts the value into a shell's command line as it is.
    (text,) = shlex.split(spec["headGroupSpec"]["rayStartParams"]["system-config"])
    system = json.loads(text)

    silence = system["grpc_client_keepalive_time_ms"] + system["grpc_client_keepalive_timeout_ms"]
    assert silence <= 30_000


def test_a_pod_that_must_go_warns_its_trainings_within_the_time_that_it_has(spec: Tree) -> None:
    for group in spec["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        words = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]

        assert words[:3] == ["python", "-m", "ffl_ray.spot"]
        notice_s = parser().parse_args(words[3:]).now
        assert notice_s < 15 < pod["terminationGracePeriodSeconds"]


def test_the_job_ends_its_cluster_and_outlives_a_lost_head() -> None:
    job = read("job")["spec"]

    assert job["shutdownAfterJobFinishes"] is True
    assert job["ttlSecondsAfterFinished"] >= 0
    assert job["backoffLimit"] >= 1
    assert "--name my-search" in job["entrypoint"]  # which makes a second attempt go on


def strict(schema: Any) -> Any:
    """An OpenAPI schema as JSON Schema: fields that it does not name are refused."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {
        key: {name: strict(value) for name, value in inner.items()}
        if key == "properties"
        else strict(inner)
        for key, inner in schema.items()
        if key not in ("description", "default", "format")
    }
    named = "properties" in made and "additionalProperties" not in made
    if named and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    return made


def definition(name: str) -> Tree:
    """KubeRay's definition of the kind of one of the files."""
    file = Path(DEFINITIONS) / f"ray.io_ray{name}s.yaml"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    versions = yaml.load(file.read_text(encoding="utf-8"), loader)["spec"]["versions"]
    (found,) = (v["schema"]["openAPIV3Schema"] for v in versions if v["name"] == "v1")
    made: Tree = strict(found)
    # Kubernetes' own part, which a definition of KubeRay leaves open.
    made["properties"]["metadata"] = {"type": "object"}
    return made


needs_definitions = pytest.mark.skipif(
    not DEFINITIONS,
    reason="FFL_RAY_TEST_KUBERAY names no folder with KubeRay's resource definitions",
)


@needs_definitions
@pytest.mark.parametrize("name", ["cluster", "job"])
def test_kuberay_knows_every_field(name: str) -> None:
    jsonschema.validate(read(name), definition(name))


@needs_definitions
@pytest.mark.parametrize("name", ["cluster", "job"])
def test_kuberays_definition_refuses_a_misspelt_field(name: str) -> None:
    schema, tree = definition(name), read(name)
    inner = tree["spec"] if name == "cluster" else tree["spec"]["rayClusterSpec"]
    group = inner["workerGroupSpecs"][1]
    kept = copy.deepcopy(group)
    group["maxReplica"] = group.pop("maxReplicas")

    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(tree, schema)

    group.clear()
    group.update(kept, template=copy.deepcopy(kept["template"]))
    group["template"]["spec"]["containers"][0]["lifecycle"] = {"prestop": {}}
    with pytest.raises(jsonschema.ValidationError, match="prestop"):
        jsonschema.validate(tree, schema)
