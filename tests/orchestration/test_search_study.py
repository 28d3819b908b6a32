"""What is left of a search, from its trials table, which is read once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from support.studies import make_study

from ffl_ray.config.settings import SearchConfig
from ffl_ray.errors import StudyError
from ffl_ray.orchestration.search_study import (
    Search,
    begun,
    limits_of,
    show_outcome,
    wants_plain,
)
from ffl_ray.results.columns import PLAIN
from ffl_ray.results.description import check_goes_on, describe_study
from ffl_ray.results.parts import Parts
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.search.space import load_space, settle


def search_in(place: Path, **changes: object) -> Search:
    space = load_space("digits")
    settings = settle(space, {f"search.{name}": value for name, value in changes.items()})
    return Search("s", Storage(str(place)), space, settings)


def test_the_plain_baseline_is_wanted_until_it_has_begun(tmp_path: Path) -> None:
    search = search_in(tmp_path)
    new = wants_plain(search, begun(search))
    described = describe_study("search", search.kept_settings)
    tables = StudyTables.open(search.storage, "s", described, search.settings.objectives)

    tables.start("00000", search.settings.training, params="{}", distributions="{}")
    one = wants_plain(search, begun(search))
    tables.start("00001", search.settings.training, params="{}", distributions="{}")

    assert (new, one, wants_plain(search, begun(search))) == (True, True, False)
    assert not wants_plain(search_in(tmp_path / "new", plain_baseline=False), [])
    assert not wants_plain(search_in(tmp_path / "new", num_samples=1), [])


def test_a_plan_reads_the_trials_table_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = search_in(tmp_path)
    described = describe_study("search", search.kept_settings)
    StudyTables.open(search.storage, "s", described, search.settings.objectives).close()
    read: list[Parts] = []
    read_all = Parts.read_all

    def noted(parts: Parts, columns: Sequence[str] | None = None) -> list[pa.Table]:
        read.append(parts)
        return read_all(parts, columns)

    monkeypatch.setattr(Parts, "read_all", noted)

    rows = begun(search)
    wants_plain(search, rows)
    limits_of(search, rows)

    assert len(read) == 1


def test_a_search_goes_on_whatever_its_space_says_of_itself(tmp_path: Path) -> None:
    """A study of before keeps a hash of all letters, which is not looked at beside the text."""
    file = tmp_path / "mine.py"
    file.write_text(Path(load_space("digits").path).read_text())
    search = search_in(tmp_path / "s")._replace(space=load_space(str(file)))
    settings = search.kept_settings | {"search_space": "0123456789abcdef"}
    described = describe_study("search", settings, space=file.read_text())
    StudyTables.open(search.storage, "s", described, search.settings.objectives).close()

    file.write_text(f"# Mine.\n{file.read_text()}")
    assert check_goes_on(search.storage, "search", search.kept_settings)

    file.write_text(f"{file.read_text()}\nBASE = {{}}\n")
    with pytest.raises(StudyError, match="search_space"):
        check_goes_on(search.storage, "search", search.kept_settings)


@pytest.mark.parametrize(("accuracy", "said"), [(0.1, "beats the plain"), (0.99, "baseline wins")])
def test_how_the_plain_baseline_did_is_said_once_and_last(
    accuracy: float, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tables = make_study(tmp_path)
    tables.trials.update("00001", baseline=PLAIN, objective_values=[accuracy])

    show_outcome(tables, SearchConfig(num_samples=5), 3.0, started=0.0)

    out = capfd.readouterr().out
    assert out.count("plain baseline") == 1
    assert said in out.splitlines()[-1]
    assert "python -m ffl_ray.confirm says which" in out.splitlines()[-1]
