"""What is printed: published beside ours, why there is no verdict, and cautions with their rows."""

import io

from rich.console import Console, RenderableType

from ffl_ray.reproduce.presets import Departures
from ffl_ray.reproduce.published import TABLES
from ffl_ray.reproduce.verdict import Reproduced, reproduced
from ffl_ray.reproduce.view import list_table, patterns, reproduced_table, rows_table

PCL = TABLES["pcl-cifar100"]
RESNETS = PCL.rows[:14]


def text_of(shown: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(shown)
    return out.getvalue()


def held(values: tuple[float, ...], comparable: bool = True) -> list[Reproduced]:
    runs = {seed: {"branch0": value, "branch1": value} for seed, value in enumerate(values)}
    return [reproduced(row, runs, comparable=comparable) for row in RESNETS]


def test_a_row_shows_published_ours_difference_band_and_verdict() -> None:
    lines = text_of(
        reproduced_table("pcl-cifar100", PCL, held((0.721, 0.722, 0.723)), Departures())
    ).splitlines()

    (ffl,) = [line for line in lines if line.startswith("resnet-32/ffl-s ")]
    words = ["72.18 ± 0.11", "72.20 ± 0.25", " 3 ", "+0.02 ± 0.25", "71.96 to 72.40"]
    words.append("undecided: 4 seeds would tell")
    positions = [ffl.index(word) for word in words]
    assert positions == sorted(positions)
    assert not any("scaled down" in line or "seeds" in line.partition(".")[0] for line in lines[:3])


def test_a_scaled_down_run_says_so_and_gives_no_verdict() -> None:
    departed = Departures(("30 of 300 epochs", "0.5 of the images"), ())

    text = text_of(reproduced_table("pcl-cifar100", PCL, held((0.7, 0.7), False), departed))

    first, second, third = text.splitlines()[:3]
    assert first.startswith("pcl-cifar100: ")
    assert second == (
        "scaled down to 30 of 300 epochs and 0.5 of the images: not comparable with the "
        "published value, so no verdict"
    )
    assert third == "2 of 3 seeds"
    table = text.partition("percent, ")[0]
    assert "in band" not in table
    assert table.count("not comparable: no verdict") == len(RESNETS)


def test_cautions_stand_once_each_with_their_rows() -> None:
    text = text_of(reproduced_table("pcl-cifar100", PCL, held((0.7, 0.7)), Departures()))

    assert text.count("bottleneck blocks, [12, 12, 12]") == 1
    assert "resnet-110/*: this ResNet-110 has bottleneck blocks" in text
    assert "*/dml: trained as DefangChen/OKDDip-AAAI2020 at c6a05de, train_DML.py" in text
    assert "*/ffl-s: a sub-network's figure, not the fused classifier's" in text
    assert PCL.source in " ".join(text.split())


def test_rows_are_abbreviated_only_where_all_are_meant() -> None:
    names = ["a/x", "a/y", "b/x", "b/y"]

    assert patterns(["a/x", "b/x"], names) == ["*/x"]
    assert patterns(["a/x", "a/y"], names) == ["a/*"]
    assert patterns(["a/x", "b/y"], names) == ["a/x", "b/y"]
    assert patterns(["a/x", "a/y", "b/x"], names) == ["*/x", "a/y"]
    assert patterns(["a/x"], ["a/x"]) == ["a/x"]


def test_the_list_has_every_table_with_its_trainings() -> None:
    rows = {line.split()[0]: line.split()[1:4] for line in text_of(list_table()).splitlines()[1:7]}

    assert rows == {
        "pcl-cifar100": ["35", "105", "3,892"],
        "pcl-cifar10": ["35", "105", "3,892"],
        "cmff-cifar100": ["9", "24", "178"],
        "ffsd-cifar100": ["5", "15", "280"],
        "mcl-cifar100": ["8", "24", "505"],
        "anchors": ["3", "6", "22"],
    }


def test_a_tables_list_has_every_row_and_where_its_settings_are_from() -> None:
    for name, table in TABLES.items():
        text = text_of(rows_table(name, table))

        assert all(f"\n{row.name} " in text for row in table.rows)
        assert all(f"\n{row.recipe}: trained as " in text for row in table.rows)
