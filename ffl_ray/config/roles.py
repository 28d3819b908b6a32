"""Members with roles: what a method's authors ship, and all that it trains taken together."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Literal

from ffl_ray.config.methods import Method, method_of, named_branch
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import SettingError

Role = Literal["deployed", "whole"]


def role_of(member: str, method: Method, named: int | None) -> Role | None:
    """The role of a member of a network that a method trained, if it has one.

    Args:
        member: its name.
        named: index of the leader, or of the target, where the method has such a branch.
    """
    by_place = method.deployed in ("leader", "target")
    shipped = f"branch{named}" if by_place else method.deployed
    if shipped in (member, member.rstrip(string.digits)):
        return "deployed"
    whole = method.whole or ("ensemble" if method.head is None else "fused")
    return "whole" if member == whole else None


def members_of(config: ResolvedConfig) -> list[str]:
    """Names of the classifiers that a training yields.

    Raises:
        SettingError: the method is the user's own, and can't be imported.
    """
    method, places = method_of(config.distill), range(len(config.model.mix))
    return [
        *(f"branch{index}" for index in places),
        "ensemble",
        *["fused"] * (method.head is not None),
        *["averaged"] * method.student_average,
        *(f"mean_teacher{index}" for index in places if method.mean_teacher),
    ]


def check_roles(config: ResolvedConfig) -> None:
    """Check that the network has what a method of the user's own says that it ships.

    Raises:
        SettingError: it has no such member.
    """
    members = members_of(config)
    if "deployed" not in roles_in(config, members).values():
        shipped = method_of(config.distill).deployed
        raise SettingError(
            f"distill.method {config.distill.method} must deploy a member that it has, of "
            f"{', '.join(members)} (or all of a kind, or its leader), not {shipped!r}"
        )


def roles_in(config: ResolvedConfig, members: Iterable[str]) -> dict[str, Role | None]:
    """The role of each of a network's members.

    Raises:
        SettingError: the method is the user's own, and can't be imported.
    """
    method, named = method_of(config.distill), named_branch(config.model, config.distill)
    return {member: role_of(member, method, named) for member in members}
