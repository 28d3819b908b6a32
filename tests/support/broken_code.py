"""Code of a user's own that breaks a contract each, and some that keeps them."""

from __future__ import annotations

PARTS = """
import numpy as np
import torch
from torch import nn
from ffl_ray.data.dataset import DatasetInfo, Files, Images
from ffl_ray.data.user_dataset import data_set
from ffl_ray.distill.recipe import Phase
from ffl_ray.distill.terms import Term, cross_entropies
from ffl_ray.config.methods import Method, made_of
from ffl_ray.models.helpers import Helper, HelperRule

class Design(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.linear = nn.Linear(shape.width, shape.num_classes)
        nn.init.constant_(self.linear.weight, 7.0)
        self.shape = shape
    def forward(self, maps, trunk_features):
        return self.changed(self.linear(sum(maps).mean((2, 3))))
    def changed(self, logits):
        return logits

class Good(Design):
    pass

class Squeezed(Design):
    def changed(self, logits):
        return logits[:, 1:]

class Infinite(Design):
    def changed(self, logits):
        return logits / 0

class Listing(Design):
    def changed(self, logits):
        return [logits]

class Unused(Design):
    def __init__(self, shape):
        super().__init__(shape)
        self.spare = nn.Linear(2, 2)

class Needing3x3(Design):
    def forward(self, maps, trunk_features):
        return self.linear(nn.functional.max_pool2d(sum(maps), 3).mean((2, 3)))

class NoArgument(nn.Module):
    pass

def a_number(shape):
    return 5

SHARED = nn.Linear(8, 3)

class Shared(Design):
    def __init__(self, shape):
        super().__init__(shape)
        self.linear = SHARED

def plain(output, labels, settings):
    return cross_entropies(output, labels, settings)

@made_of(Method(least_branches=1, trunk_stages=0))
def without_fused(output, labels, settings):
    assert output.fused is None
    return cross_entropies(output, labels, settings)

@made_of({"head": None})
def wrong_parts(output, labels, settings):
    return {}

def failing(output, labels, settings):
    raise KeyError("no teacher")

def only_numbers(output, labels, settings):
    output.branches[0].gather(1, labels[:, None])
    return cross_entropies(output, labels, settings)

def nothing(output, labels, settings):
    return {}

def unknown_name(output, labels, settings):
    return {"magic": Term(output.branches.sum())}

def bare(output, labels, settings):
    return {"own.0": output.branches.sum()}

def whole_batch(output, labels, settings):
    return {"own.0": Term(output.branches.sum((0, 2)))}

def first_branch_alone(output, labels, settings):
    return {"own.0": Term(output.branches[0].square().mean() + output.fused.square().mean())}

def no_fused(output, labels, settings):
    return {"own.0": Term(output.branches.square().mean())}

def helpers_of(**modules):
    return lambda example, settings: {n: Helper(m) for n, m in modules.items()}

@made_of(Method(head="fusion", needs={"maps"}))
def plain_needing(output, labels, settings):
    return cross_entropies(output, labels, settings)

@made_of(Method(head="fusion"), optimizers=2)
def bringing(output, labels, settings):
    return cross_entropies(output, labels, settings)

@made_of(Method(head="fusion"), helpers=helpers_of(gate=nn.Linear(2, 2)))
def idle_helper(output, labels, settings):
    return cross_entropies(output, labels, settings)

@made_of(Method(head="fusion"), helpers=lambda example, settings: {"gate": nn.Linear(2, 2)})
def bare_helper(output, labels, settings):
    return cross_entropies(output, labels, settings)

@made_of(Method(head="fusion"), helpers=lambda example, settings: {
    "gate": Helper(nn.Linear(2, 2), HelperRule(optimizer="lion"))})
def other_optimizer(output, labels, settings):
    return cross_entropies(output, labels, settings)

@made_of(Method(head="fusion"), helpers=lambda example, settings: {
    "gate": Helper(nn.Linear(2, 2), {"lr_factor": 0.1})})
def ruled_by_dict(output, labels, settings):
    return cross_entropies(output, labels, settings)

@made_of(Method(head="fusion"), after_epoch=3)
def no_hook(output, labels, settings):
    return cross_entropies(output, labels, settings)

@made_of(Method(head="fusion"), then=(Phase(no_fused, ("judge",)),))
def unknown_part(output, labels, settings):
    return cross_entropies(output, labels, settings)

@made_of(Method(head="fusion"), takes_step=lambda output, labels, _, mean: mean(labels.float()))
def one_for_all(output, labels, settings):
    return cross_entropies(output, labels, settings)

INFO = DatasetInfo(("a", "b"), (0.5,), (0.5,), crop_padding=0, flip=False)

def untold(settings, split):
    return 0

@data_set((1, 4, 4), INFO)
def fails(settings, split):
    raise FileNotFoundError("no images.npz")

@data_set((1, 4, 4), INFO)
def number(settings, split):
    return 0

def images(pixels=(20, 4, 4, 1), labels=20, kind=torch.uint8, label_kind=torch.int64, top=2):
    return Images(torch.zeros(pixels, dtype=kind), (torch.arange(labels) % top).to(label_kind))

@data_set((1, 4, 4), INFO)
def grey_files(settings, split):
    return Files(".", np.array([b"a.png", b"b.png"]), torch.arange(2), 4)

COLOUR = INFO._replace(mean=(0.5,) * 3, std=(0.5,) * 3)

@data_set((3, 4, 4), COLOUR)
def text_files(settings, split):
    return Files(".", np.array(["a.png", "b.png"]), torch.arange(2), 4)

@data_set((3, 4, 4), COLOUR)
def no_files(settings, split):
    return Files(".", np.array([b""])[:0], torch.arange(0), 4)

@data_set((1, 4, 4), INFO)
def good(settings, split):
    if split == "test":
        raise OSError("nobody may look")
    return images()

@data_set((1, 4, 4), INFO)
def channels_first(settings, split):
    return images((20, 1, 4, 4))

@data_set((1, 4, 4), INFO)
def floats(settings, split):
    return images(kind=torch.float32)

@data_set((1, 4, 4), INFO)
def short(settings, split):
    return images(labels=19)

@data_set((1, 4, 4), INFO)
def int_labels(settings, split):
    return images(label_kind=torch.int32)

@data_set((1, 4, 4), INFO)
def third_class(settings, split):
    return images(top=3)
"""
