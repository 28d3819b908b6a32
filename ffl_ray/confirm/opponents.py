"""What the members of a config are held against, each to separate one cause from the others.

- `alone`: each branch against its backbone trained by itself; equal inference MACs.
- `together`: ensemble and fused classifier against the ensemble of the same branches that share
  nothing and are not taught; the trunk is counted once in ours and once a branch in theirs.
- `untaught`: every member against the same member of the same network whose teaching is off; equal
  inference MACs, and nothing but the teaching differs.
- `same_macs`: the fused classifier (or the ensemble) against one deeper or wider network of about
  its inference MACs, of the family of one of its branches.
- `default`: what is shipped (of several kinds of branches their mean), and the whole, against the
  same of the search's default point, its method's own settings; the networks may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from ffl_ray.config.gates import with_labels
from ffl_ray.config.independent import independent
from ffl_ray.config.methods import holds_out, method_of
from ffl_ray.config.overrides import flatten, mix_name, with_overrides
from ffl_ray.config.roles import Role, roles_in
from ffl_ray.config.settings import DistillConfig, ResolvedConfig
from ffl_ray.config.user_code import is_own
from ffl_ray.config.variants import TEACHERS, as_read
from ffl_ray.errors import SettingError
from ffl_ray.results.description import MOVES

Kind = Literal["alone", "together", "untaught", "same_macs", "default"]
PLURALS = {"branch": "branches", "mean_teacher": "mean_teachers"}

NO_WEIGHT: dict[str, object] = {"distill.weight": 0.0}
SWITCHED_OFF: dict[str, object] = {
    "distill.ensemble_to_fused": False,
    "distill.fused_to_branch": False,
}
NO_TEACHER: dict[str, object] = {
    f"distill.{name}": DistillConfig.model_fields[name].default for name in ("teacher", *TEACHERS)
}
TURNED_OFF: dict[str, dict[str, object]] = {
    "ffl": SWITCHED_OFF,
    "layered_ffl": SWITCHED_OFF | {"distill.layer_weight": 0.0},
    "ffsd": NO_WEIGHT
    | {f"distill.{name}_weight": 0.0 for name in ("diversity", "attention", "decoder")},
    **dict.fromkeys(("mcl", "lmcl"), NO_WEIGHT | {"distill.contrast_weight": 0.0}),
    "okdph": NO_WEIGHT | {"distill.averaged_weight": 0.0, "distill.write_back": 0.0},
}


class Against(NamedTuple):
    """The kinds of baselines.

    Attributes:
        kinds: which.
        same_macs: of each config the backbone of about the MACs of its whole network.
        default: the search's default point.
    """

    kinds: Sequence[Kind] = ("alone", "together")
    same_macs: Mapping[ResolvedConfig, str] = {}
    default: ResolvedConfig | None = None


DEFAULT = Against()


class Opponent(NamedTuple):
    """A member of a config, and what it is held against.

    Attributes:
        kind: which cause the comparison separates.
        name: of the baseline, without its length.
        member: name of the config's member; of several members their mean.
        of: those members.
        baseline: another config.
        baseline_member: its member, likewise.
        baseline_of: those members.
    """

    kind: Kind
    name: str
    member: str
    of: tuple[str, ...]
    baseline: ResolvedConfig
    baseline_member: str
    baseline_of: tuple[str, ...] = ()


class Group(NamedTuple):
    """Members of one backbone and role, which count as one: which of them is shipped is open."""

    name: str
    of: tuple[str, ...]
    backbone: str


def opponents(config: ResolvedConfig, against: Against = DEFAULT) -> list[Opponent]:
    """The members of a config, and what each is held against.

    Raises:
        SettingError: nothing is known that turns the teaching of the config's method off.
    """
    found: list[Opponent] = []
    for kind in against.kinds:
        if kind == "alone":
            found += _alone(config)
        elif kind == "together":
            found += _together(config)
        elif kind == "untaught":
            found += _untaught(config)
        elif kind == "same_macs" and config in against.same_macs:
            found.append(_same_macs(config, against.same_macs[config]))
        elif kind == "default" and against.default not in (None, config):
            found += _default(config, against.default)
    return found


def groups(config: ResolvedConfig) -> list[Group]:
    """The branches of a config, and their averages, by backbone; a leader stands alone."""
    mix, found = config.model.mix, []
    for stem in ("branch", *(["mean_teacher"] if method_of(config.distill).mean_teacher else [])):
        roles = roles_in(config, (f"{stem}{i}" for i in range(len(mix))))
        kinds = list(zip(mix, roles.values(), strict=True))
        for kind in dict.fromkeys(kinds):
            of = tuple(f"{stem}{i}" for i, other in enumerate(kinds) if other == kind)
            several = PLURALS[stem] if len(of) == len(mix) else f"{PLURALS[stem]}_{kind[0]}"
            found.append(Group(of[0] if len(of) == 1 else several, of, kind[0]))
    if method_of(config.distill).student_average:
        found.append(Group("averaged", ("averaged",), mix[0]))
    return found


def whole_members(config: ResolvedConfig) -> list[str]:
    """The members that are made of several branches."""
    fused = ["fused"] if method_of(config.distill).head is not None else []
    return ["ensemble", *fused] if len(config.model.mix) > 1 else []


def _alone(config: ResolvedConfig) -> list[Opponent]:
    return [
        Opponent(
            "alone",
            f"independent {group.backbone}",
            group.name,
            group.of,
            independent(config, (group.backbone,)),
            "branch0",
        )
        for group in groups(config)
    ]


def _together(config: ResolvedConfig) -> list[Opponent]:
    name = f"independent {mix_name(config.model.mix)}"
    baseline = independent(config, config.model.mix)
    return [
        Opponent("together", name, member, (member,), baseline, "ensemble")
        for member in whole_members(config)
    ]


def _untaught(config: ResolvedConfig) -> list[Opponent]:
    if config.distill.method == "independent" and config.distill.teacher is None:
        return []
    members = [(group.name, group.of) for group in groups(config)]
    members += [(member, (member,)) for member in whole_members(config)]
    name, baseline = f"untaught {mix_name(config.model.mix)}", untaught(config)
    return [Opponent("untaught", name, member, of, baseline, member, of) for member, of in members]


def _same_macs(config: ResolvedConfig, backbone: str) -> Opponent:
    member = [*groups(config)[0].of, *whole_members(config)][-1]
    baseline = independent(config, (backbone,))
    return Opponent("same_macs", f"same MACs {backbone}", member, (member,), baseline, "branch0")


def _default(config: ResolvedConfig, default: ResolvedConfig) -> list[Opponent]:
    """Role against role, as long and on as many images, wherever those are now."""
    changes = {name: flatten(config)[name] for name in ("optim.epochs", *MOVES)}
    baseline = with_overrides(default, changes | {"data.hold_out": holds_out(config)})
    name = f"default {mix_name(default.model.mix)} {default.distill.method}"
    found = []
    for role in get_args(Role):
        ours, theirs = (_of_role(one, role) for one in (config, default))
        if ours and theirs:
            found.append(Opponent("default", name, *ours, baseline, *theirs))
    return found


def _of_role(config: ResolvedConfig, role: Role) -> tuple[str, tuple[str, ...]] | None:
    """Name and members of a role; a network of one branch has no whole."""
    wholes = [(member, (member,)) for member in whole_members(config)]
    several = [*((group.name, group.of) for group in groups(config)), *wholes]
    found = [one for one in several if set(roles_in(config, one[1]).values()) == {role}]
    if len(found) < 2:
        return found[0] if found else None
    return role, tuple(member for _, of in found for member in of)


def untaught(config: ResolvedConfig) -> ResolvedConfig:
    """The same network and training with the teaching off: every loss is a cross-entropy.

    Raises:
        SettingError: the method is the user's own.
    """
    method = config.distill.method
    if is_own(method):
        raise SettingError(
            f"--arms untaught must be of a method of ffl_ray, whose teaching can be turned off, "
            f"not {method}"
        )
    off = TURNED_OFF.get(method, NO_WEIGHT) | {"distill.gates": with_labels(config.distill.gates)}
    return as_read(with_overrides(config, off | NO_TEACHER | {"seed": 0}))
