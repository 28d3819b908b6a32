"""Recipe of ffl_golden.json: what the authors' program computes for the weights of rule.py.

    python tests/golden/make_ffl_golden.py CLONE > tests/golden/ffl_golden.json

CLONE is a clone of Jangho-Kim/FFL-pytorch at 546d478, outside this repository. Its network,
fusion module, KL loss and ramp-up are imported and run as they are, in float64, for three
training steps with its two optimisers; nothing of it is copied here but the numbers.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from golden import rule

sys.path.insert(0, sys.argv[1])
authors = importlib.import_module("our_network")
utils = importlib.import_module("utils")


def parts(network: Any, module: Any) -> list[nn.Module]:
    n = network
    trunk = nn.ModuleList([n.conv1, n.bn1, n.layer1, n.layer2])
    classifiers = [n.classfier3_1, n.classfier3_2]
    m = module
    fusion = nn.ModuleList([m.conv1, m.bn1, m.conv1_1, m.bn1_1, m.fc2])
    return [trunk, n.layer3_1, n.layer3_2, *classifiers, fusion]


def main() -> None:
    torch.set_default_dtype(torch.float64)
    setattr(torch.Tensor, "cuda", lambda tensor: tensor)  # its loss insists on a GPU
    network = authors.ffl_resnet(num_classes=rule.CLASSES, depth=rule.DEPTH)
    module = authors.Fusion_module(64, rule.CLASSES, 8)
    rule.fill(parts(network, module))
    settings: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "nesterov": True}
    optimizers = [
        torch.optim.SGD(network.parameters(), weight_decay=1e-4, **settings),
        torch.optim.SGD(module.parameters(), weight_decay=1e-5, **settings),
    ]
    kl, ce, weight = utils.KLLoss(), nn.CrossEntropyLoss(), utils.sigmoid_rampup(rule.EPOCH, 80)
    x, y = rule.images(), rule.labels()
    steps = []
    for _ in range(rule.STEPS):
        z1, z2, maps = network(x)
        fused = module(maps[0], maps[1])
        ensemble = (z1 + z2) / 2
        terms = {
            "ce_branches.0": ce(z1, y),
            "ce_branches.1": ce(z2, y),
            "ce_fused": ce(fused, y),
            "ensemble_to_fused": kl(fused, ensemble),
            "fused_to_branches.0": kl(z1, fused),
            "fused_to_branches.1": kl(z2, fused),
        }
        total = sum(v for k, v in terms.items() if k.startswith("ce"))
        total = total + weight * sum(v for k, v in terms.items() if not k.startswith("ce"))
        logits = {"branch0": z1, "branch1": z2, "fused": fused}
        steps.append(
            {
                "terms": {k: v.item() for k, v in terms.items()},
                "total": total.item(),
                "logits": {k: v[:, :4].tolist() for k, v in logits.items()},
            }
        )
        for optimizer in optimizers:
            optimizer.zero_grad()
        total.backward()
        for optimizer in optimizers:
            optimizer.step()
    json.dump({"ramp_up": float(weight), "steps": steps}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
