"""The sharing of one GPU by trials: as many as a measurement shows to be faster, and no more.

They share it in processes of their own, or in one process, a thread each: what is faster.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import torch

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.planning.cost import TrainingCost
from ffl_ray.planning.layout import Machines, Plan, make_plan, most_at_once
from ffl_ray.planning.limits import CONTEXT_BYTES
from ffl_ray.planning.preflight import Preflight
from ffl_ray.planning.throughput import Timed, measure
from ffl_ray.training.turns import Seat, Turns, seated, waiting

COUNTS = (1, 2, 4, 8)
# Less is within what a second measurement would differ by, and costs memory and CPUs.
LEAST_GAIN = 1.05
# A study that takes less is over before sharing would have paid for the measurement.
LEAST_STUDY_S = 600.0
BUDGET_S = 3.0
# First losses of one training, done twice, are apart by less: kernels may add in any order.
SAME_LOSS = 0.1
WHERE = {False: "in processes of their own", True: "in one process"}
LOG = logging.getLogger(__name__)


class CallTogether(Protocol):
    """Calls a function in several processes of one machine at the same time."""

    def __call__(
        self, function: Callable[..., float], *args: Any, count: int, gpus: float
    ) -> list[float] | None:
        """The value of each call; None when no machine was free in time, or could do it.

        Args:
            function: is given, before `args`, a function that waits for all others to call it.
            gpus: share of one and the same for each call.
        """
        ...


class Way(NamedTuple):
    """A way to share a GPU: how many trials, and whether in one process or one each."""

    trials: int
    in_one_process: bool = False


class Shared(NamedTuple):
    """How the trials of a study share GPUs.

    Attributes:
        sharing: what was measured, in words; empty: nothing was.
        slowdown: how many times as long as alone one trains beside the others.
    """

    plan: Plan
    sharing: str = ""
    slowdown: float = 1.0


def shared_plan(
    preflight: Preflight,
    search: SearchConfig,
    find_machines: Callable[[], Machines],
    call_together: CallTogether,
) -> Shared:
    """The plan with as many trials on each GPU, and in the way, as train most images a second.

    The plan stays as it is where the user has said what a trial gets, where a trial has several
    workers, on CPUs, and for a study that is short.
    """
    if preflight.typical is None or not _may_share(preflight, search):
        return Shared(preflight.plan)
    machines = find_machines()
    ways = ways_that_fit(
        round(preflight.forecast.memory_bytes[-1] * preflight.memory_factor),
        preflight.gpu_memory_bytes,
        machines.cpus / machines.gpus,
        most_at_once(search) / machines.gpus,
        search.one_process,
    )
    rates = measured_rates(*preflight.typical, ways, call_together) if len(ways) > 1 else None
    if rates is None:
        return Shared(preflight.plan)
    best = best_way(rates)
    how = {"gpus_per_trial": 1 / best.trials, "one_process": "on" if best.in_one_process else "off"}
    return Shared(
        make_plan(search.model_copy(update=how), machines),
        sharing_text(rates, ways),
        best.trials * rates[Way(1)] / rates[best],
    )


def _may_share(preflight: Preflight, search: SearchConfig) -> bool:
    plan, expected_s = preflight.plan, preflight.forecast.seconds()
    return (
        search.gpus_per_trial is None
        and plan.num_workers == 1
        and plan.gpus_per_worker == 1
        and (expected_s is None or max(expected_s) >= LEAST_STUDY_S)
    )


def ways_that_fit(
    memory_bytes: int,
    gpu_memory_bytes: int | None,
    cpus_per_gpu: float,
    trials_per_gpu: float,
    one_process: str,
) -> list[Way]:
    """Ways of sharing one GPU that are worth measuring; a trial alone is always one.

    Args:
        memory_bytes: of the trial that needs most.
        gpu_memory_bytes: free on the fullest GPU; none when not known.
        cpus_per_gpu: each trial needs one to feed the GPU.
        trials_per_gpu: at once, were they spread evenly. Ray fills a GPU before it takes the
            next, so that with a larger count some would be idle.
        one_process: the setting.
    """
    room = gpu_memory_bytes or 0
    kinds = {"auto": (False, True), "on": (True,), "off": (False,)}[one_process]
    return [Way(1)] + [
        Way(count, in_one_process)
        for count in COUNTS[1:]
        for in_one_process in kinds
        if count * memory_bytes + (1 if in_one_process else count) * CONTEXT_BYTES <= room
        and count <= min(cpus_per_gpu, trials_per_gpu)
    ]


def best_way(rates: Mapping[Way, float]) -> Way:
    """The way in which a GPU trains most images a second, over all its trials.

    A larger count must be `LEAST_GAIN` times as fast as the best smaller one, and so must one
    process be as processes of the same count.

    Args:
        rates: images per second over all trials.
    """
    best = min(rates)
    for way in sorted(rates):
        if rates[way] >= LEAST_GAIN * rates[best]:
            best = way
    return best


def sharing_text(rates: Mapping[Way, float], ways: Sequence[Way] = ()) -> str:
    """What was measured of a GPU, and what is made of it.

    Args:
        ways: that were to be measured.
    """
    best, parts = best_way(rates), [f"alone {rates[Way(1)]:,.0f}"]
    for in_one_process, where in WHERE.items():
        found = [
            f"{w.trials}: {rates[w]:,.0f}"
            for w in sorted(rates)
            if w != Way(1) and w.in_one_process == in_one_process
        ]
        missed = sorted(
            {w.trials for w in ways if w not in rates and w.in_one_process == in_one_process}
        )
        found += [f"{trials}: not measured" for trials in missed]
        parts += [f"{where} {', '.join(found)}"] if found else []
    chosen = f"{best.trials} share it{' in one process' if best.in_one_process else ''}"
    return (
        f"images/s of a GPU: {'; '.join(parts)}: {chosen if best.trials > 1 else 'none share it'}"
    )


def measured_rates(
    config: Config,
    cost: TrainingCost,
    ways: Sequence[Way],
    call_together: CallTogether,
    *,
    device: str = "cuda",
) -> Mapping[Way, float] | None:
    """Images per second of one GPU, over all trainings that share it, by the way they do.

    The trainings wait for each other once they are ready and warm, so that each is timed beside
    the others. Where a count can't be measured (its memory does not do) no larger one is tried in
    the same way.

    Returns:
        None when not even one could be.
    """
    rates: dict[Way, float] = {}
    ended: set[bool] = set()
    for way in sorted(ways):
        if way.in_one_process in ended:
            continue
        given = flatten(config), cost, device
        if way.in_one_process:
            whole = 1 if device == "cuda" else 0
            found = call_together(_rate_of_threads, *given, way.trials, count=1, gpus=whole)
        else:
            share = 1 / way.trials if device == "cuda" else 0
            found = call_together(_rate, *given, count=way.trials, gpus=share)
        if found is None and way == Way(1):
            return None
        if found is None:
            LOG.warning("not measured: %d trainings %s", way.trials, WHERE[way.in_one_process])
            ended.add(way.in_one_process)
        else:
            rates[way] = sum(found)
    return rates


def _rate(
    wait: Callable[[], None], settings: Mapping[str, Any], cost: TrainingCost, device: str
) -> float:
    [timed] = measure([resolved_from(settings)], [cost], 1, device, BUDGET_S, wait)
    return 1 / timed.seconds_per_image


def _rate_of_threads(
    wait: Callable[[], None],
    settings: Mapping[str, Any],
    cost: TrainingCost,
    device: str,
    count: int,
) -> float:
    """Images per second over trainings in threads of this process, which take turns.

    Raises:
        RuntimeError: they are one training, and do not learn the same.
    """
    config, turns, together = resolved_from(settings), Turns(), threading.Barrier(count)

    def meet() -> None:
        with waiting():
            together.wait()

    def timed() -> Timed:
        try:
            with seated(Seat(turns), torch.device(device)):
                return measure([config], [cost], 1, device, BUDGET_S, meet)[0]
        except BaseException:
            together.abort()
            raise

    wait()
    torch.set_num_threads(1)
    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(timed) for _ in range(count)]
    # Who failed comes before those that waited for it.
    found = [one.result() for one in sorted(asked, key=_waited_in_vain)]
    losses = [one.loss for one in found]
    if not max(losses) - min(losses) <= SAME_LOSS or any(map(math.isnan, losses)):
        raise RuntimeError(f"one training in {count} threads has losses of {losses}")
    return sum(1 / one.seconds_per_image for one in found)


def _waited_in_vain(timed: Future[Timed]) -> bool:
    return isinstance(timed.exception(), threading.BrokenBarrierError)
