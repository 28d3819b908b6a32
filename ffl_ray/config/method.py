"""What a method is made of: its parts, and its authors' defaults."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from ffl_ray.config.distill_settings import Policy

Need = Literal[
    "stage_maps",
    "later_stages",
    "pooled",
    "fused_map",
    "image_indices",
    "share",
    "hard_labels",
    "positives",
]
NEEDS: tuple[Need, ...] = get_args(Need)


class Method(NamedTuple):
    """One method's parts and defaults.

    Attributes:
        head: what makes the member `fused`: the fusion design that the settings name, ONE's gate
            over logits, PCL's linear layer over pooled maps; none: there is no such member.
        least_branches: fewer give it nothing to do.
        num_branches: how many of the default backbone it trains where no mix is named.
        trunk_stages: leading stages that branches of one backbone share; -1: all but the last.
        temperature: softening of its KL terms.
        ramp_up: length of the distill weight's rise, as a share of the training; 0: there is none.
        weight: factor of its KL terms.
        views: every branch is given an augmentation of its own.
        view_policies: policies of these views, taken in turn; none: data.augment's.
        divided_gradient: a trunk's gradient is divided by the number of branches on it.
        peer_attention: attention between branches weighs their logits (OKDDip).
        leader: one branch learns from the others and is deployed; the ensemble and the fused
            classifier are made of the others (OKDDip, FFSD, SwitOKD); the setting model.leader
            names it.
        least_leads: where none is named, it is the first of the mix by the numbers in the names,
            which is the smallest of a family: its teachers are larger (SwitOKD); else the first by
            the alphabet.
        mean_teacher: averages of the weights over time teach as well (PCL, DKEL).
        own_start: these averages start from weights of their own, not from the branches' (DKEL).
        student_average: the mean of the branches' weights is a member and learns as well (OKDPH);
            they are of one backbone, share nothing and start alike.
        held_out: its hook after an epoch measures on images that are not trained on.
        may_share: its branches may share stages.
        deeper: its loss merges maps of one view of an image, from branches of one backbone whose
            last stages are of rising depth (AHBF); by so many blocks where no mix is named.
        detached: no gradient of the fused logits reaches the branches, whatever fusion.detach says.
        deployed: the member that its authors ship: any of the kind branch or mean_teacher, the
            leader, the target, which is the branch that model.leader names and of which ensemble
            and fused are made as of any other (KTG), or one by its name, such as fused or branch0.
        whole: the member that is made of all others; none named: the fused classifier, or the
            ensemble where there is none.
        needs: what its loss reads beside logits; nothing else is kept or computed. stage_maps,
            pooled and fused_map: as `ffl_ray.models.branch_modules.Kept` has them; later_stages:
            what makes a branch's stages anew, for its helpers; image_indices: which images they
            are; share: how much of the training is done; hard_labels: one class an image;
            positives: two images of each class in a batch.
        terms: names of its loss terms that no other method has; those of its branches are
            NAME.0, NAME.1, ...
        source: where it was published.
    """

    head: Literal["fusion", "logit_gate", "pooled_linear"] | None = None
    least_branches: int = 2
    num_branches: int = 2
    trunk_stages: int = -1
    temperature: float = 3.0
    ramp_up: float = 80 / 300
    weight: float = 1.0
    views: bool = False
    view_policies: tuple[Policy, ...] = ()
    divided_gradient: bool = False
    peer_attention: bool = False
    leader: bool = False
    least_leads: bool = False
    mean_teacher: bool = False
    own_start: bool = False
    student_average: bool = False
    held_out: bool = False
    may_share: bool = True
    deeper: int = 0
    detached: bool = False
    deployed: str = "branch"
    whole: Literal["fused", "ensemble"] | None = None
    needs: frozenset[Need] = frozenset()
    terms: tuple[str, ...] = ()
    source: str = ""
