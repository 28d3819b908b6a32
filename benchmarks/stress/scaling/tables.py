"""The figures of `scale.json` as the tables of docs/scale.md."""

from __future__ import annotations

from typing import Any

Figures = dict[str, Any]
DRIVER = (
    "| trials so far | sampler | to open | propose | start | an epoch | end | draw the view |",
    "|---|---|---|---|---|---|---|---|",
)
READERS = (
    "| trials | load the tables | as an Optuna study | report | its page | the study's tables |",
    "|---|---|---|---|---|---|",
)
NODES = (
    "| fake nodes, epochs of a trial | actors until the first report | epochs a second | "
    "driver, a report | GCS, a report | GCS | raylets | driver, idle | GCS, idle | raylets, idle |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


def tables(known: Figures) -> str:
    """Markdown tables of what was measured so far."""
    made = {"driver": (DRIVER, driver_row), "readers": (READERS, reader_row),
            "nodes": (NODES, node_row)}  # fmt: skip
    return "\n\n".join(
        "\n".join([*head, *(row(name, figures) for name, figures in known[part].items())])
        for part, (head, row) in made.items()
        if part in known
    )


def driver_row(name: str, figures: Figures) -> str:
    """Milliseconds of the driver's calls."""
    trials, sampler = name.split()
    ms = figures["ms"]
    return (
        f"| {int(trials):,} | {sampler} | {sum(figures['open_s'].values()):.1f} s | "
        f"{ms['ask']:.1f} ms | {ms['start']:.1f} ms | {figures['epoch_ms']:.1f} ms | "
        f"{ms['tell'] + ms['end']:.1f} ms | {ms['view']:.1f} ms |"
    )


def reader_row(name: str, figures: Figures) -> str:
    """Seconds of what a person opens."""
    return (
        f"| {int(name):,} | {figures['load']:.2f} s | {figures['optuna_study']:.2f} s | "
        f"{figures['report']:.1f} s | {figures['report_bytes'] / 1e6:.1f} MB | "
        f"{figures['study_bytes'] / 1e6:.1f} MB |"
    )


def node_row(name: str, figures: Figures) -> str:
    """What a number of nodes costs, idle and at work."""
    memory, idle = figures["memory_mb"], figures["idle_cores"]
    return (
        f"| {name} | {figures['actors_before_first_report']} in "
        f"{figures['first_report_s']:.0f} s | "
        f"{figures['reports_per_s']:.0f} | {figures['driver_ms_per_report']:.1f} ms | "
        f"{figures['gcs_ms_per_report']:.2f} ms | {memory['gcs']:.0f} MB | "
        f"{memory['raylet']:.0f} MB | {100 * idle['driver']:.1f}% | {100 * idle['gcs']:.1f}% | "
        f"{100 * idle['raylet']:.1f}% |"
    )
