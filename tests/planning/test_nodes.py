"""What is measured on this machine is measured as a trial will find it."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from ffl_ray.planning.nodes import WORKER_NICENESS, ThisMachine


def niceness(of: str) -> tuple[str, int]:
    return of, os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads elsewhere have no niceness")
def test_a_measurement_gives_way_as_rays_workers_do_and_the_driver_does_not() -> None:
    _, before = niceness("driver")

    named, measured = ThisMachine(1).call(niceness, "trial", cpus=1, gpus=0)

    assert (named, measured) == ("trial", max(before, WORKER_NICENESS))
    assert niceness("driver") == ("driver", before)


def test_what_a_measurement_raises_is_raised() -> None:
    with pytest.raises(TypeError):
        ThisMachine(1).call(niceness, cpus=1, gpus=0)
