"""A search over fake nodes, as a program of its own: its processes can be told from others.

`python -m benchmarks.stress.scaling.nodes NODES PER_NODE TRIALS EPOCHS FOLDER` writes
FOLDER/moments.json.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ffl_ray.orchestration.ray_setup import prepare_environment


def main() -> None:
    """Settle what Ray reads from the environment, then load it."""
    prepare_environment(local=True)
    from benchmarks.stress.scaling.fake_nodes import measure

    nodes, per_node, trials, epochs = map(int, sys.argv[1:5])
    measure(nodes, per_node, trials, epochs, Path(sys.argv[5]))


if __name__ == "__main__":
    main()
