"""The roles of members in tables of a version that did not write them."""

from __future__ import annotations

import pandas as pd

from ffl_ray.config.methods import METHODS
from ffl_ray.config.roles import role_of


def with_roles(members: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The members table with the roles that its trial's method gives, in trials that have none.

    Nothing is imported for it, so members that a method of the user's own trained stay without.
    The leader, which that version did not let anybody name, was branch 0.
    """
    told = members.loc[members["role"].notna(), "trial_id"]
    by_trial = trials.loc[trials["distill.method"].isin(METHODS) & trials["model.leader"].isna()]
    method_of = by_trial.drop_duplicates("trial_id").set_index("trial_id")["distill.method"]
    methods = members["trial_id"].map(method_of)
    older = methods.notna() & members["member"].notna() & ~members["trial_id"].isin(told)
    roles = [
        role_of(member, METHODS[method], 0) if is_older else role
        for member, method, role, is_older in zip(
            members["member"], methods, members["role"], older, strict=True
        )
    ]
    return members.assign(role=pd.Series(roles, members.index, dtype=members["role"].dtype))
