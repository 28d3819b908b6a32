"""Presets: every row as settings that can be trained, and what a smaller run changes in them."""

import pytest
from support.helpers import ROOT

from ffl_ray.config.methods import mix_of, resolved
from ffl_ray.config.settings import Config
from ffl_ray.errors import SettingError
from ffl_ray.models.registry import check_model
from ffl_ray.reproduce.presets import (
    AS_PUBLISHED,
    Departures,
    Scale,
    choose_rows,
    departures,
    find_table,
    preset,
    presets_digest,
)
from ffl_ray.reproduce.published import TABLES
from ffl_ray.reproduce.recipes import COMMON, RECIPES
from ffl_ray.reproduce.rows import Row

ROWS = {(name, row.name): row for name, table in TABLES.items() for row in table.rows}
FFL = ROWS["pcl-cifar100", "resnet-32/ffl-s"]
DML = ROWS["pcl-cifar100", "resnet-32/dml"]


def row(name: str) -> Row:
    return ROWS["pcl-cifar100", name]


@pytest.mark.parametrize("table", TABLES)
def test_every_preset_can_be_trained_and_is_300_epochs_of_everything(table: str) -> None:
    for one in TABLES[table].rows:
        config = preset(one, TABLES[table].data)

        check_model(config)
        assert config.data.name == TABLES[table].data
        assert config.optim.epochs == 300
        assert config.optim.batch_size == 128
        assert config.optim.lr_schedule == ("cosine" if one.method == "mcl" else "step")
        assert config.optim.lr_milestones == (151 / 300 if one.recipe == "one" else 0.5, 0.75)
        assert config.data.fraction == 1
        assert len(set(config.model.mix)) == 1


@pytest.mark.parametrize(
    ("name", "branches", "trunk", "decay", "nesterov", "fill"),
    [
        ("resnet-32/ffl-s", 2, 2, 1e-4, True, "reflect"),
        ("resnet-32/dml", 4, 0, 5e-4, True, "zero"),
        ("resnet-32/cl", 4, 2, 5e-4, True, "zero"),
        ("resnet-32/one", 3, 2, 1e-4, False, "zero"),
        ("resnet-32/okddip", 4, 2, 5e-4, True, "zero"),
        ("resnet-32/kdcl", 3, 0, 1e-4, True, "zero"),
        ("resnet-32/pcl", 3, 2, 5e-4, True, "zero"),
        ("vgg-16/pcl", 3, 4, 5e-4, True, "zero"),
        ("vgg-16/kdcl", 3, 0, 1e-4, True, "zero"),
        ("cmff resnet-32/dccl", 2, 0, 2e-4, True, "reflect"),
        ("ffsd wrn-16-2/ffsd", 3, 0, 1e-4, True, "reflect"),
        ("mcl wrn-16-2/mcl-x4", 4, 0, 5e-4, True, "zero"),
        ("cmff resnet-32/base", 1, 0, 2e-4, True, "reflect"),
    ],
)
def test_a_preset_has_its_sources_settings(
    name: str,
    branches: int,
    trunk: int,
    decay: float,
    nesterov: bool,
    fill: str,
) -> None:
    table, _, row_name = name.rpartition(" ")
    config = preset(ROWS[f"{table or 'pcl'}-cifar100", row_name], "cifar100")

    assert len(config.model.mix) == branches
    assert config.model.trunk_stages == trunk
    assert config.optim.weight_decay == decay
    assert config.optim.fusion_weight_decay == 1e-5  # where a fusion module is
    assert config.optim.nesterov is nesterov
    assert config.data.crop_fill == fill


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("dml", {"dml_teacher": "mean", "detach_targets": False, "temperature": 3, "ramp_up": 0}),
        ("cl", {"ce_weight": 1, "weight": 1, "detach_targets": False, "temperature": 3,
                "ramp_up": 80 / 300}),
        ("kdcl", {"kdcl_teacher": "min_logit", "temperature": 2, "ramp_up": 0}),
        ("okddip", {"temperature": 3, "ramp_up": 80 / 300}),
    ],
)  # fmt: skip
def test_a_preset_has_its_sources_form(name: str, loss: dict[str, object]) -> None:
    distill = preset(row(f"resnet-32/{name}"), "cifar100").distill

    assert {setting: getattr(distill, setting) for setting in loss} == loss


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_preset_is_from_is_in_the_docs_as_the_program_has_it(name: str) -> None:
    recipe = RECIPES[name]

    settings = {**COMMON, **recipe.settings}
    decay, fusion = (settings[f"optim.{of}weight_decay"] for of in ("", "fusion_"))
    decays = f"{decay:g}" if decay == fusion else f"{decay:g} ({fusion:g})"
    shared = "all stages but the last" if recipe.shares else "nothing"
    nesterov = "yes" if settings["optim.nesterov"] else "no"
    lines = (ROOT / "docs" / "methods.md").read_text().splitlines()
    assert f"| `{name}` | {recipe.source} | {recipe.evidence} | {recipe.differs} |" in lines
    words = (shared, decays, nesterov, settings["data.crop_fill"])
    assert f"| `{name}` | {recipe.num_branches} | {' | '.join(map(str, words))} |" in lines
    assert name in {row.recipe for row in ROWS.values()}


