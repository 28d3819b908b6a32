"""How many trials share one GPU: as many as make the study faster, and no more."""

from __future__ import annotations

from collections.abc import Mapping

from ffl_ray.planning.limits import PROCESS_BYTES

COUNTS = (1, 2, 4, 8)
# Less is within what a second measurement would differ by, and costs memory and CPUs.
LEAST_GAIN = 1.05


def counts_that_fit(
    memory_bytes: int, gpu_memory_bytes: int | None, cpus_per_gpu: float, num_samples: int
) -> list[int]:
    """Counts of trials on one GPU that are worth measuring.

    Args:
        memory_bytes: of the trial that needs most.
        gpu_memory_bytes: free on the fullest GPU; none when not known.
        cpus_per_gpu: each trial needs one to feed the GPU.
        num_samples: trials in all.
    """
    room = gpu_memory_bytes or 0
    return [
        count
        for count in COUNTS
        if count == 1
        or (
            count * (memory_bytes + PROCESS_BYTES) <= room
            and count <= cpus_per_gpu
            and count <= num_samples
        )
    ]


def best_count(rates: Mapping[int, float]) -> int:
    """The count of trials at once that trains most images a second, over all of them.

    A larger count must be `LEAST_GAIN` times as fast as the best smaller one.

    Args:
        rates: images per second over all trials, by count.
    """
    best = min(rates)
    for count in sorted(rates):
        if rates[count] >= LEAST_GAIN * rates[best]:
            best = count
    return best
