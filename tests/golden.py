"""Digests of what every operator makes of fixed numbers: a change that should alter none proves it.

``python tests/golden.py`` records ``golden_digests.json`` beside this file anew; the difference in
git then says which operators compute something else now.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from helpers import build_classifier, convnext_model, resnet_model, swin_model, vit_model
from operator_table import TABLE
from rbdc_mm.checkpoint.arch_of import arch_of, model_with_arch
from rbdc_mm.growth import OPERATORS, couple, coupled_arch

DIGESTS = Path(__file__).with_name("golden_digests.json")
_NUM_DIGITS = 6  # sums may be taken in another order elsewhere

_PAIR = [dict(embed_dims=16, num_heads=2)] * 2
_SCALED = dict(layer_scale_init_value=0.1, head=dict(hidden_dim=12))
#: name -> the parents' models, options of the coupling
COUPLINGS: dict[str, tuple[list[dict], dict]] = {
    "couple-vit": ([vit_model(**size) for size in _PAIR], {}),
    "couple-vit-uneven": (
        [vit_model(embed_dims=8 * heads, num_heads=heads) for heads in (1, 2, 3)], {},
    ),
    "couple-vit-center": ([vit_model(**size) for size in _PAIR], dict(mode="corrected")),
    "couple-vit-scaled-center": (
        [vit_model(**size, **_SCALED) for size in _PAIR], dict(mode="corrected"),
    ),
    "couple-vit-block": ([vit_model(**size) for size in _PAIR], dict(norm="block")),
    "couple-resnet18": ([resnet_model(18, 4), resnet_model(18, 8)], {}),
    "couple-resnet50": ([resnet_model(50, 4)] * 3, {}),
    "couple-convnext": ([convnext_model()] * 2, {}),
    "couple-swin": ([swin_model(), swin_model(16, 2)], {}),
}  # fmt: skip


def filled(model: nn.Module, seed: int) -> dict[str, Tensor]:
    """A state dict of sixteenths, the same on every machine and with every version of torch."""
    random = np.random.RandomState(seed)
    state = {}
    for name, tensor in model.state_dict().items():
        values = torch.from_numpy(random.randint(1, 16, tuple(tensor.shape))) / 16
        signs = torch.from_numpy(random.randint(0, 2, tuple(tensor.shape))) * 2 - 1
        positive = name.endswith("running_var")
        filled = values.double() if positive else values.double() * signs
        counted = torch.tensor(seed) if tensor.dim() == 0 else tensor  # a table of indices
        state[name] = filled if tensor.is_floating_point() else counted
    return state


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values."""
    found = hashlib.sha256()
    for name in sorted(state):
        values = np.round(state[name].double().numpy(), _NUM_DIGITS) + 0.0  # no negative zero
        found.update(f"{name}{values.shape}".encode() + values.tobytes())
    return found.hexdigest()


def _grown(case: str) -> dict[str, Tensor]:
    name, source, target, options, _ = TABLE[case]
    operator = OPERATORS[name]
    init = filled(build_classifier(target), 2)
    state = filled(build_classifier(source), 1)
    return operator.apply(arch_of(target), [arch_of(source)], [state], ["a.pth"], init, **options)


def _coupled(case: str) -> dict[str, Tensor]:
    models, options = COUPLINGS[case]
    arches, names = [arch_of(model) for model in models], [f"{n}.pth" for n in range(len(models))]
    states = [filled(build_classifier(model), seed) for seed, model in enumerate(models, 1)]
    target = coupled_arch(arches, names, options.get("norm", "layer"))
    assert arch_of(model_with_arch(models[0], target)) == target
    return couple.apply(target, arches, states, names, **options)


GROWTHS: dict[str, Callable[[], dict[str, Tensor]]] = {
    **{case: lambda case=case: _grown(case) for case in TABLE},
    **{case: lambda case=case: _coupled(case) for case in COUPLINGS},
}

if __name__ == "__main__":
    logging.disable(logging.INFO)  # mmengine logs every initialised parameter
    found = {case: digest(grow()) for case, grow in GROWTHS.items()}
    DIGESTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {len(found)} digests to {DIGESTS}")
