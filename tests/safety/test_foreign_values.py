"""Files that are whole and hold what no writer wrote are refused in one line, or read rightly."""

from __future__ import annotations

import contextlib
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from support.confirmations import planned
from support.studies import make_study

from benchmarks.stress.fuzzing.structures import strange_json
from ffl_ray import predict, results
from ffl_ray.config.objectives import parse_objectives
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config
from ffl_ray.confirm.confirmation import KIND, Confirmation
from ffl_ray.console.result_tables import best_table, members_table
from ffl_ray.console.terminal import make_console
from ffl_ray.errors import ExportError, FFLRayError, StudyError
from ffl_ray.exported.about import KEY, About, parse_about
from ffl_ray.report.__main__ import main as report
from ffl_ray.results.guard import understood
from ffl_ray.results.history import past_trials
from ffl_ray.results.schema import config_columns
from ffl_ray.results.storage.storage import COPIES
from ffl_ray.search.warm_start import PriorTrial, WarmStart

few = settings(max_examples=60, derandomize=True, deadline=None, database=None)
RANDOM = st.randoms(use_true_random=False)
ABOUT = About(
    "fused", json.loads(json.dumps(flatten(Config()))), (1, 8, 8), ("a", "b"), (0.5,), (0.5,)
)
Change = Callable[[pa.Table], pa.Table]


def with_column(name: str, value: Any, kind: pa.DataType | None = None) -> Change:
    """A table in which every row has this value."""

    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index(name)
        return table.set_column(place, name, pa.array([value] * len(table), kind))

    return change


def twice(name: str) -> Change:
    return lambda table: table.append_column(name, table[name])


