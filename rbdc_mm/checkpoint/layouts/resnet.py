"""ResNets of torchvision and timm, which name their tensors alike."""

from __future__ import annotations

import torch

from rbdc_mm.checkpoint.layouts.layout import Layout, State

_FIRST = "layer1.0."


class _ResNet(Layout):
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
