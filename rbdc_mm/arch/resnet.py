"""mmpretrain's ResNet (v1b, depths 18 to 152) as a rule table, and the one for small images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rbdc_mm.arch.axes import Rule, Space, expand, inp, out
from rbdc_mm.arch.family import Arch, Config, depth, setting, width
from rbdc_mm.arch.layers import batch_norm, dense
from rbdc_mm.arch.reading import norm_of, refuse

# depth -> (convolutions a block, blocks of each stage); He et al., arXiv 1512.03385, Table 1
DEPTHS = {
    18: (2, (2, 2, 2, 2)),
    34: (2, (3, 4, 6, 3)),
    50: (3, (3, 4, 6, 3)),
    101: (3, (3, 4, 23, 3)),
    152: (3, (3, 8, 36, 3)),
}
# Settings that change tensors in ways the rules do not describe: name -> the value they describe.
_DESCRIBED = {"deep_stem": False, "avg_down": False, "num_stages": 4, "conv_cfg": None}
_BLOCK = "backbone.layer{s}.{b}."
_LEAST_SHARE = 4  # a smaller one of a chain has at least a quarter of the target's channels


@dataclass(frozen=True)
class ResNetArch(Arch):
    """Everything that decides the names and shapes of a ResNet's tensors.

    Attributes:
        depth: 18, 34, 50, 101 or 152.
        base_channels: the width, 64 for the standard networks: of the first stage's inner layers.
        stem_channels: of the stem, None for as many as ``base_channels``.
        in_channels: channels of the image.
        num_classes: outputs of the classifier, None for a backbone alone.
        expansion: output channels of a block over its inner ones, None for the usual 1 of basic
            and 4 of bottleneck blocks.
        style: ``pytorch`` strides in a Bottleneck's 3x3 convolution, ``caffe`` in its first 1x1.
        strides: of each stage's first block.
        dilations: of each stage.
        norm_eps: what every BatchNorm adds to the variance.
    """

    num_fixed_blocks: ClassVar[int] = 1
    free_fields: ClassVar = ("strides", "dilations")  # detectors may dilate a last stage
    stem_kernel: ClassVar[int] = 7
    name: ClassVar[str] = "ResNet"
    smaller_by: ClassVar[str] = (
        "fewer base channels (a multiple of 8, at least a quarter of the target's) or blocks"
    )

    depth: int = depth()
    base_channels: int = width(64)
    stem_channels: int | None = width(None, follows="base_channels")
    in_channels: int = 3
    num_classes: int | None = None
    expansion: int | None = None
    style: str = setting("pytorch")
    strides: tuple[int, ...] = setting((1, 2, 2, 2))
    dilations: tuple[int, ...] = setting((1, 1, 1, 1))
    norm_eps: float = setting(1e-5)

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise ValueError(f"depth={self.depth} of ResNet: wanted one of {sorted(DEPTHS)}")

    @property
    def convs_per_block(self) -> int:
        """2 for BasicBlock, 3 for Bottleneck."""
        return DEPTHS[self.depth][0]

    @property
    def _expansion(self) -> int:
        return self.expansion or (4 if self.convs_per_block == 3 else 1)

    @property
    def feature_channels(self) -> int:
        """The last stage's."""
        return self.base_channels * 8 * self._expansion

    def spaces(self) -> dict[str, Space]:
        """The stem, each stage's residual stream, the inner widths of each block, the ends."""
        stem = Space(self.stem_channels or self.base_channels)
        spaces = {"image": Space(self.in_channels, grows=False), "stem": stem}
        for s, prefixes in enumerate(self.block_prefixes(), start=1):
            inner = self.base_channels * 2 ** (s - 1)
            # Without a projection the first stage's blocks add to the stem.
            if s > 1 or self._projects_first:
                spaces[f"stage{s}"] = Space(inner * self._expansion)
            for b in range(len(prefixes)):
                for c in range(1, self.convs_per_block):
                    spaces[f"block{s}.{b}.conv{c}"] = Space(inner)
        if self.num_classes is not None:
            spaces["classes"] = Space(self.num_classes, grows=False)
        return spaces

    @property
    def _projects_first(self) -> bool:
        stem = self.stem_channels or self.base_channels
        return self.strides[0] != 1 or stem != self.base_channels * self._expansion

    def rules(self) -> dict[str, Rule]:
        """The rule of every tensor of an ImageClassifier with this backbone."""
        stem = dense(
            "backbone.conv1", out("stem"), inp("image"), kernel=self.stem_kernel, bias=False
        )
        rules = stem | batch_norm("backbone.bn1", "stem")
        previous = "stem"
        for s, prefixes in enumerate(self.block_prefixes(), start=1):
            stage = "stem" if s == 1 and not self._projects_first else f"stage{s}"
            for b in range(len(prefixes)):
                block = self._block_table("{stage}" if b else "{previous}", "{stage}")
                if previous != stage and b == 0:
                    block |= dense(
                        _BLOCK + "downsample.0", out("{stage}"), inp("{previous}"), kernel=1,
                        bias=False,
                    )  # fmt: skip
                    block |= batch_norm(_BLOCK + "downsample.1", "{stage}")
                rules |= expand(block, [{"s": s, "b": b, "stage": stage, "previous": previous}])
            previous = stage
        if self.num_classes is not None:
            rules |= dense("head.fc", out("classes"), inp(previous))
        return rules

    def _block_table(self, source: str, target: str) -> dict[str, Rule]:
        inner = [f"block{{s}}.{{b}}.conv{c}" for c in range(1, self.convs_per_block)]
        kernels = (3, 3) if self.convs_per_block == 2 else (1, 3, 1)
        widths = [source, *inner, target]
        table = {}
        for c, kernel in enumerate(kernels, start=1):
            o, i = out(widths[c]), inp(widths[c - 1])
            table |= dense(f"{_BLOCK}conv{c}", o, i, kernel=kernel, bias=False)
            table |= batch_norm(f"{_BLOCK}bn{c}", widths[c], closes=c == self.convs_per_block)
        return table

    def block_prefixes(self) -> tuple[tuple[str, ...], ...]:
        """How the keys of each residual block begin, stage by stage."""
        return tuple(
            tuple(_BLOCK.format(s=s, b=b) for b in range(num_blocks))
            for s, num_blocks in enumerate(DEPTHS[self.depth][1], start=1)
        )

    @classmethod
    def from_config(cls, backbone: Config) -> ResNetArch:
        """Reads mmpretrain's config, or mmdet's, whose stem is as wide as ``base_channels``."""
        refuse(backbone, _DESCRIBED)
        base = backbone.get("base_channels", 64)
        stem = backbone.get("stem_channels") or (base if "mmdet." in backbone["type"] else 64)
        arch = cls(
            depth=backbone["depth"],
            base_channels=base,
            stem_channels=None if stem == base else stem,
            in_channels=backbone.get("in_channels", 3),
            strides=tuple(backbone.get("strides", (1, 2, 2, 2))),
            dilations=tuple(backbone.get("dilations", (1, 1, 1, 1))),
            norm_eps=norm_of(backbone, ("BN", "SyncBN"), 1e-5),
        )
        expansion = backbone.get("expansion")
        # basic blocks have but one place to stride in
        style = backbone.get("style", "pytorch") if arch.convs_per_block == 3 else "pytorch"
        usual = expansion == arch._expansion
        return replace(arch, style=style, expansion=None if usual else expansion)

    def to_config(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """``depth`` and channels of the backbone, ``in_channels`` of the head."""
        stem = self.stem_channels or self.base_channels
        backbone = dict(depth=self.depth, base_channels=self.base_channels, stem_channels=stem)
        if self.expansion:
            backbone["expansion"] = self.expansion
        return backbone, dict(in_channels=self.feature_channels)

    def label(self) -> str:
        """``ResNet-50 x 32`` (base channels), ``ResNet-50 x 128 / 2`` of another expansion."""
        of = f" / {self.expansion}" if self.expansion else ""
        return f"{self.name}-{self.depth} x {self.base_channels}{of}"

    def words(self) -> tuple[str, str]:
        """``('ResNet-50', '32 base channels')``."""
        return f"{self.name}-{self.depth}", f"{self.base_channels} base channels"

    def obstacle(self, target: Arch) -> str | None:
        """Basic blocks and bottlenecks do not become one another."""
        if self.convs_per_block == target.convs_per_block:
            return None
        return "BasicBlock (18, 34) and Bottleneck (50, 101, 152) do not become one another"

    def coupled(self, parents: Sequence[Arch], norm: str = "layer") -> Arch:
        """See ``Arch``."""
        stems = [p.stem_channels or p.base_channels for p in parents]
        coupled = replace(super().coupled(parents, norm), stem_channels=None)
        return coupled._with_stem(sum(stems))

    def _with_stem(self, channels: int) -> ResNetArch:
        return replace(self, stem_channels=None if channels == self.base_channels else channels)

    def smaller(self, target: Arch) -> Iterator[Arch]:
        """Fewer base channels, or fewer blocks of the same kind."""
        for base in range(8, self.base_channels, 8):
            if base * _LEAST_SHARE >= target.base_channels:
                yield self.resized(dict(base_channels=base))
        for blocks, (convs, _) in DEPTHS.items():
            if convs == self.convs_per_block and blocks < self.depth:
                yield replace(self, depth=blocks)


@dataclass(frozen=True)
class ResNetCIFARArch(ResNetArch):
    """mmpretrain's ResNet_CIFAR: a stem of 3x3, without stride and pooling."""

    stem_kernel: ClassVar[int] = 3
    name: ClassVar[str] = "ResNet_CIFAR"
