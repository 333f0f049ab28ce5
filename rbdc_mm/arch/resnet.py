"""mmpretrain's ResNet (v1b, depths 18 to 152) as a rule table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rbdc_mm.arch.axes import COUNT, Axis, Rule, Space, buffer, expand, fix, inp, linear, norm, out

# depth -> (convolutions a block, blocks of each stage); He et al., arXiv 1512.03385, Table 1
_DEPTHS = {
    18: (2, (2, 2, 2, 2)),
    34: (2, (3, 4, 6, 3)),
    50: (3, (3, 4, 6, 3)),
    101: (3, (3, 4, 23, 3)),
    152: (3, (3, 8, 36, 3)),
}


@dataclass(frozen=True)
class ResNetArch:
    """Everything that decides the names and shapes of a ResNet's tensors.

    Attributes:
        depth: 18, 34, 50, 101 or 152.
        base_channels: the width, 64 for the standard networks; the stem is as wide.
        in_channels: channels of the image.
        num_classes: outputs of the classifier, None for a backbone alone.
        style: ``pytorch`` strides in a Bottleneck's 3x3 convolution, ``caffe`` in its first 1x1.
        strides: of each stage's first block.
        dilations: of each stage.
        norm_eps: what every BatchNorm adds to the variance.
    """

    num_fixed_blocks: ClassVar[int] = 1

    depth: int
    base_channels: int = 64
    in_channels: int = 3
    num_classes: int | None = None
    style: str = "pytorch"
    strides: tuple[int, ...] = (1, 2, 2, 2)
    dilations: tuple[int, ...] = (1, 1, 1, 1)
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.depth not in _DEPTHS:
            raise ValueError(f"depth={self.depth} of ResNet: wanted one of {sorted(_DEPTHS)}")

    @property
    def convs_per_block(self) -> int:
        """2 for BasicBlock, 3 for Bottleneck."""
        return _DEPTHS[self.depth][0]

    @property
    def stage_blocks(self) -> tuple[int, ...]:
        """Number of residual blocks in each stage."""
        return _DEPTHS[self.depth][1]

    @property
    def expansion(self) -> int:
        """Output channels of a block over its inner channels."""
        return 4 if self.convs_per_block == 3 else 1

    @property
    def feature_channels(self) -> int:
        """Channels that the classifier reads."""
        return self.base_channels * 2 ** (len(self.stage_blocks) - 1) * self.expansion

    def spaces(self) -> dict[str, Space]:
        """The stem, each stage's residual stream, the inner widths of each block, the ends."""
        spaces = {"image": Space(self.in_channels, grows=False), "stem": Space(self.base_channels)}
        for s, num_blocks in enumerate(self.stage_blocks, start=1):
            inner = self.base_channels * 2 ** (s - 1)
            spaces[f"stage{s}"] = Space(inner * self.expansion)
            for b in range(num_blocks):
                for c in range(1, self.convs_per_block):
                    spaces[f"block{s}.{b}.conv{c}"] = Space(inner)
        if self.num_classes is not None:
            spaces["classes"] = Space(self.num_classes, grows=False)
        if self.expansion == 1:
            # Without expansion the first stage has no projection: its blocks add to the stem.
            del spaces["stage1"]
        return spaces

    def rules(self) -> dict[str, Rule]:
        """The rule of every tensor of an ImageClassifier with this backbone."""
        conv1 = _conv("backbone.conv1", out("stem"), inp("image"), 7)
        rules = conv1 | _batch_norm("backbone.bn1", "stem")
        previous = "stem"
        for s, num_blocks in enumerate(self.stage_blocks, start=1):
            stage = "stem" if s == 1 and self.expansion == 1 else f"stage{s}"
            for b in range(num_blocks):
                block = self._block_table("{stage}" if b else "{previous}", "{stage}")
                if previous != stage and b == 0:
                    block |= _conv(_BLOCK + "downsample.0", out("{stage}"), inp("{previous}"), 1)
                    block |= _batch_norm(_BLOCK + "downsample.1", "{stage}")
                rules |= expand(block, [{"s": s, "b": b, "stage": stage, "previous": previous}])
            previous = stage
        if self.num_classes is not None:
            rules["head.fc.weight"] = linear(out("classes"), inp(previous))
            rules["head.fc.bias"] = linear(out("classes"))
        return rules

    def _block_table(self, source: str, target: str) -> dict[str, Rule]:
        inner = [f"block{{s}}.{{b}}.conv{c}" for c in range(1, self.convs_per_block)]
        kernels = (3, 3) if self.convs_per_block == 2 else (1, 3, 1)
        widths = [source, *inner, target]
        table = {}
        for c, kernel in enumerate(kernels):
            table |= _conv(f"{_BLOCK}conv{c + 1}", out(widths[c + 1]), inp(widths[c]), kernel)
            last = c + 1 == self.convs_per_block
            table |= _batch_norm(f"{_BLOCK}bn{c + 1}", widths[c + 1], closes=last)
        return table

    def settings(self) -> dict[str, Any]:
        """How each stage strides and dilates, and in which convolution."""
        return dict(
            style=self.style,
            strides=self.strides,
            dilations=self.dilations,
            norm_eps=self.norm_eps,
        )

    def block_prefixes(self) -> tuple[tuple[str, ...], ...]:
        """How the keys of each residual block begin, stage by stage."""
        return tuple(
            tuple(_BLOCK.format(s=s, b=b) for b in range(num_blocks))
            for s, num_blocks in enumerate(self.stage_blocks, start=1)
        )

    def as_deep_as(self, other: ResNetArch) -> ResNetArch:
        """The same widths with the depth of ``other``."""
        return replace(self, depth=other.depth)

    def backbone_only(self) -> ResNetArch:
        """The same backbone without a classifier."""
        return replace(self, num_classes=None)


_BLOCK = "backbone.layer{s}.{b}."


def _conv(module: str, o: Axis, i: Axis, kernel: int) -> dict[str, Rule]:
    return {f"{module}.weight": linear(o, i, fix(kernel), fix(kernel))}


def _batch_norm(module: str, space: str, *, closes: bool = False) -> dict[str, Rule]:
    return {
        f"{module}.weight": norm(space, "batch", closes=closes),
        f"{module}.bias": norm(space, "batch", closes=closes),
        f"{module}.running_mean": buffer(space),
        f"{module}.running_var": buffer(space),
        f"{module}.num_batches_tracked": COUNT,
    }
