"""What TensorBoard, MLflow, W&B and Trackio wrote, read back from their files."""

from __future__ import annotations

import contextlib
import importlib
import json
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def events(folder: Path) -> list[tuple[int, str, float]]:
    """Step, tag and value of every scalar in TensorBoard's event files of a trial."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            found += [
                (event.step, value.tag, value.simple_value)
                for value in event.summary.value
                if value.WhichOneof("value") == "simple_value"
            ]
    return found


def runs(folder: Path, experiment: str) -> dict[str, tuple[Any, Any]]:
    """MLflow's runs of an experiment by name, each with a client that reads it."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    [found] = client.search_experiments(filter_string=f"name = '{experiment}'")
    listed = client.search_runs([found.experiment_id])
    assert len({run.info.run_name for run in listed}) == len(listed)
    return {run.info.run_name: (run, client) for run in listed}


def wandb_records(path: Path) -> Iterator[Any]:
    """The records of an offline run: LevelDB's log format behind seven bytes."""
    messages: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield messages.Record.FromString(whole)
            whole = b""


def wandb_history(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What an offline run logged, and its config."""
    history: list[dict[str, Any]] = []
    config: dict[str, Any] = {}
    for record in wandb_records(path):
        updates = [*record.run.config.update, *record.config.update]
        config |= {u.key or "/".join(u.nested_key): json.loads(u.value_json) for u in updates}
        items = record.history.item
        if items:
            history.append(
                {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items}
            )
    return history, config


def trackio_history(
    path: Path,
) -> tuple[dict[str, list[tuple[int, float, float]]], dict[str, dict[str, Any]]]:
    """Of each run in a Trackio project: step, lr and a branch's loss of every epoch; its config."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        rows = database.execute("select run_name, step, metrics from metrics order by step")
        history: dict[str, list[tuple[int, float, float]]] = {}
        for name, step, text in rows.fetchall():
            found = json.loads(text)
            history.setdefault(name, []).append((step, found["lr"], found["loss.ce_branches.0"]))
        configs = database.execute("select run_name, config from configs").fetchall()
    return history, {name: json.loads(text) for name, text in configs}
