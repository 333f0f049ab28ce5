"""ResNets of torchvision and timm, which name their tensors alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.layouts.layout import Layout, State, Told, head_of, tensor_of

_FIRST = "layer1.0."
# blocks of each stage, three convolutions in each (else two) -> depth
_DEPTHS = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}
_TIMM_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


class _ResNet(Layout):
    family: ClassVar[str] = "ResNet"
    names_are_ours: ClassVar[bool] = True

    @property
    def options(self) -> tuple[str, ...]:
        return ("timm", "torchvision")

    def refusal(self, state: State) -> str | None:
        """Also what shows in shapes and values alone."""
        if what := super().refusal(state):
            return what
        stem, inner = state["conv1.weight"].shape, state[f"{_FIRST}conv1.weight"].shape
        if len(stem) != 4 or len(inner) != 4:
            return f"no ResNet: convolutions of shapes {tuple(stem)} and {tuple(inner)}"
        is_bottleneck = f"{_FIRST}conv3.weight" in state
        second = state.get(f"{_FIRST}conv2.weight")
        downsample = state.get("layer2.0.downsample.1.weight")
        if second is not None and second.dim() == 4 and second.shape[1] < inner[0]:
            return f"a ResNeXt, of grouped convolutions ({_FIRST}conv2.weight)"
        if is_bottleneck and inner[0] != stem[0]:
            return f"a wide ResNet: {inner[0]} channels within the first block, {stem[0]} before it"
        if downsample is not None and downsample.dim() == 4:
            return "a ResNet that averages in its shortcuts, as ResNet-D ('layer2.0.downsample')"
        if "bn1.running_mean" not in state:
            return "a ResNet without BatchNorm's statistics ('bn1.running_mean')"
        if is_folded(state):
            return (
                "a caffe-style ResNet whose BatchNorms hold no statistics any more, as Detectron's"
            )
        return None

    def before(self, state: State) -> dict:
        """Counts the batches as 0 where an old file does not, as torch does."""
        counts = {
            key.replace("running_mean", "num_batches_tracked"): torch.tensor(0)
            for key in state
            if key.endswith("running_mean")
        }
        return counts | dict(state)

    def model(
        self, state: State, path: str | Path, beside: Mapping[str, Any], told: Told
    ) -> dict[str, Any]:
        """See ``Layout``."""
        return _model(state, path, told)

    def problems(self, arch: Arch, option: str) -> dict[str, bool]:
        """What torchvision's and timm's standard ResNets are not."""
        return {
            f"base_channels={arch.base_channels} (wanted 64)": arch.base_channels != 64,
            f"stem_channels={arch.stem_channels} (wanted 64)": arch.stem_channels is not None,
            f"expansion={arch.expansion}": arch.expansion is not None,
            "the caffe style of its strides": arch.style == "caffe",
        }

    def call(self, arch: Arch, option: str) -> str:
        """timm's or torchvision's."""
        start = "timm.create_model('resnet{}', num_classes={}{})"
        if option == "torchvision":
            start = "torchvision.models.resnet{}(num_classes={}{})"
        channels = f", in_chans={arch.in_channels}" if arch.in_channels != 3 else ""
        return start.format(arch.depth, arch.num_classes or 0, channels)


def _model(state: State, path: str | Path, told: Told) -> dict[str, Any]:
    name = told.architecture.partition(".")[0]
    if name and name not in _TIMM_RESNETS:
        raise ValueError(
            f"{path} holds timm's {told.architecture!r}, which may have a plain ResNet's tensors "
            f"and compute something else: mmpretrain's are timm's {', '.join(_TIMM_RESNETS)}"
        )
    stem = tensor_of(state, "backbone.conv1.weight", 4, path)
    counts = []
    for stage in range(1, 5):
        start = f"backbone.layer{stage}."
        counts.append(len({k.split(".")[2] for k in state if k.startswith(start)}))
    is_bottleneck = "backbone.layer1.0.conv3.weight" in state
    depth = _DEPTHS.get((tuple(counts), is_bottleneck))
    if depth is None:
        raise ValueError(
            f"{path}: a ResNet of {counts} {'bottleneck' if is_bottleneck else 'basic'} blocks is "
            f"none of mmpretrain's, of depths {sorted(_DEPTHS.values())}"
        )
    if is_bottleneck and "head.fc.weight" not in state:
        raise ValueError(
            f"{path}: a ResNet-{depth} without the fc that torchvision and timm save. Whether it "
            "strides in its 3x3 convolutions (style='pytorch') or before them (style='caffe') "
            "cannot be seen: give its config (--config)"
        )
    backbone = dict(type="ResNet", depth=depth, style="pytorch")
    if stem.shape[0] != 64:
        backbone |= dict(base_channels=stem.shape[0], stem_channels=stem.shape[0])
    if stem.shape[1] != 3:
        backbone["in_channels"] = stem.shape[1]
    model = dict(type="ImageClassifier", backbone=backbone, neck=dict(type="GlobalAveragePooling"))
    if "head.fc.weight" in state:
        features = stem.shape[0] * 8 * (4 if is_bottleneck else 1)
        model["head"] = head_of(
            "LinearClsHead", tensor_of(state, "head.fc.weight", 2, path), features
        )
    return model


def is_folded(state: State) -> bool:
    """Whether BatchNorm's mean and variance were folded into its gain and bias.

    Only Detectron's networks, which are caffe-style, come so.
    """
    names = ("running_mean", "running_var", "weight")
    values = [state.get(f"bn1.{name}") for name in names]
    if any(value is None or value.is_meta for value in values):
        return False
    mean, var, gain = values
    return bool((mean == 0).all() and (var == 1).all() and not (gain == 1).all())


RESNET = _ResNet(
    option="torchvision",
    name="torchvision's or timm's ResNet",
    marks=("conv1.weight", "bn1.weight", "layer1.0.conv1.weight"),
    rows=(
        ("conv1.{x}", "backbone.conv1.{x}"),
        ("bn1.{x}", "backbone.bn1.{x}"),
        ("layer{i}.{x}", "backbone.layer{i}.{x}"),
        ("fc.{p}", "head.fc.{p}"),
    ),
    refused=(
        (r"layer\d\.\d+\.se\..+", "a ResNet with squeeze-and-excitation"),
        (r"layer\d\.\d+\.conv2\..+\..+", "a ResNet with attention or splits in its blocks"),
        (r"attnpool\..+", "CLIP's ResNet"),
    ),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
