"""Tasks that want a GPU each, one after the other on each: `python gpu_work.py COUNT SECONDS`."""

from __future__ import annotations

import sys
import time

import ray


@ray.remote(num_gpus=1, num_cpus=1, max_retries=3)
def work(seconds: float) -> str:
    time.sleep(seconds)
    return str(ray.get_runtime_context().get_node_id())


def main(count: int, seconds: float) -> None:
    """Run them, and say how many nodes they ran on."""
    ray.init(address="auto", log_to_driver=False)
    begun = time.monotonic()
    nodes = ray.get([work.remote(seconds) for _ in range(count)])
    took = time.monotonic() - begun
    sys.stdout.write(f"{count} tasks on {len(set(nodes))} nodes in {took:.0f} s\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
