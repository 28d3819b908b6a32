"""Which members a method's authors ship, and which is the whole."""

import pytest
from support.helpers import small_config

from ffl_ray.config.method_checks import check_method
from ffl_ray.config.methods import METHODS, Method, leader_of
from ffl_ray.config.roles import check_roles, role_of, roles_in
from ffl_ray.errors import SettingError

MEMBERS = (
    *("branch0", "branch1", "branch10", "ensemble", "fused"),
    *("mean_teacher0", "mean_teacher1", "averaged"),
)
BRANCHES = ["branch0", "branch1", "branch10"]
# What is shipped, and the whole, of the members that the method has.
PUBLISHED = {
    "ffl": (BRANCHES, "fused"),
    "independent": (BRANCHES, "ensemble"),
    "dml": (BRANCHES, "ensemble"),
    "cl_ilr": (BRANCHES, "ensemble"),
    "one": (BRANCHES, "fused"),
    "kdcl": (BRANCHES, "ensemble"),
    "okddip": (["branch1"], "ensemble"),
    "pcl": (["mean_teacher0", "mean_teacher1"], "fused"),
    "okdph": (["averaged"], "ensemble"),
    "ktg": (["branch1"], "ensemble"),
    "layered_ffl": (BRANCHES, "fused"),
    "ffsd": (["branch1"], "fused"),
    "dccl": (BRANCHES, "fused"),
    "dcm": (BRANCHES, "ensemble"),
    "mcl": (BRANCHES, "ensemble"),
    "ahbf": (["branch0"], "ensemble"),
    "lmcl": (BRANCHES, "ensemble"),
    "switokd": (["branch1"], "ensemble"),
    "confident_dml": (BRANCHES, "ensemble"),
    "afd": (BRANCHES, "ensemble"),
    "dkel": (["mean_teacher0", "mean_teacher1"], "fused"),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_ships_what_its_authors_ship(name: str) -> None:
    roles = {member: role_of(member, METHODS[name], 1) for member in MEMBERS}

    deployed, whole = PUBLISHED[name]
    assert {member: role for member, role in roles.items() if role} == {
        **dict.fromkeys(deployed, "deployed"),
        whole: "whole",
    }


def test_the_target_of_a_graph_is_named_and_stays_a_branch_like_others() -> None:
    settings = {"distill__method": "ktg", "model__mix": "resnet14+resnet8"}
    named = small_config(**settings, model__leader="resnet8", objective="ensemble.nll")
    left = small_config(**settings, objective="ensemble.nll")

    assert named.model.mix == ("resnet14", "resnet8")
    assert roles_in(named, ["branch0", "branch1"]) == {"branch0": None, "branch1": "deployed"}
    assert roles_in(left, ["branch0", "branch1"]) == {"branch0": "deployed", "branch1": None}
    assert leader_of(named.model, named.distill) is None  # the ensemble is made of both
    with pytest.raises(SettingError, match="model.leader must be a backbone of resnet14.resnet8, "):
        check_method(small_config(**settings, model__leader="resnet20", objective="ensemble.nll"))


def test_the_leader_is_the_branch_that_the_settings_name() -> None:
    settings = {"distill__method": "okddip", "model__mix": "2*resnet8+resnet14"}
    config = small_config(**settings, model__leader="resnet8", objective="deployed.accuracy")

    found = roles_in(config, ["branch0", "branch1", "branch2", "ensemble"])
    named = roles_in(small_config(**settings, objective="whole.nll"), ["branch0", "branch2"])

    assert list(found.values()) == [None, "deployed", None, "whole"]
    assert list(named.values()) == ["deployed", None]


@pytest.mark.parametrize("deployed", ["mean_teacher", "leader", "branch2", "teacher"])
def test_a_method_that_ships_what_it_has_not_is_refused(
    deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_roles(small_config())
    monkeypatch.setitem(METHODS, "ffl", METHODS["ffl"]._replace(deployed=deployed))

    message = (
        f"method ffl must deploy a member .* of branch0, branch1, ensemble, fused .*'{deployed}'"
    )
    with pytest.raises(SettingError, match=message):
        check_roles(small_config())


def test_a_method_may_ship_one_branch_or_the_whole() -> None:
    one = Method(deployed="branch1", whole="ensemble", head="fusion")

    assert [role_of(name, one, None) for name in MEMBERS[:5]] == [
        *(None, "deployed", None, "whole", None)
    ]
    assert role_of("fused", Method(head="fusion", deployed="fused"), None) == "deployed"
