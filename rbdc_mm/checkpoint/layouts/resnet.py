"""ResNets of torchvision and timm, which name their tensors alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch

from rbdc_mm.arch import ARCHS, Arch
from rbdc_mm.arch.resnet import DEPTHS
from rbdc_mm.checkpoint.layouts.layout import Layout, Said, State, tensor

_FIRST = "layer1.0."


class _ResNet(Layout):
    family: ClassVar[str] = "ResNet"

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

    def model(self, state: State, path: str | Path, said: Said) -> dict[str, Any]:
        plain, architecture = [f"resnet{depth}" for depth in DEPTHS], said["architecture"]
        if architecture.partition(".")[0] not in ("", *plain):
            raise ValueError(
                f"{path} holds timm's {architecture!r}, which may have a plain ResNet's tensors "
                f"and compute something else: mmpretrain's are timm's {', '.join(plain)}"
            )
        stem = tensor(state, "backbone.conv1.weight", 4, path)
        stages = [f"backbone.layer{stage}." for stage in range(1, 5)]
        counts = [len({k.split(".")[2] for k in state if k.startswith(s)}) for s in stages]
        num_convs = 3 if f"backbone.{_FIRST}conv3.weight" in state else 2
        known = {sizes: depth for depth, sizes in DEPTHS.items()}
        depth = known.get((num_convs, tuple(counts)))
        if depth is None:
            kind = {2: "basic", 3: "bottleneck"}[num_convs]
            raise ValueError(
                f"{path}: a ResNet of {counts} {kind} blocks is none of mmpretrain's, of depths "
                f"{sorted(DEPTHS)}"
            )
        if num_convs == 3 and "head.fc.weight" not in state:
            raise ValueError(
                f"{path}: a ResNet-{depth} without the fc that torchvision and timm save. Whether "
                "it strides in its 3x3 convolutions (style='pytorch') or before them "
                "(style='caffe') cannot be seen: give its config (--config)"
            )
        width, in_channels = stem.shape[:2]
        backbone = dict(type=self.family, depth=depth, style="pytorch")
        if width != 64:
            backbone |= dict(base_channels=width, stem_channels=width)
        if in_channels != 3:
            backbone["in_channels"] = in_channels
        neck = dict(type="GlobalAveragePooling")
        model = dict(type="ImageClassifier", backbone=backbone, neck=neck)
        if "head.fc.weight" in state:
            features = ARCHS[self.family].from_config(backbone).feature_channels
            model["head"] = self.head(tensor(state, "head.fc.weight", 2, path), features)
        return model

    def problems(self, arch: Arch, library: str) -> dict[str, Any]:
        usual = type(arch)(arch.depth)
        return {
            f"base_channels={arch.base_channels} (wanted 64)": arch.base_channels != 64,
            f"in_channels={arch.in_channels} (wanted 3)": library == "torchvision"
            and arch.in_channels != 3,
            "a stem of another width than its first stage": arch.stem_channels,
            f"expansion={arch.expansion}": arch.expansion,
            "the caffe style of its strides": arch.style == "caffe",
            f"strides={arch.strides}": arch.strides != usual.strides,
            f"dilations={arch.dilations}": arch.dilations != usual.dilations,
            f"norm_cfg.eps={arch.norm_eps}": arch.norm_eps != usual.norm_eps,
        }

    def call(self, arch: Arch, library: str) -> str:
        start = "timm.create_model('resnet{}', num_classes={}{})"
        if library == "torchvision":
            start = "torchvision.models.resnet{}(num_classes={}{})"
        channels = f", in_chans={arch.in_channels}" if arch.in_channels != 3 else ""
        return start.format(arch.depth, arch.num_classes or 0, channels)


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
    libraries=("timm", "torchvision"),
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