def test_a_changed_preset_is_another_study(monkeypatch: pytest.MonkeyPatch) -> None:
    table = TABLES["anchors"]
    before = presets_digest(table)
    changed = RECIPES["ffl"]._replace(settings={"optim.weight_decay": 2e-4})

    monkeypatch.setitem(RECIPES, "ffl", changed)

    assert presets_digest(table) != before
    assert presets_digest(TABLES["pcl-cifar100"]) != presets_digest(table)


def test_the_preset_of_ffl_is_the_authors_program_which_is_the_default() -> None:
    config = preset(FFL, "cifar100")

    assert config.optim == Config().optim
    assert config.distill == resolved(Config()).distill
    assert config.data.crop_fill == "reflect"
    assert config.model.mix == mix_of(Config())
    assert config.distill.ramp_up == 80 / 300
    assert config.distill.temperature == 3


def test_the_backbone_alone_is_a_single_branch() -> None:
    config = preset(ROWS["anchors", "resnet-32/alone"], "cifar100")

    assert config.model.mix == ("resnet32",)
    assert config.distill.method == "independent"


def test_a_shorter_run_has_the_same_share_of_ramp_up_unless_it_is_given() -> None:
    tenth = Scale(epochs=30)

    assert preset(FFL, "cifar100", tenth).distill.ramp_up == 80 / 300
    assert preset(DML, "cifar100", tenth).distill.ramp_up == 0
    given = preset(FFL, "cifar100", tenth, {"distill.ramp_up": 0.5})
    assert given.distill.ramp_up == 0.5
    assert preset(FFL, "cifar100", AS_PUBLISHED, {"optim.epochs": "30"}) == preset(
        FFL, "cifar100", tenth
    )


def test_another_backbone_shares_all_its_stages_but_the_last() -> None:
    config = preset(FFL, "cifar100", Scale(backbone="vgg11"))

    assert config.model.mix == ("vgg11", "vgg11")
    assert config.model.trunk_stages == 4


@pytest.mark.parametrize(
    ("scale", "changes", "words"),
    [
        (AS_PUBLISHED, {}, ""),
        (AS_PUBLISHED, {"data.dir": "/here", "seed": 3, "compute.device": "cpu"}, ""),
        (Scale(epochs=300, fraction=1.0, backbone="resnet32"), {"optim.lr": "0.1"}, ""),
        (Scale(epochs=30), {}, "scaled down to 30 of 300 epochs"),
        (
            Scale(30, 0.5, "resnet8"),
            {},
            "scaled down to 30 of 300 epochs, 0.5 of the images and backbone resnet8",
        ),
        (AS_PUBLISHED, {"optim.epochs": "3"}, "scaled down to 3 of 300 epochs"),
        (AS_PUBLISHED, {"optim.lr": "0.2"}, "changed to optim.lr=0.2"),
        (
            Scale(fraction=0.1),
            {"data.name": "digits"},
            "scaled down to 0.1 of the images, changed to data.name=digits",
        ),
    ],
)
def test_every_departure_is_named(scale: Scale, changes: dict[str, object], words: str) -> None:
    assert departures([FFL], "cifar100", scale, changes).words == words


def test_a_change_of_one_row_of_several_is_a_departure() -> None:
    changes = {"optim.weight_decay": "1e-4"}

    assert departures([FFL], "cifar100", AS_PUBLISHED, changes) == Departures()
    assert departures([FFL, DML], "cifar100", AS_PUBLISHED, changes).changed


def test_rows_are_chosen_by_name_or_pattern_in_the_tables_order() -> None:
    table = TABLES["pcl-cifar100"]

    assert choose_rows(table, []) == table.rows
    chosen = choose_rows(table, ["VGG-16/pcl", "*/dml"])
    assert [one.name for one in chosen] == [
        "resnet-32/dml",
        "resnet-110/dml",
        "vgg-16/dml",
        "vgg-16/pcl",
        "densenet-40-12/dml",
        "wrn-20-8/dml",
    ]
    with pytest.raises(SettingError, match=r"not 'resnet-32/fll'; the nearest known is 'resnet-3"):
        choose_rows(table, ["resnet-32/fll"])


def test_an_unknown_table_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingError, match="not 'pcl-cifar-100'; the nearest .* 'pcl-cifar100'"):
        find_table("pcl-cifar-100")
