"""The load on the one driver: every report and every new trial passes through it, one by one."""

from __future__ import annotations

from typing import NamedTuple

from ffl_ray.config.settings import SearchConfig
from ffl_ray.planning.forecast import Forecast
from ffl_ray.search.excerpt import LONG

# CPU seconds of the driver, Tune's own part and ours, by `python -m benchmarks.stress.scale`
# (docs/scale.md).
REPORT_S = 0.005
TRIAL_S = 0.017
# To propose one more trial, for every trial that is there already. TPE proposes from an excerpt of
# a study beyond a thousand trials.
PROPOSE_S = {"nsga2": 8.0e-6, "cmaes": 8.0e-6, "gp": 3.0e-3}
TPE_S = 0.01
# What proposes more slowly than this is told of in the plan.
SLOW_S = 0.02
# A driver that is busier than this makes workers wait for it.
BUSY = 0.5


class DriverLoad(NamedTuple):
    """The work of a study's driver when its last trials run.

    Attributes:
        reports_per_s: epochs that end, over all trials.
        trials_per_s: trials that end, and others that take their places.
        propose_s: what the sampler takes for each of these.
    """

    reports_per_s: float
    trials_per_s: float
    propose_s: float

    @property
    def busy(self) -> float:
        """Share of the driver's time; at 1 more trials at once make nothing faster."""
        return self.reports_per_s * REPORT_S + self.trials_per_s * (TRIAL_S + self.propose_s)

    @property
    def proposing(self) -> float:
        """Share of the driver's time that is the sampler's."""
        return self.trials_per_s * self.propose_s


def driver_load(forecast: Forecast, search: SearchConfig, epochs: float) -> DriverLoad | None:
    """The load that a study will be on its driver; None when nothing was measured.

    Args:
        epochs: planned length of a trial.
    """
    if not forecast.trial_s:
        return None
    trials_per_s = forecast.at_once / (forecast.trial_s * forecast.share)
    reports_per_s = trials_per_s * epochs * forecast.share
    return DriverLoad(reports_per_s, trials_per_s, proposal_s(search))


def proposal_s(search: SearchConfig) -> float:
    """Seconds that the sampler takes to propose a search's last trial."""
    if search.sampler == "tpe":
        return TPE_S
    return PROPOSE_S.get(search.sampler, 0.0) * search.num_samples


def driver_advice(forecast: Forecast, search: SearchConfig, epochs: float) -> str | None:
    """A line with the fix when a study asks more of its driver than that can do; else None."""
    load = driver_load(forecast, search, epochs)
    if load is None or load.busy <= BUSY:
        return _slow_sampler(search)
    most = max(1, int(forecast.at_once * BUSY / load.busy))
    rest = f"--max-concurrent-trials {most}, or several studies"
    if load.proposing > load.busy / 2:
        return (
            f"{search.sampler} takes {load.propose_s:.2g} s to propose a trial after "
            f"{search.num_samples:,}, and {forecast.at_once:,} trials at once need "
            f"{load.trials_per_s:.2g} a second: use --sampler random, {rest}"
        )
    return (
        f"one driver takes about {BUSY / REPORT_S:.0f} reports a second without delay, and "
        f"{forecast.at_once:,} trials at once would send {load.reports_per_s:.0f}: use fewer, "
        f"longer epochs, {rest}"
    )


def _slow_sampler(search: SearchConfig) -> str | None:
    """A line where a sampler's proposals take long, but hold nobody up."""
    seconds = proposal_s(search)
    if seconds <= SLOW_S or search.num_samples <= LONG:
        return None
    return (
        f"{search.sampler} takes {seconds:.2g} s to propose a trial after "
        f"{search.num_samples:,}: --sampler tpe takes {TPE_S} s, random and grid take none"
    )
