"""A thousand nodes and ten thousand trials on paper: what the plan's costs say of them."""

from __future__ import annotations

from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import SearchConfig
from ffl_ray.planning.driver_load import driver_advice, driver_load
from ffl_ray.planning.forecast import Forecast

TRIALS, AT_ONCE, EPOCHS = 10_000, 1000, 20
EPOCH_SECONDS = (1, 3, 10, 60, 600)
SAMPLERS = ("random", "tpe")


def paper_table() -> str:
    """Share of one driver's time, and what the plan advises, as a markdown table."""
    lines = [
        "| an epoch takes | sampler | reports a second | trials a second | the driver is busy | "
        "the plan says |",
        "|---|---|---|---|---|---|",
    ]
    for epoch_s in EPOCH_SECONDS:
        for sampler in SAMPLERS:
            forecast = Forecast(TRIALS, AT_ONCE, EPOCHS * epoch_s, 1.0, 0, 0, [1], (1, 1))
            search = with_overrides(SearchConfig(), {"sampler": sampler, "num_samples": TRIALS})
            load = driver_load(forecast, search, EPOCHS)
            assert load is not None
            said = driver_advice(forecast, search, EPOCHS) or "nothing"
            lines.append(
                f"| {epoch_s} s | {sampler} | {load.reports_per_s:.1f} | {load.trials_per_s:.2f} | "
                f"{100 * load.busy:.0f}% | {said.rpartition(': ')[2]} |"
            )
    return "\n".join(lines)
