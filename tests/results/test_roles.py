"""Roles of members in tables of a version that did not write them."""

from __future__ import annotations

import pandas as pd

from ffl_ray.results.roles import with_roles


def test_a_member_without_a_name_has_no_role() -> None:
    trials = {"trial_id": ["00000"], "distill.method": ["ffl"], "model.leader": [None]}
    members = {"trial_id": "00000", "member": ["fused", None, "branch1"], "role": None}

    found = with_roles(pd.DataFrame(members), pd.DataFrame(trials))

    assert list(found["role"].notna()) == [True, False, True]
