"""The tables' columns: every setting, with its unit and meaning, as the page says."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.helpers import ROOT
from support.tables import new_study

import ffl_ray.results
from ffl_ray.config.methods import METHODS, resolved, resolved_from
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.results.reader import records
from ffl_ray.results.schema import (
    SCHEMA_VERSION,
    config_columns,
    row_config,
    schema_page,
)
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.writer import (
    AppendedTable,
)


def test_a_column_that_the_schema_lacks_is_an_error(tmp_path: Path) -> None:
    table = AppendedTable(Storage(str(tmp_path)), "epochs")

    with pytest.raises(KeyError, match="table epochs has no column .*'loss.other'"):
        table.append([{"loss.other": 1.0}])


def test_every_setting_is_a_column_and_keeps_its_value(tmp_path: Path) -> None:
    config = with_overrides(Config(), {"model.mix": "wrn16_2+2*resnet20"})
    new_study(tmp_path).start("00000", config)

    row = ffl_ray.results.load(str(tmp_path)).trials.iloc[0]

    assert row["model.mix"] == "2*resnet20+wrn16_2"
    assert row["num_branches"] == 3
    for name, value in config_columns(config).items():
        if value is None:
            assert pd.isna(row[name]), name
        else:
            assert (row[name] == value) if not isinstance(value, list) else list(row[name]) == value


def test_the_config_of_every_method_comes_back_from_its_row(tmp_path: Path) -> None:
    mix = {"model.mix": "4*resnet8"}
    configs = [resolved_from({"distill.method": name} | mix) for name in METHODS]
    study = new_study(tmp_path)
    for number, config in enumerate(configs):
        study.start(f"{number:05}", config)

    rows = records(ffl_ray.results.load(str(tmp_path)).trials)

    assert [resolved(row_config(row)) for row in rows] == configs


def test_units_and_meanings_are_in_the_files(tmp_path: Path) -> None:
    new_study(tmp_path)

    schema = pq.read_schema(tmp_path / "epochs" / "part-00000.parquet")

    assert schema.field("epoch_s").metadata[b"unit"] == b"s"
    assert schema.metadata[b"ffl_ray_schema"] == str(SCHEMA_VERSION).encode()


def test_the_schema_page_says_what_the_code_does() -> None:
    assert (ROOT / "docs" / "schema.md").read_text() == schema_page() + "\n"
