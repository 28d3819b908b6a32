"""What can't work is refused before it starts, with numbers and the flag to change."""

from __future__ import annotations

import pytest

from ffl_ray.errors import PlanError
from ffl_ray.planning.forecast import Forecast
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.limits import (
    CONTEXT_BYTES,
    PROCESS_BYTES,
    Node,
    Room,
    check_disk,
    check_memory,
    check_storage,
    gigabytes,
    is_shared,
    worker_room,
)

GB = 10**9
MOUNTS = (
    "/dev/sda1 / ext4 rw 0 0\n"
    "server:/home /home nfs4 rw 0 0\n"
    "/dev/sdb1 /home/me/scratch xfs rw 0 0\n"
    "//nas/lab /mnt/my\\040lab cifs rw 0 0\n"
    "s3fs /mnt/bucket fuse.s3fs rw 0 0\n"
)
HERE, AWAY, HEAD = Node(True, 8, 0), Node(False, 8, 0), Node(True, 0, 0)


def forecast(memory_bytes: list[int], disk_bytes: int = 0, at_once: int = 4) -> Forecast:
    return Forecast(20, at_once, None, 1.0, disk_bytes, 2 * GB, memory_bytes, (1, 2))


@pytest.mark.parametrize(
    ("path", "shared"),
    [
        ("/tmp/results", False),
        ("/home/me/results", True),
        ("/home/me/scratch/results", False),
        ("/homes/me", False),
        ("/mnt/my lab/results", True),
        ("/mnt/bucket", True),
    ],
)
def test_a_path_is_shared_when_the_nearest_mount_above_it_is_a_network_file_system(
    path: str, shared: bool
) -> None:
    assert is_shared(path, MOUNTS) is shared


@pytest.mark.parametrize("nodes", [[HERE, AWAY], [HEAD, AWAY], [HEAD, AWAY, AWAY]])
def test_a_local_disk_is_refused_where_other_nodes_run_trials(nodes: list[Node]) -> None:
    with pytest.raises(
        PlanError,
        match=r"--storage-path /tmp/x is on a disk of this machine, and [12] other nodes? of the "
        r"cluster can run trials and not see it: use a folder on NFS .* s3://BUCKET/studies",
    ):
        check_storage("/tmp/x", True, nodes, MOUNTS)


@pytest.mark.parametrize(
    ("location", "is_local", "nodes"),
    [
        ("/tmp/x", True, [HERE]),
        ("/tmp/x", True, [HERE, Node(False, 0, 0)]),
        ("/home/me/x", True, [HERE, AWAY]),
        ("s3://bucket/x", False, [HERE, AWAY]),
    ],
)
def test_storage_that_every_node_sees_is_accepted(
    location: str, is_local: bool, nodes: list[Node]
) -> None:
    check_storage(location, is_local, nodes, MOUNTS)


@pytest.mark.parametrize(
    ("plan", "nodes", "expected"),
    [
        (Plan(2, 1, 1, 0), [Node(True, 2, 0, 10 * GB, 20 * GB)], (4.5, False, 9)),
        (Plan(4, 1, 4, 0), [Node(True, 8, 0, 10 * GB, 0), Node(False, 4, 0, 3 * GB, 0)],
         (3, False, 10)),
        (Plan(2, 1, 4, 0), [Node(True, 0, 0, 1 * GB, 0), Node(False, 8, 0, 8 * GB, 0)],
         (4, False, 8)),
        (Plan(4, 1, 4, 1), [Node(True, 8, 2, 1 * GB, 1 * GB, 80 * GB)], (80, True, 80)),
        (Plan(4, 1, 4, 0.25), [Node(True, 8, 2, 1 * GB, 1 * GB, 80 * GB)], (20, True, 80)),
        (Plan(1, 2, 4, 1), [Node(False, 8, 1, 1 * GB, 0, g * GB) for g in (40, 24)],
         (24, True, 24)),
    ],
)  # fmt: skip
def test_each_worker_has_its_share_of_memory(
    plan: Plan, nodes: list[Node], expected: tuple[float, bool, float]
) -> None:
    share, on_gpu, alone = expected

    found = worker_room(plan, nodes)

    beside = CONTEXT_BYTES if on_gpu else PROCESS_BYTES
    assert found == Room(int(share * GB) - beside, on_gpu, int(alone * GB) - beside)


@pytest.mark.parametrize("gpus", [0, 1])
def test_memory_that_nobody_knows_refuses_nothing(gpus: int) -> None:
    has = worker_room(Plan(1, 1, 1, gpus), [Node(True, 4, 1)])

    assert has.bytes is None
    assert check_memory(forecast([10**15]), has) == 0


def test_configs_that_do_not_fit_are_counted_when_some_do() -> None:
    has = Room(5 * GB, False, 9 * GB)

    assert check_memory(forecast([1 * GB, 5 * GB, 6 * GB, 8 * GB]), has) == 2


@pytest.mark.parametrize(
    ("needed", "has", "message"),
    [
        (6 * GB, Room(2 * GB, False, 14 * GB),
         "smallest of 1 sampled configs needs 6.0 GB of memory for each worker, and there are "
         "2.0 GB with 4 trials at once: use --max-concurrent-trials 2, or a smaller "
         "optim.batch_size"),
        (60 * GB, Room(2 * GB, False, 14 * GB), "2.0 GB with .*: use a smaller optim.batch_size or "
         "smaller backbones, or --num-workers"),
        (6 * GB, Room(4 * GB, True, 16 * GB),
         "needs 6.0 GB of GPU memory .* 4.0 GB .*: use --gpus-per-trial 1"),
        (1 * GB, Room(-5, True, 0), "there are 0 kB"),
    ],
)  # fmt: skip
def test_a_space_whose_smallest_config_does_not_fit_is_refused(
    needed: int, has: Room, message: str
) -> None:
    with pytest.raises(PlanError, match=message):
        check_memory(forecast([needed]), has)


def test_a_disk_that_is_too_small_is_refused() -> None:
    needs = forecast([1], disk_bytes=30 * GB)

    check_disk(needs, 30 * GB, "/data")
    check_disk(needs, None, "s3://bucket")
    with pytest.raises(
        PlanError,
        match="may take 30.0 GB at /data, and 12.5 GB are free there .a checkpoint is up to "
        "2.0 GB.: use a --storage-path with more room, fewer --max-concurrent-trials or a smaller "
        "search.keep_checkpoints",
    ):
        check_disk(needs, int(12.5 * GB), "/data")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 kB"), (1500, "2 kB"), (2.5e6, "2.5 MB"), (1.04e9, "1.0 GB"), (3e12, "3.0 TB")],
)
def test_bytes_are_shown_in_a_unit_that_suits_them(count: float, text: str) -> None:
    assert gigabytes(count) == text
