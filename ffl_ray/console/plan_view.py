"""The plan of a search as a person sees it, in full or in a few lines; a space's check."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ffl_ray.console.data_text import data_text
from ffl_ray.console.limits_text import Limits, limit_lines, there_text
from ffl_ray.console.terminal import Prose, hours
from ffl_ray.planning.limits import gigabytes
from ffl_ray.planning.preflight import Preflight
from ffl_ray.planning.space_check import SpaceCheck
from ffl_ray.search.points import Point
from ffl_ray.search.ranges import ranges


def plan_table(preflight: Preflight, limits: Limits = Limits()) -> RenderableType:
    """The plan of a study, in full."""
    table = Table(title="plan", title_justify="left", box=None, show_header=False)
    lines: list[tuple[str, RenderableType]] = [
        ("data", Text(data_text(preflight.facts))),
        ("trials", _trials(preflight, limits)),
        ("each trial", _resources(preflight)),
        *([("sharing", Text(preflight.sharing))] if preflight.sharing else []),
        ("expected time", _time(preflight)),
        *_labelled("limit", limit_lines(limits)),
        ("disk", _disk(preflight)),
        ("memory", _memory(preflight)),
        ("parameters", _between(preflight.forecast.parameters)),
    ]
    if preflight.constraints:
        lines.append(("constraints", Text(preflight.constraints)))
    for line in lines:
        table.add_row(*line)
    return Group(table, Text(""), _ranges_table(preflight.sampled), *_warnings(preflight))


def _labelled(label: str, lines: Iterable[str]) -> list[tuple[str, RenderableType]]:
    """Lines of a table under one label, which stands before the first."""
    return [("" if place else label, Text(line)) for place, line in enumerate(lines)]


def plan_lines(preflight: Preflight, trials: int, limits: Limits = Limits()) -> RenderableType:
    """The plan in a few lines.

    Args:
        trials: how many are still to be run.
    """
    data = data_text(preflight.facts).replace("\n", "\n      ")
    return Group(
        Prose(f"data  {data}"),
        Prose(f"plan  {_trials(preflight, limits)}, each with {_resources(preflight)}"),
        *([Prose(f"      {preflight.sharing}")] if preflight.sharing else []),
        Prose(f"      {_time(preflight, trials)}; disk {_disk(preflight)}"),
        *(Prose(f"      {line}") for line in limit_lines(limits)),
        Prose(f"      memory {_memory(preflight)}"),
        *([Prose(f"      {preflight.constraints}")] if preflight.constraints else []),
        *_warnings(preflight),
    )


def check_table(space: str, checked: SpaceCheck) -> RenderableType:
    """The networks that a check of a space found."""
    table = Table(title=f"{space} holds", title_justify="left", box=None, show_header=False)
    sizes = checked.sizes
    image = "x".join(str(side) for side in checked.image)
    for line in (
        ("points", f"{checked.ends} at the ends of ranges, {checked.random:,} at random"),
        ("networks", f"{len(sizes)} distinct, built and run on images of {image}"),
        ("parameters", _between([size.parameters for size in sizes])),
        ("MACs per image", _between([size.macs for size in sizes])),
        ("took", f"{checked.elapsed_s:.1f} s"),
    ):
        table.add_row(*line)
    return table


def _ranges_table(points: list[Point]) -> Table:
    table = Table(title="searched", title_justify="left", box=None, show_header=False)
    for name, text in ranges(points).items():
        table.add_row(name, Text(text))
    return table


def _trials(preflight: Preflight, limits: Limits) -> str:
    at_once = f"{preflight.plan.max_concurrent_trials} at once"
    return f"{preflight.forecast.trials} trials{there_text(limits)}, {at_once}"


def _resources(preflight: Preflight) -> str:
    plan = preflight.plan
    gpus = plan.gpus_per_worker * plan.num_workers
    words = [
        _count(plan.num_workers, "worker"),
        _count(plan.num_workers * plan.cpus_per_worker, "CPU"),
    ]
    if plan.in_one_process:
        return ", ".join([*words, f"{_count(gpus, 'GPU')} in a process that they share"])
    return ", ".join([*words, _count(gpus, "GPU")] if gpus else [*words, "no GPU"])


def _count(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def _time(preflight: Preflight, trials: int | None = None) -> str:
    seconds = preflight.forecast.seconds(trials)
    if seconds is None:
        return "time unknown: no machine was free to measure it"
    share = preflight.forecast.share
    if share == 1:
        return f"about {hours(seconds[1])} if none is pruned"
    pruned, whole = map(hours, seconds)
    of_epochs = f"({share:.0%} of the epochs)"
    if pruned == whole:
        return f"about {whole}, with weak trials pruned {of_epochs} or not"
    return f"about {pruned} with weak trials pruned {of_epochs}, {whole} if none is"


def _disk(preflight: Preflight) -> str:
    free = preflight.free_disk_bytes
    there = "" if free is None else f" of {gigabytes(free)} free"
    return f"at most {gigabytes(preflight.forecast.disk_bytes)}{there}"


def _memory(preflight: Preflight) -> str:
    least, most = preflight.forecast.memory_bytes[0], preflight.forecast.memory_bytes[-1]
    kind = "GPU memory " if preflight.room.on_gpu else ""
    room = preflight.room.bytes
    there = "" if room is None else f" of {gigabytes(room)}"
    return f"{kind}{gigabytes(least)} to {gigabytes(most)}{there} for each worker"


def _between(values: Iterable[int]) -> str:
    low, high = min(values := list(values)), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _warnings(preflight: Preflight) -> list[Prose]:
    count = len(preflight.forecast.memory_bytes)
    lines = []
    if preflight.misfits:
        lines.append(
            f"{preflight.misfits} of {count} sampled configs won't fit the memory: they will fail"
        )
    lines += preflight.advice
    return [Prose(line, style="yellow") for line in lines]
