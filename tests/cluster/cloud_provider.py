"""Ray's way to the small cloud of `cloud.py`: what `provider.type: external` names."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.node_provider import NodeProvider

GONE: dict[str, Any] = {"tags": {}, "address": ""}


class CloudProvider(NodeProvider):
    """Machines over HTTP; `provider_config` holds the address as `api`."""

    def _call(self, operation: str, **arguments: Any) -> Any:
        body = json.dumps({"operation": operation, **arguments}).encode()
        asked = urllib.request.Request(self.provider_config["api"], body, method="POST")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)

    def _node(self, node_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call("list").get(node_id, GONE)
        return found

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        return [
            number
            for number, node in self._call("list").items()
            if tag_filters.items() <= node["tags"].items()
        ]

    def is_running(self, node_id: str) -> bool:
        return self._node(node_id) is not GONE

    def is_terminated(self, node_id: str) -> bool:
        return not self.is_running(node_id)

    def node_tags(self, node_id: str) -> dict[str, str]:
        tags: dict[str, str] = self._node(node_id)["tags"]
        return tags

    def external_ip(self, node_id: str) -> str:
        address: str = self._node(node_id)["address"]
        return address

    def internal_ip(self, node_id: str) -> str:
        return self.external_ip(node_id)

    def create_node(self, node_config: dict[str, Any], tags: dict[str, str], count: int) -> None:
        try:
            self._call("create", config=node_config, tags=tags, count=count)
        except urllib.error.HTTPError as error:
            raise NodeLaunchException(json.load(error), "out of stock", None) from error

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        self._call("tag", number=node_id, tags=tags)

    def terminate_node(self, node_id: str) -> None:
        self._call("terminate", number=node_id)

    @staticmethod
    def bootstrap_config(cluster_config: dict[str, Any]) -> dict[str, Any]:
        return cluster_config
