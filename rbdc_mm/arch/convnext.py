"""mmpretrain's ConvNeXt (v1; v2's GRN couples all channels of a block and is not described)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rbdc_mm.arch.axes import Rule, Space, expand, fix, gain, inp, norm, out
from rbdc_mm.arch.family import Arch, Config, depth, setting, width
from rbdc_mm.arch.layers import both, dense, stages
from rbdc_mm.arch.reading import from_zoo, norm_of, refuse

# Liu et al., arXiv 2201.03545, section 2.7; the smaller ones: Woo et al., arXiv 2301.00808
_ZOO = {
    "atto": (40, (2, 2, 6, 2)), "femto": (48, (2, 2, 6, 2)), "pico": (64, (2, 2, 6, 2)),
    "nano": (80, (2, 2, 8, 2)), "tiny": (96, (3, 3, 9, 3)), "small": (96, (3, 3, 27, 3)),
    "base": (128, (3, 3, 27, 3)), "large": (192, (3, 3, 27, 3)), "xlarge": (256, (3, 3, 27, 3)),
    "huge": (352, (3, 3, 27, 3)),
}  # fmt: skip
_LETTERS = {"tiny": "T", "small": "S", "base": "B", "large": "L", "xlarge": "XL", "huge": "H"}
_EXPANSION = 4
_BLOCK = "backbone.stages.{i}.{j}."


@dataclass(frozen=True)
class ConvNeXtArch(Arch):
    """Everything that decides the names and shapes of a ConvNeXt's tensors.

    Attributes:
        channels: of each stage.
        depths: blocks of each stage.
        stem_patch_size: side of the patches that the stem reads, in pixels.
        in_channels: channels of the image.
        linear_pw_conv: whether pointwise convolutions are linear layers.
        layer_scale: whether a block's output has a learned gain.
        norm_stages: stages whose output is normalised; a classifier's is the last.
        num_classes: outputs of the classifier, None for a backbone alone.
        gap_before_final_norm: whether the last map is averaged before it is normalised.
        norm_eps: what every LayerNorm adds to the variance.
    """

    added_tensors: ClassVar = tuple(
        f"norm{i}.{name}" for i in range(3) for name in ("weight", "bias")
    )
    free_fields: ClassVar = ("norm_stages", "gap_before_final_norm")
    zoo = {
        name: dict(channels=tuple(base * 2**i for i in range(4)), depths=depths)
        for name, (base, depths) in _ZOO.items()
    }

    channels: tuple[int, ...] = width()
    depths: tuple[int, ...] = depth()
    stem_patch_size: int = 4
    in_channels: int = 3
    linear_pw_conv: bool = True
    layer_scale: bool = True
    norm_stages: tuple[int, ...] = (3,)
    num_classes: int | None = None
    gap_before_final_norm: bool = setting(True)
    norm_eps: float = setting(1e-6)

    @property
    def feature_channels(self) -> int:
        """The last stage's."""
        return self.channels[-1]

    def spaces(self) -> dict[str, Space]:
        """Each stage's residual stream, the hidden width of each block, the ends.

        Streams are read by convolutions as well as by LayerNorms, so their mean says something.
        """
        spaces = {"image": Space(self.in_channels, grows=False)}
        for i, (channels, num_blocks) in enumerate(zip(self.channels, self.depths, strict=True)):
            spaces[f"stage{i}"] = Space(channels)
            spaces |= {f"hidden{i}.{j}": Space(_EXPANSION * channels) for j in range(num_blocks)}
        if self.num_classes is not None:
            spaces["classes"] = Space(self.num_classes, grows=False)
        return spaces

    def rules(self) -> dict[str, Rule]:
        """The rule of every tensor of an ImageClassifier with this backbone."""
        stem, last = "backbone.downsample_layers.0.", len(self.channels) - 1
        rules = {
            **dense(f"{stem}0", out("stage0"), inp("image"), kernel=self.stem_patch_size),
            **both(f"{stem}1", norm("stage0", "layer")),
        }
        for i in range(1, last + 1):
            down = f"backbone.downsample_layers.{i}."
            rules |= both(f"{down}0", norm(f"stage{i - 1}", "layer"))
            rules |= dense(f"{down}1", out(f"stage{i}"), inp(f"stage{i - 1}"), kernel=2)
        places = [{"i": i, "j": j} for i, n in enumerate(self.depths) for j in range(n)]
        rules |= expand(self._block_table(), places)
        for i in self.norm_stages:
            rules |= both(f"backbone.norm{i}", norm(f"stage{i}", "layer"))
        if self.num_classes is not None:
            rules |= dense("head.fc", out("classes"), inp(f"stage{last}"))
        return rules

    def _block_table(self) -> dict[str, Rule]:
        stage, hidden, gamma = "stage{i}", "hidden{i}.{j}", _BLOCK + "gamma"
        kernel, scaled_by = 0 if self.linear_pw_conv else 1, gamma if self.layer_scale else None
        return {
            **dense(_BLOCK + "depthwise_conv", out(stage), fix(1), kernel=7),
            **both(_BLOCK + "norm", norm(stage, "layer")),
            **dense(_BLOCK + "pointwise_conv1", out(hidden), inp(stage), kernel=kernel),
            **dense(
                _BLOCK + "pointwise_conv2", out(stage), inp(hidden), kernel=kernel,
                scaled_by=scaled_by, closes=True,
            ),
            **({gamma: gain(stage)} if self.layer_scale else {}),
        }  # fmt: skip

    def block_prefixes(self) -> tuple[tuple[str, ...], ...]:
        """How the keys of each block begin, stage by stage."""
        return stages(_BLOCK, self.depths)

    @classmethod
    def from_config(cls, backbone: Config) -> ConvNeXtArch:
        """Reads mmpretrain's config."""
        refuse(backbone, {"use_grn": False, "act_cfg": dict(type="GELU")})
        sizes = backbone.get("arch", "tiny")
        sizes = from_zoo(cls, sizes) if isinstance(sizes, str) else sizes
        stages = backbone.get("out_indices", -1)
        stages = (stages,) if isinstance(stages, int) else tuple(stages)
        return cls(
            channels=tuple(sizes["channels"]),
            depths=tuple(sizes["depths"]),
            stem_patch_size=backbone.get("stem_patch_size", 4),
            in_channels=backbone.get("in_channels", 3),
            linear_pw_conv=backbone.get("linear_pw_conv", True),
            layer_scale=backbone.get("layer_scale_init_value", 1e-6) > 0,
            norm_stages=tuple(i % len(sizes["depths"]) for i in stages),
            gap_before_final_norm=backbone.get("gap_before_final_norm", True),
            norm_eps=norm_of(backbone, ("LN2d", "LN"), 1e-6),
        )

    def to_config(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """``arch`` of the backbone, ``in_channels`` of the head."""
        arch = dict(channels=list(self.channels), depths=list(self.depths))
        return dict(arch=arch), dict(in_channels=self.feature_channels)

    def label(self) -> str:
        """``ConvNeXt-T`` where the sizes are published, else ``ConvNeXt 48x3-3-9-3``."""
        name = self.zoo_name()
        blocks = "-".join(map(str, self.depths))
        plain = name and self.stem_patch_size == 4
        doubled = all(c == self.channels[0] * 2**i for i, c in enumerate(self.channels))
        widths = self.channels[:1] if doubled else self.channels
        own = f"ConvNeXt {'-'.join(map(str, widths))}x{blocks}"
        return f"ConvNeXt-{_LETTERS.get(name, name)}" if plain else own

    def words(self) -> tuple[str, str]:
        """``('ConvNeXt-T', '96 to 768 channels')``."""
        return self.label(), f"{self.channels[0]} to {self.channels[-1]} channels"