TIME = pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("trials", twice("model.mix"), "exists 2 times in schema"),
        ("epochs", twice("trial_id"), "exists 2 times in schema"),
        ("trials", with_column("error", [{"a": 1}]), "Unsupported cast from list"),
        (
            "trials",
            with_column("epochs_done", 10**13),
            r"epochs_done must be from 0 to .*, not 100",
        ),
        ("epochs", with_column("epoch", -1), "epoch must be from 0 to 10000000, not -1"),
        ("members", with_column("macs", 2**62), "macs must be from"),
        ("epochs", with_column("time", 2**62, TIME), "time must be from"),
        ("trials", with_column("started", -(2**62), TIME), "started must be from"),
    ],
)
def test_a_table_that_no_writer_wrote_is_refused_in_one_line(
    table: str, change: Change, said: str, tmp_path: Path
) -> None:
    make_study(tmp_path)
    for path in (tmp_path / table).glob("*.parquet"):
        pq.write_table(change(pq.read_table(path, use_threads=False)), path)

    with pytest.raises(StudyError, match=said) as refused:
        results.load(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_parameters_of_any_shape_and_rows_without_numbers_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = make_study(tmp_path)
    rows = [dict(row) for row in tables.trials.rows]
    members = [dict.fromkeys(row) | {"checkpoint": "latest"} for row in tables.member_rows()]
    for row in rows:
        row["distill.temperature"] = None
    make_console().print(best_table(rows, parse_objectives(["fused.accuracy"])))
    make_console().print(members_table([row | {"member": "x"} for row in members]))
    path = tmp_path / "trials" / "part-00000.parquet"
    nested = json.dumps(
        {"num_branches": 2, "seed": {"a": [1, {"b": None}]}, "fusion.design": [[1]]}
    )
    kind = {"name": "x", "attributes": {"choices": [[{}], []]}}
    kinds = dict.fromkeys(json.loads(nested), kind)
    table = pq.read_table(path, use_threads=False)
    table = with_column("params", nested)(table)
    pq.write_table(with_column("distributions", json.dumps(kinds))(table), path)

    assert report([str(tmp_path), "--format", "md"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\| fusion.design +\| \{\}, none +\| 1 ", shown)
    with pytest.raises(StudyError, match="values that no study has"):
        results.optuna_study(str(tmp_path))


def model_of(place: Path, node: Any, inputs: int = 1) -> None:
    """An ONNX file that says of itself what an export says, and computes something else."""
    shape: list[str | int | None] = ["n", 1, 8, 8]
    known = [
        helper.make_tensor_value_info(f"i{i}", TensorProto.FLOAT, shape) for i in range(inputs)
    ]
    weights = [
        numpy_helper.from_array(np.array([-1, 2], np.int64), "shape"),
        numpy_helper.from_array(np.array([-1, 64], np.int64), "flat"),
        numpy_helper.from_array(np.ones((64, 2), np.float32), "weight"),
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
    ]
    nodes = [
        helper.make_node("Reshape", ["i0", "flat"], ["x"]),
        helper.make_node("MatMul", ["x", "weight"], ["logits"]),
        node,
    ]
    graph = helper.make_graph(nodes, "g", known, [onnx.ValueInfoProto(name="y")], weights)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    helper.set_model_props(model, {KEY: ABOUT.dump()})
    (place / "model.onnx").write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("node", "inputs", "said"),
    [
        (helper.make_node("ReduceMean", ["logits"], ["y"], keepdims=0), 1, "of shape"),
        (helper.make_node("Shape", ["logits"], ["y"]), 1, "gives int64 of shape"),
        (helper.make_node("Cast", ["logits"], ["y"], to=TensorProto.STRING), 1, "gives object"),
        (helper.make_node("Concat", ["logits", "logits"], ["y"], axis=1), 1, "of shape [1, 4]"),
        (helper.make_node("Div", ["logits", "zero"], ["y"]), 1, "not finite"),
        (helper.make_node("SequenceConstruct", ["logits"], ["y"]), 1, "gives float32 of shape"),
        (helper.make_node("Identity", ["logits"], ["y"]), 2, "can't be run (ValueError"),
        (helper.make_node("NoSuch", ["logits"], ["y"]), 1, "can't be read"),
        (helper.make_node("Reshape", ["logits", "flat"], ["y"]), 1, "can't be run"),
    ],
)
def test_an_onnx_file_that_gives_no_logits_is_one_line(
    node: Any, inputs: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((8, 8), 99, np.uint8)).save(tmp_path / "image.png")
    model_of(tmp_path, helper.make_node("Identity", ["logits"], ["y"]))
    assert predict.main([str(tmp_path), str(tmp_path / "image.png")]) == 0
    capsys.readouterr()
    model_of(tmp_path, node, inputs)

    assert predict.main([str(tmp_path), str(tmp_path / "image.png")]) == 2

    shown = capsys.readouterr().err
    assert said in shown
    assert len(shown.splitlines()) == 1


@few
@given(RANDOM)
def test_any_description_of_a_model_is_read_as_one_or_refused(rng: random.Random) -> None:
    changed = strange_json(rng, json.loads(ABOUT.dump()))

    with contextlib.suppress(ExportError):
        about = parse_about(json.dumps(changed), "config.json")
        assert all(isinstance(name, str) for name in about.classes)
        assert len(about.mean) == len(about.std) == about.image_shape[0] > 0


WARM = WarmStart(((PriorTrial({"seed": 3}, 0.5),),), {})
ROW = config_columns(Config()) | {
    "trial_id": "00000", "status": "running", "objective_values": [0.5], "sampler_state": "{}",
    "params": '{"seed": 1, "fusion.design": "sum"}',
    "distributions": json.dumps({
        "seed": {"name": "IntDistribution",
                 "attributes": {"low": 0, "high": 9, "step": 1, "log": False}},
        "fusion.design": {"name": "CategoricalDistribution", "attributes": {"choices": ["sum"]}},
    }),
}  # fmt: skip
PLAN = json.loads(json.dumps({"kind": KIND, "settings": {}, **planned().dump()}, default=str))


@few
@given(RANDOM)
def test_any_rows_plan_or_warm_start_is_read_or_refused_in_one_line(rng: random.Random) -> None:
    texts = {name: strange_json(rng, json.loads(ROW[name])) for name in ("params", "distributions")}
    row = ROW | {name: json.dumps(value) for name, value in texts.items()}
    readers: tuple[Callable[[], Any], ...] = (
        lambda: past_trials([row, *([row] * rng.randrange(2))], {}),
        lambda: Confirmation.load(strange_json(rng, PLAN), "place").final_runs,
        lambda: WarmStart.load(json.dumps(strange_json(rng, json.loads(WARM.dump()))).encode()),
    )
    for read in readers:
        said = ""
        try:
            with understood("it"):
                read()
        except FFLRayError as error:
            said = str(error)
        assert "\n" not in said


def test_a_copy_of_a_part_is_held_to_the_same_rules(tmp_path: Path) -> None:
    make_study(tmp_path)
    for folder in (tmp_path, tmp_path / COPIES):
        path = folder / "trials" / "part-00000.parquet"
        pq.write_table(twice("seed")(pq.read_table(path, use_threads=False)), path)

    with pytest.raises(StudyError, match="2 times"):
        results.load(str(tmp_path))
