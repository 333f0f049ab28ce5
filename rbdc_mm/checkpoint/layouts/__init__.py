"""Checkpoints of other libraries: recognised by their keys, converted where that is certain."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from torch import Tensor

from rbdc_mm.checkpoint.layouts.hf_vit import HF_VIT
from rbdc_mm.checkpoint.layouts.layout import Layout, Row, State
from rbdc_mm.checkpoint.layouts.resnet import RESNET, is_folded
from rbdc_mm.checkpoint.layouts.timm_vit import TIMM_VIT
from rbdc_mm.checkpoint.layouts.torchvision_vit import TORCHVISION_VIT

LAYOUTS = (TIMM_VIT, TORCHVISION_VIT, HF_VIT, RESNET)
LIBRARIES = (*dict.fromkeys(name for layout in LAYOUTS for name in layout.libraries), "mmpretrain")

# Known by a key, and nothing that this project can convert.
_STRANGERS = (
    (r"conv1\.0\.weight", "a ResNet with a deep stem, as ResNet-D"),
    (r"(.*\.)?visual\.transformer\.resblocks\..+", "OpenAI's or OpenCLIP's CLIP"),
    (r"(.*\.)?vision_model\..+", "Hugging Face's CLIP or SigLIP"),
    (r"(.*\.)?embeddings\.(register_tokens|patch_embeddings\.weight)", "Hugging Face's DINO"),
    (r"layers\.\d+\.(blocks\.\d+|downsample)\..+", "a Swin Transformer"),
    (r"(.*\.)?stages\.\d+\..*(dwconv|conv_dw|depthwise).*", "a ConvNeXt"),
    (r"blocks\.\d+\.(attn\.(q|k|v|q_proj|k_proj|v_proj)|mlp\.w\d+)\..+", "EVA"),
    (r"features\.\d+\..+", "a VGG, DenseNet, MobileNet, EfficientNet or the like"),
    (r"layer\d\.\d+\..+", "a ResNet of other blocks"),
)
_NUM_SHOWN = 2


@dataclass(frozen=True)
class Converted:
    """A checkpoint of another library, in mmpretrain's layout.

    Attributes:
        state: the weights of an ImageClassifier, or of its backbone alone.
        layout: where they are from.
    """

    state: dict[str, Tensor]
    layout: Layout


def layout_of(state: State, library: str = "auto") -> Layout | None:
    """The foreign layout of a state dict, None if it is none that is known.

    Args:
        state: its keys decide.
        library: one of ``LIBRARIES`` whose layouts alone are looked for, or ``'auto'``.
    """
    found = next((layout for layout in LAYOUTS if layout.is_of(state)), None)
    is_wanted = found is None or library in ("auto", *found.libraries)
    return found if is_wanted else None


def convert(state: State, where: str, library: str = "auto") -> Converted:
    """A foreign state dict in mmpretrain's layout; nothing is guessed, nothing left over.

    Args:
        state: its weights.
        where: the file, for messages.
        library: see ``layout_of``.

    Raises:
        ValueError: an unknown layout, or a network that mmpretrain's plain ViT or ResNet is not.
    """
    layout = layout_of(state, library)
    if layout is None:
        raise ValueError(unknown(state, where, library))
    if what := layout.refusal(state):
        raise ValueError(_not_converted(what, state, layout, where))
    given = layout.before(state)
    ours = {key: layout.key_of_ours(key) for key in given if not layout.is_dropped(key)}
    if strange := [key for key, new in ours.items() if new is None]:
        what = f"a network with tensors that a plain one has not ({len(strange)} of them)"
        raise ValueError(_not_converted(what, strange, layout, where))
    news = list(ours.values())
    if twice := [key for key, new in ours.items() if news.count(new) > 1]:
        raise ValueError(_not_converted("one tensor under two names", twice, layout, where))
    return Converted({new: given[key] for key, new in ours.items() if new}, layout)


def export(state: State, layout: Layout, where: str) -> dict[str, Tensor]:
    """mmpretrain's weights under another library's names.

    Raises:
        ValueError: a tensor that the other library's network has not.
    """
    theirs = {key: layout.key_of_theirs(key) for key in state}
    if strange := [key for key, new in theirs.items() if new is None]:
        raise ValueError(f"{where}: {layout.name} has no tensor like {_shown(strange)}")
    return layout.after({new: state[key] for key, new in theirs.items() if new})


def unknown(state: State, where: str, library: str = "auto") -> str:
    """One line about weights that are of no known layout."""
    other = layout_of(state)
    kinds = (what for pattern, what in _STRANGERS for key in state if re.fullmatch(pattern, key))
    if other is not None:
        seen = f"the layout of {other.name}"
    elif any(key.startswith("backbone.") for key in state):
        seen = "OpenMMLab's layout"
    else:
        seen = f"the layout of {next(kinds, 'a network that is not known here')}"
    ours = dict.fromkeys(_ours(layout.rows[0]) for layout in LAYOUTS)
    wanted = (
        f"those of {library}"
        if library != "auto"
        else f"mmpretrain's {_shown(ours)} (or, to be converted, those of "
        f"{', '.join(layout.name for layout in LAYOUTS)})"
    )
    return f"{where} has {seen}: its keys are {_shown(state)}, wanted {wanted}"


def _ours(row: Row) -> str:
    return row[1].format(i=0, p="weight", x="weight")


def _not_converted(what: str, keys: Iterable[str], layout: Layout, where: str) -> str:
    return (
        f"{where} holds {what}, in the layout of {layout.name}: mmpretrain's plain network "
        "computes something else, so it is not converted. Its keys are "
        f"{_shown(keys)}, wanted were those of {_shown(map(_ours, layout.rows))}"
    )


def _shown(keys: Iterable[str]) -> str:
    return ", ".join(repr(key) for key in islice(keys, _NUM_SHOWN))


__all__ = [
    "LAYOUTS",
    "LIBRARIES",
    "Converted",
    "Layout",
    "convert",
    "export",
    "is_folded",
    "layout_of",
    "unknown",
]
