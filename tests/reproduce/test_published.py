"""The literal tables: numbers as printed, names that are unique, backbones and cost that exist."""

import pytest

from ffl_ray.config.methods import METHODS
from ffl_ray.models.registry import backbone_row
from ffl_ray.planning.cost import DataSize, training_cost
from ffl_ray.reproduce.presets import SEEDS, preset
from ffl_ray.reproduce.published import BACKBONES, TABLES
from ffl_ray.reproduce.recipes import EPOCHS, RECIPES
from ffl_ray.reproduce.rows import Band


@pytest.mark.parametrize(
    ("table", "row", "mean", "std"),
    [
        ("pcl-cifar100", "resnet-32/dml", 73.68, 0.14),
        ("pcl-cifar100", "resnet-32/ffl-s", 72.18, 0.11),
        ("pcl-cifar100", "resnet-110/cl", 78.83, 0.58),
        ("pcl-cifar100", "vgg-16/ffl-s", 70.87, 0.99),
        ("pcl-cifar100", "densenet-40-12/okddip", 71.23, 0.14),
        ("pcl-cifar100", "wrn-20-8/pcl", 80.51, 0.49),
        ("pcl-cifar10", "resnet-32/one", 94.20, 0.12),
        ("pcl-cifar10", "resnet-110/ffl-s", 94.72, 0.06),
        ("pcl-cifar10", "vgg-16/pcl", 94.74, 0.02),
        ("pcl-cifar10", "wrn-20-8/kdcl", 95.27, 0.16),
        ("cmff-cifar100", "resnet-32/base", 70.02, None),
        ("cmff-cifar100", "resnet-32/ffl-branch", 74.44, None),
        ("cmff-cifar100", "resnet-32/okddip", 74.60, None),
        ("cmff-cifar100", "resnet-32/dccl", 75.38, None),
        ("ffsd-cifar100", "resnet-32/ffsd", 74.85, 0.06),
        ("mcl-cifar100", "wrn-40-2/mcl-x4", 78.84, None),
        ("anchors", "resnet-32/alone", None, None),
    ],
)
def test_values_are_those_that_are_printed(
    table: str, row: str, mean: float | None, std: float | None
) -> None:
    (found,) = [one for one in TABLES[table].rows if one.name == row]

    assert (found.mean, found.std) == (mean, std)


def test_a_band_is_two_standard_deviations_or_the_given_range_or_nothing() -> None:
    rows = {(name, row.name): row for name, table in TABLES.items() for row in table.rows}

    band = rows["pcl-cifar100", "resnet-32/ffl-s"].band
    assert band is not None
    assert band == pytest.approx((71.96, 72.40))
    assert rows["anchors", "resnet-32/branch"].band == Band(72.0, 74.5)
    assert rows["anchors", "resnet-32/fused-above-branch"].band == Band(0.0, None)
    assert rows["cmff-cifar100", "resnet-32/base"].band is None


@pytest.mark.parametrize("name", TABLES)
def test_every_row_names_a_method_a_backbone_and_itself(name: str) -> None:
    table = TABLES[name]

    assert table.source
    assert len({row.name for row in table.rows}) == len(table.rows)
    for row in table.rows:
        assert row.method in METHODS
        assert row.recipe in RECIPES
        assert backbone_row(BACKBONES[row.backbone])
        fused = METHODS[row.method].head is not None
        assert fused or "fused" not in row.figure


def test_pcls_tables_have_five_backbones_times_seven_methods() -> None:
    for name in ("pcl-cifar100", "pcl-cifar10"):
        rows = TABLES[name].rows
        assert len(rows) == 35
        assert len({row.backbone for row in rows}) == 5
        assert len({row.method for row in rows}) == 7


def test_a_sub_networks_figure_is_said_to_be_one() -> None:
    for name in ("pcl-cifar100", "pcl-cifar10"):
        for row in TABLES[name].rows:
            if row.label == "FFL-S":
                assert row.figure == "mean_branch"
                assert any("not the fused classifier's" in caution for caution in row.cautions)


def test_what_a_program_does_with_one_backbone_is_said_of_its_rows_alone() -> None:
    rows = TABLES["pcl-cifar10"].rows

    said = [row.name for row in rows if any("one last block" in note for note in row.notes)]

    assert said == ["densenet-40-12/cl", "densenet-40-12/okddip"]


@pytest.mark.parametrize("name", ["anchors", "cmff-cifar100", "ffsd-cifar100", "mcl-cifar100"])
def test_the_listed_cost_is_that_of_the_networks(name: str) -> None:
    table = TABLES[name]
    configs = {preset(row, table.data) for row in table.rows}

    costs = [training_cost(config, DataSize(100, 50_000, 0)).training_macs for config in configs]

    assert round(sum(costs) * 50_000 * EPOCHS * SEEDS / 1e15) == table.peta_macs
