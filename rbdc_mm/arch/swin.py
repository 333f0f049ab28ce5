"""mmpretrain's SwinTransformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rbdc_mm.arch.axes import (
    Rule,
    Space,
    constant,
    expand,
    fix,
    inp,
    linear,
    norm,
    out,
    per_unit,
)
from rbdc_mm.arch.family import Arch, Config, depth, setting, width
from rbdc_mm.arch.layers import both, dense, stages
from rbdc_mm.arch.reading import from_zoo, norm_of, refuse

# Liu et al., arXiv 2103.14030, section 3.3: embed_dims, depths, heads of the first stage
_ZOO = {
    "tiny": (96, (2, 2, 6, 2), 3), "small": (96, (2, 2, 18, 2), 3),
    "base": (128, (2, 2, 18, 2), 4), "large": (192, (2, 2, 18, 2), 6),
}  # fmt: skip
# Settings that change tensors in ways the rules do not describe: name -> the value they describe.
_DESCRIBED = {
    "use_abs_pos_embed": False, "patch_cfg": {}, "stage_cfgs": {}, "out_after_downsample": False,
}  # fmt: skip
_FFN_RATIO = 4
_EPS = 1e-5
_BLOCK = "backbone.stages.{i}.blocks.{j}."


@dataclass(frozen=True)
class SwinArch(Arch):
    """Everything that decides the names and shapes of a SwinTransformer's tensors.

    Attributes:
        embed_dims: width of the first stage; each further one is twice as wide.
        depths: blocks of each stage; every other one shifts its windows.
        num_heads: attention heads of each stage.
        patch_size: side of a patch, in pixels.
        in_channels: channels of the image.
        norm_stages: stages whose output is normalised; a classifier's is the last.
        num_classes: outputs of the classifier, None for a backbone alone.
        window_size: side of the attention's windows, in tokens.
        pad_small_map: whether maps smaller than a window are padded to it.
        norm_eps: what every LayerNorm adds to the variance.
    """

    blocks_move_by: ClassVar[int] = 2  # a block and the one that shifts
    added_tensors: ClassVar = tuple(
        f"norm{i}.{name}" for i in range(3) for name in ("weight", "bias")
    )
    free_fields: ClassVar = ("norm_stages", "pad_small_map")
    zoo = {
        alias: dict(embed_dims=dims, depths=depths, num_heads=tuple(heads * 2**i for i in range(4)))
        for name, (dims, depths, heads) in _ZOO.items()
        for alias in (name, name[0])
    }

    embed_dims: int = width()
    depths: tuple[int, ...] = depth()
    num_heads: tuple[int, ...] = width(ordered=False)
    patch_size: int = 4
    in_channels: int = 3
    norm_stages: tuple[int, ...] = (3,)
    num_classes: int | None = None
    window_size: int = setting(7)
    pad_small_map: bool = setting(False)
    norm_eps: float = setting(_EPS)

    def __post_init__(self) -> None:
        for channels, heads in zip(self._channels, self.num_heads, strict=True):
            if channels % heads:
                raise ValueError(f"{heads} heads do not divide the {channels} channels of a stage")

    @property
    def _channels(self) -> tuple[int, ...]:
        return tuple(self.embed_dims * 2**i for i in range(len(self.depths)))

    @property
    def feature_channels(self) -> int:
        """The last stage's."""
        return self._channels[-1]

    def spaces(self) -> dict[str, Space]:
        """Each stage's residual stream and heads, the hidden width of each block, the ends.

        All but the last stream are also read by a norm over four neighbouring tokens together,
        which removes the mean of all four and not that of each.
        """
        spaces, last = {"image": Space(self.in_channels, grows=False)}, len(self.depths) - 1
        for i, (channels, heads) in enumerate(zip(self._channels, self.num_heads, strict=True)):
            spaces[f"stage{i}"] = Space(channels, mean_free=i == last)
            for j in range(self.depths[i]):
                spaces[f"heads{i}.{j}"] = Space(channels, unit=channels // heads)
                spaces[f"ffn{i}.{j}"] = Space(_FFN_RATIO * channels)
        if self.num_classes is not None:
            spaces["classes"] = Space(self.num_classes, grows=False)
        return spaces

    def rules(self) -> dict[str, Rule]:
        """The rule of every tensor of an ImageClassifier with this backbone."""
        patches, last = "backbone.patch_embed.", len(self.depths) - 1
        rules = {
            **dense(f"{patches}projection", out("stage0"), inp("image"), kernel=self.patch_size),
            **both(f"{patches}norm", norm("stage0", "layer")),
        }
        for i in range(last):
            down, four = f"backbone.stages.{i}.downsample.", inp(f"stage{i}", 4, interleaved=True)
            packed = out(f"stage{i}", 4, interleaved=True)
            rules |= both(f"{down}norm", norm(packed, "layer"))
            rules |= dense(f"{down}reduction", out(f"stage{i + 1}"), four, bias=False)
        places = [{"i": i, "j": j} for i, n in enumerate(self.depths) for j in range(n)]
        rules |= expand(self._block_table(), places)
        for i in self.norm_stages:
            rules |= both(f"backbone.norm{i}", norm(f"stage{i}", "layer"))
        if self.num_classes is not None:
            rules |= dense("head.fc", out("classes"), inp(f"stage{last}"))
        return rules

    def _block_table(self) -> dict[str, Rule]:
        stage, heads, ffn, w = "stage{i}", "heads{i}.{j}", "ffn{i}.{j}", _BLOCK + "attn.w_msa."
        tokens, offsets = fix(self.window_size**2), fix((2 * self.window_size - 1) ** 2)
        return {
            **both(_BLOCK + "norm1", norm(stage, "layer")),
            f"{w}relative_position_bias_table": linear(offsets, per_unit(heads)),
            f"{w}relative_position_index": constant(tokens, tokens),
            **dense(f"{w}qkv", out(heads, pack=3), inp(stage)),
            **dense(f"{w}proj", out(stage), inp(heads), closes=True),
            **both(_BLOCK + "norm2", norm(stage, "layer")),
            **dense(_BLOCK + "ffn.layers.0.0", out(ffn), inp(stage)),
            **dense(_BLOCK + "ffn.layers.1", out(stage), inp(ffn), closes=True),
        }

    def block_prefixes(self) -> tuple[tuple[str, ...], ...]:
        """How the keys of each block begin, stage by stage."""
        return stages(_BLOCK, self.depths)

    @classmethod
    def from_config(cls, backbone: Config) -> SwinArch:
        """Reads mmpretrain's config, or mmdet's, which names sizes one by one."""
        refuse(backbone, _DESCRIBED)
        sizes, eps = backbone.get("arch", "tiny"), norm_of(backbone, ("LN",), _EPS)
        named = {k: backbone[k] for k in cls.zoo["tiny"] if k in backbone}
        is_mmdets = bool(named) or "mmdet." in backbone["type"]
        if is_mmdets:
            given = {**backbone, "strides": tuple(backbone.get("strides", (4, 2, 2, 2)))}
            refuse(given, {"mlp_ratio": 4, "strides": (4, 2, 2, 2), "patch_norm": True,
                              "qkv_bias": True, "qk_scale": None})  # fmt: skip
            sizes = cls.zoo["tiny"] | named
        elif eps != _EPS or not backbone.get("norm_cfg", True):
            raise ValueError(
                f"model.backbone.norm_cfg={backbone['norm_cfg']!r}: mmpretrain's Swin gives it to "
                f"its outputs alone; wanted LayerNorms of eps {_EPS:g}, as in its blocks"
            )
        sizes = from_zoo(cls, sizes) if isinstance(sizes, str) else sizes
        stages = backbone.get("out_indices", (3,))
        return cls(
            embed_dims=sizes["embed_dims"],
            depths=tuple(sizes["depths"]),
            num_heads=tuple(sizes["num_heads"]),
            patch_size=backbone.get("patch_size", 4),
            in_channels=backbone.get("in_channels", 3),
            norm_stages=tuple(i % len(sizes["depths"]) for i in stages),
            window_size=backbone.get("window_size", 7),
            # mmdet shifts windows in maps of one window, too
            pad_small_map=backbone.get("pad_small_map", is_mmdets),
            norm_eps=eps,
        )

    def to_config(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """``arch`` of the backbone, ``in_channels`` of the head."""
        arch = dict(
            embed_dims=self.embed_dims, depths=list(self.depths), num_heads=list(self.num_heads)
        )
        return dict(arch=arch), dict(in_channels=self.feature_channels)

    def label(self) -> str:
        """``Swin-T`` where the sizes are published, else ``Swin 48x2-2-6-2 / 1-2-4-8`` (heads)."""
        name, blocks = self.zoo_name(), "-".join(map(str, self.depths))
        own = f"Swin {self.embed_dims}x{blocks} / {'-'.join(map(str, self.num_heads))}"
        return f"Swin-{name[0].upper()}" if name and self.patch_size == 4 else own

    def words(self) -> tuple[str, str]:
        """``('Swin-T', '96 to 768 channels')``."""
        return self.label(), f"{self.embed_dims} to {self.feature_channels} channels"
