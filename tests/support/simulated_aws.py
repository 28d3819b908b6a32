"""`ray up`, a worker of each type and `ray down` from a cluster file, on a simulated AWS (moto).

A script, since it changes its process's environment: what it saw is printed as JSON. AWS's answers
are moto's; what would run on a machine by SSH or rsync is written down in place of it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

ANSWERS = {
    ".Config.Env": b'["HOME=/home/ray"]',
    "printenv HOME": b"/home/ray",
    "command -v docker": b"/usr/bin/docker",
    "/proc/meminfo": b"MemAvailable: 16000000 kB",
    "info -f": b"map[nvidia:{nvidia-container-runtime}]",
}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "simulated",
    "AWS_SECRET_ACCESS_KEY": "simulated",
    "AWS_DEFAULT_REGION": "us-west-2",
    "AWS_EC2_METADATA_DISABLED": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "true",
}


class Remote:
    """In place of the way to a machine: commands are kept, and answered if need be."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def run(self, command: list[str], *_: Any, **__: Any) -> bytes:
        text = " ".join(command)
        started = any("docker run" in earlier for earlier in self.commands)
        self.commands.append(text)
        if ".State.Running" in text:
            return b"true" if started else b"false"
        return next((answer for part, answer in ANSWERS.items() if part in text), b"")


def new_home() -> Path:
    """A user's home with the two files that the launcher copies from it."""
    home = Path(tempfile.mkdtemp(prefix="simulated-aws-"))
    for name, text in {".ssh/config": "", ".ray/auth_token": "x" * 64}.items():
        (home / name).parent.mkdir()
        (home / name).write_text(text)
    return home


def set_values(config: dict[str, Any], ec2: Any, iam: Any) -> str:
    """Fill in what docs/cluster.md tells a user to; the security group's id."""
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="ffl-ray", Description="d", VpcId=vpc)["GroupId"]
    inside = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    ssh = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": "198.51.100.7/32"}],
    }
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[inside, ssh])
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    iam.create_role(RoleName="ffl-ray-worker", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="ffl-ray-worker")
    iam.add_role_to_instance_profile(
        InstanceProfileName="ffl-ray-worker", RoleName="ffl-ray-worker"
    )
    for node_type in config["available_node_types"].values():
        node_type["node_config"].update(ImageId=image, SecurityGroupIds=[group])
    return str(group)


def machines(ec2: Any) -> list[dict[str, Any]]:
    """Every machine that was ever started, as AWS describes it."""
    found = []
    for reservation in ec2.describe_instances()["Reservations"]:
        for machine in reservation["Instances"]:
            tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
            disks = [disk["Ebs"]["VolumeId"] for disk in machine["BlockDeviceMappings"]]
            volumes = ec2.describe_volumes(VolumeIds=disks)["Volumes"] if disks else []
            found.append(
                {
                    "node": tags.get("ray-user-node-type"),
                    "kind": tags.get("ray-node-type"),
                    "cluster": tags.get("ray-cluster-name"),
                    "type": machine["InstanceType"],
                    "market": machine.get("InstanceLifecycle", "on-demand"),
                    "state": machine["State"]["Name"],
                    "image": machine["ImageId"],
                    "groups": [group["GroupId"] for group in machine["SecurityGroups"]],
                    "profile": machine.get("IamInstanceProfile", {}).get("Arn", "").split("/")[-1],
                    "tokens": machine.get("MetadataOptions", {}).get("HttpTokens"),
                    "disks": [[volume["Size"], volume["VolumeType"]] for volume in volumes],
                }
            )
    return found


def open_to_the_world(ec2: Any) -> list[str]:
    """Names of the used or made security groups that let anybody in."""
    found = []
    for group in ec2.describe_security_groups()["SecurityGroups"]:
        for rule in group["IpPermissions"]:
            anybody = [r["CidrIp"] for r in rule["IpRanges"]] + [
                r["CidrIpv6"] for r in rule.get("Ipv6Ranges", [])
            ]
            if {"0.0.0.0/0", "::/0"} & set(anybody):
                found.append(group["GroupName"])
    return found


def life(source: Path, *, as_it_is: bool) -> dict[str, Any]:
    """A cluster's life, by Ray's own commands."""
    import boto3  # type: ignore[import-untyped]
    import moto
    import ray.scripts.scripts as cli
    import yaml
    from click.testing import CliRunner
    from ray.autoscaler._private.command_runner import SSHCommandRunner
    from ray.autoscaler._private.commands import _bootstrap_config
    from ray.autoscaler._private.providers import _get_node_provider
    from ray.autoscaler._private.util import prepare_config

    remote = Remote()

    def call(command: Any, *options: str) -> dict[str, Any]:
        started = time.time()
        with patch.object(SSHCommandRunner, "_run_helper", lambda _, *a, **k: remote.run(*a, **k)):
            done = CliRunner().invoke(command, [*options, "--yes"])
        error = "" if done.exception is None else repr(done.exception)
        return {
            "status": done.exit_code,
            "output": done.output[-4000:] + error,
            "seconds": time.time() - started,
        }

    with moto.mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        ec2, iam = boto3.client("ec2"), boto3.client("iam")
        config = yaml.safe_load(source.read_text(encoding="utf-8"))
        group = "" if as_it_is else set_values(config, ec2, iam)
        file = Path.home() / "cluster.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        seen: dict[str, Any] = {"group": group}
        seen["up"] = call(cli.up, str(file), "--no-config-cache")
        seen["commands"] = list(remote.commands)
        seen["after_up"] = machines(ec2)
        if not seen["up"]["status"]:
            # What the autoscaler on the head does when trials wait for a GPU.
            made = _bootstrap_config(
                prepare_config(yaml.safe_load(file.read_text())), no_config_cache=True
            )
            provider = _get_node_provider(made["provider"], made["cluster_name"])
            for name, node_type in made["available_node_types"].items():
                if name != made["head_node_type"]:
                    tags = {
                        "ray-node-type": "worker",
                        "ray-user-node-type": name,
                        "ray-node-name": "worker",
                        "ray-node-status": "uninitialized",
                    }
                    provider.create_node(node_type["node_config"], tags, 1)
            seen["with_workers"] = machines(ec2)
            seen["open"] = open_to_the_world(ec2)
            seen["down"] = call(cli.down, str(file))
        seen["after_down"] = machines(ec2)
        return seen


def main() -> None:
    """Print what was seen. With --as-it-is the user has filled in nothing."""
    os.environ.update(ENVIRONMENT, HOME=str(new_home()))
    source = Path(sys.argv[1]).resolve()
    os.chdir(source.parent)
    seen = life(source, as_it_is="--as-it-is" in sys.argv)
    sys.stdout.write("\n" + json.dumps(seen) + "\n")
    sys.stdout.flush()
    # The launcher's threads would keep this process.
    os._exit(0)


if __name__ == "__main__":
    main()
