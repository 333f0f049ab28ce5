"""mmpretrain's VisionTransformer: the DeiT family and any ``arch`` dict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rbdc_mm.arch.axes import Rule, Space, expand, fix, gain, inp, linear, norm, out
from rbdc_mm.arch.family import Arch, Config, depth, setting, width
from rbdc_mm.arch.layers import both, dense
from rbdc_mm.arch.reading import as_pair, from_zoo, norm_of, refuse

# Touvron et al., arXiv 2012.12877, Table 1; Dosovitskiy et al., arXiv 2010.11929, Table 1
_LABELS = {
    (192, 3, 12, 768): "DeiT-Ti", (384, 6, 12, 1536): "DeiT-S", (768, 12, 12, 3072): "DeiT-B",
    (1024, 16, 24, 4096): "ViT-L", (1280, 16, 32, 5120): "ViT-H",
}  # fmt: skip
_SIZES = ("embed_dims", "num_layers", "num_heads", "feedforward_channels")
_ZOO = {
    "deit-tiny deit-t": (192, 12, 3, 768),
    "deit-small deit-s dinov2-s dinov2-small": (384, 12, 6, 1536),
    "deit-base deit-b base b": (768, 12, 12, 3072),
    "small s": (768, 8, 8, 2304),
    "large l": (1024, 24, 16, 4096),
    "huge h": (1280, 32, 16, 5120),
    "eva-giant eva-g": (1408, 40, 16, 6144),
    "dinov2-giant dinov2-g": (1536, 40, 24, 6144),
}
_LEAST_HEADS = 3  # DeiT-Ti's, the smallest of its family
_DEEP = 12  # layers beyond which a smaller model is half as deep


@dataclass(frozen=True)
class ViTArch(Arch):
    """Everything that decides the names and shapes of a VisionTransformer's tensors.

    Attributes:
        embed_dims: width of the residual stream, in channels.
        num_layers: depth.
        num_heads: attention heads; ``embed_dims / num_heads`` is the indivisible ``head_dim``.
        feedforward_channels: hidden width of the FFN.
        img_size: (height, width) of the pretraining images, in pixels: as many patches in another
            grid are other places.
        patch_size: side of a patch, in pixels; images are padded to whole patches.
        in_channels: channels of the image.
        with_cls_token: whether a class token stands before the patch tokens.
        qkv_bias: whether q, k and v have a bias.
        final_norm: whether a LayerNorm follows the last layer.
        pooled_norm: whether a LayerNorm follows average pooling (``out_type='avg_featmap'``).
        layer_scale: whether attention and FFN outputs have a learned gain.
        num_classes: outputs of the classifier, None for a backbone alone.
        hidden_dim: width of the classifier's hidden layer, None without one.
        norm_blocks: widths that LayerNorm normalises each on its own (BlockLayerNorm), empty for
            the ordinary LayerNorm over all channels.
        norm_eps: what every LayerNorm adds to the variance.
    """

    head: ClassVar[str] = "VisionTransformerClsHead"
    # settings that change tensors in ways the rules do not describe: the values that they do
    described: ClassVar = {"pre_norm": False, "layer_cfgs": {}, "patch_cfg": {}}
    variants: ClassVar[tuple[type[ViTArch], ...]] = ()  # families of the same backbone
    free_tensors: ClassVar = ("pos_embed", "ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias")
    free_fields: ClassVar = ("img_size", "final_norm", "pooled_norm", "with_cls_token")
    zoo = {
        name: dict(zip(_SIZES, sizes, strict=True))
        for names, sizes in _ZOO.items()
        for name in names.split()
    }
    smaller_by: ClassVar[str] = (
        f"whole heads fewer (at least {_LEAST_HEADS}), half as deep where there are over {_DEEP} "
        "layers"
    )

    embed_dims: int = width()
    num_layers: int = depth()
    num_heads: int = width(ordered=False)
    feedforward_channels: int = width()
    img_size: tuple[int, int] = setting((224, 224))
    patch_size: int = 16
    in_channels: int = 3
    with_cls_token: bool = True
    qkv_bias: bool = True
    final_norm: bool = True
    pooled_norm: bool = False
    layer_scale: bool = False
    num_classes: int | None = None
    hidden_dim: int | None = width(None, ordered=False, follows="embed_dims")
    norm_blocks: tuple[int, ...] = ()
    norm_eps: float = setting(1e-6)

    def __post_init__(self) -> None:
        if self.embed_dims % self.num_heads:
            raise ValueError(
                f"num_heads={self.num_heads} does not divide embed_dims={self.embed_dims}"
            )
        if self.norm_blocks and sum(self.norm_blocks) != self.embed_dims:
            raise ValueError(
                f"norm_blocks={self.norm_blocks} add up to {sum(self.norm_blocks)}, "
                f"wanted embed_dims={self.embed_dims}"
            )

    @property
    def feature_channels(self) -> int:
        """The embedding's."""
        return self.embed_dims

    @property
    def pre_logits_channels(self) -> int:
        """The hidden layer's, where there is one."""
        return self.hidden_dim or self.embed_dims

    @property
    def num_tokens(self) -> int:
        """Patch tokens plus the class token."""
        height, width = (-(-side // self.patch_size) for side in self.img_size)
        return height * width + self.with_cls_token

    def spaces(self) -> dict[str, Space]:
        """residual, heads, ffn, image, and the classifier's widths."""
        mean_free = self.final_norm and not self.norm_blocks
        spaces = {
            "residual": Space(self.embed_dims, mean_free=mean_free),
            "heads": Space(self.embed_dims, unit=self.embed_dims // self.num_heads),
            "ffn": Space(self.feedforward_channels),
            "image": Space(self.in_channels, grows=False),
        }
        if self.hidden_dim is not None:
            spaces["hidden"] = Space(self.hidden_dim)
        if self.num_classes is not None:
            spaces["classes"] = Space(self.num_classes, grows=False)
        return spaces

    def rules(self) -> dict[str, Rule]:
        """The rule of every tensor of an ImageClassifier with this backbone."""
        patches = "backbone.patch_embed.projection"
        table = {
            "backbone.pos_embed": linear(fix(1), fix(self.num_tokens), out("residual")),
            **dense(patches, out("residual"), inp("image"), kernel=self.patch_size),
        }
        if self.with_cls_token:
            table["backbone.cls_token"] = linear(fix(1), fix(1), out("residual"))
        if self.final_norm:
            table |= both("backbone.ln1", self._norm())
        if self.pooled_norm:
            table |= both("backbone.ln2", self._norm(again=self.final_norm))
        layers = expand(self._layer_table(), ({"i": i} for i in range(self.num_layers)))
        return table | layers | self._head_table()

    def _norm(self, *, again: bool = False) -> Rule:
        return norm("residual", "layer", blocks=self.norm_blocks, again=again)

    def _layer_table(self) -> dict[str, Rule]:
        p = "backbone.layers.{i}."
        gamma1 = p + "attn.gamma1.weight" if self.layer_scale else None
        gamma2 = p + "ffn.gamma2.weight" if self.layer_scale else None
        table = {
            **both(p + "ln1", self._norm()),
            **both(p + "ln2", self._norm()),
            **dense(p + "attn.qkv", out("heads", pack=3), inp("residual"), bias=self.qkv_bias),
            **dense(p + "attn.proj", out("residual"), inp("heads"), scaled_by=gamma1, closes=True),
            **dense(p + "ffn.layers.0.0", out("ffn"), inp("residual")),
            **dense(p + "ffn.layers.1", out("residual"), inp("ffn"), scaled_by=gamma2, closes=True),
        }
        if gamma1 and gamma2:
            table |= {gamma1: gain("residual"), gamma2: gain("residual")}
        return table

    def _head_table(self) -> dict[str, Rule]:
        if self.num_classes is None:
            return {}
        features = "residual" if self.hidden_dim is None else "hidden"
        table = dense("head.layers.head", out("classes"), inp(features))
        if self.hidden_dim is not None:
            table |= dense("head.layers.pre_logits", out("hidden"), inp("residual"))
        return table

    def block_prefixes(self) -> tuple[tuple[str, ...], ...]:
        """How the keys of each layer begin, in one stage."""
        return (tuple(f"backbone.layers.{i}." for i in range(self.num_layers)),)

    @classmethod
    def from_config(cls, backbone: Config) -> ViTArch:
        """Reads mmpretrain's config, or that of our backbone which is coupled with block norms."""
        for variant in cls.variants if cls is ViTArch else ():
            if variant.is_of(backbone):
                return variant.from_config(backbone)
        refuse(backbone, cls.described)
        sizes = backbone.get("arch", "base")
        sizes = from_zoo(cls, sizes) if isinstance(sizes, str) else sizes
        return cls(
            **{name: sizes[name] for name in _SIZES},
            img_size=as_pair(backbone.get("img_size", 224)),
            patch_size=backbone.get("patch_size", 16),
            in_channels=backbone.get("in_channels", 3),
            with_cls_token=backbone.get("with_cls_token", True),
            qkv_bias=backbone.get("qkv_bias", True),
            final_norm=backbone.get("final_norm", True),
            pooled_norm=backbone.get("out_type") == "avg_featmap",
            layer_scale=backbone.get("layer_scale_init_value", 0.0) > 0,
            norm_blocks=_norm_blocks(backbone, sizes["embed_dims"]),
            norm_eps=norm_of(backbone, ("LN", "BlockLayerNorm"), 1e-6),
        )

    def with_head(self, head: Config) -> Arch:
        """See ``Arch``; with the head's hidden layer."""
        return replace(super().with_head(head), hidden_dim=head.get("hidden_dim"))

    def backbone_only(self) -> ViTArch:
        """The same backbone without a classifier."""
        return replace(self, num_classes=None, hidden_dim=None)

    def to_config(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """``arch`` and ``norm_cfg`` of the backbone, ``in_channels`` of the head."""
        norm_cfg = dict(type="LN", eps=self.norm_eps)
        if self.norm_blocks:
            norm_cfg = dict(type="rbdc_mm.BlockLayerNorm", blocks=list(self.norm_blocks),
                            eps=self.norm_eps)  # fmt: skip
        arch = {name: getattr(self, name) for name in _SIZES}
        hidden = {} if self.hidden_dim is None else dict(hidden_dim=self.hidden_dim)
        return dict(arch=arch, norm_cfg=norm_cfg), dict(in_channels=self.embed_dims, **hidden)

    def label(self) -> str:
        """``DeiT-S`` where the sizes are published, else ``ViT 64x6`` (width, layers)."""
        sizes = self.embed_dims, self.num_heads, self.num_layers, self.feedforward_channels
        plain = self.patch_size == 16 and not self.norm_blocks
        return (_LABELS if plain else {}).get(sizes, f"ViT {self.embed_dims}x{self.num_layers}")

    def words(self) -> tuple[str, str]:
        """``('DeiT-Ti', '192 wide, 3 heads')``."""
        heads = "1 head" if self.num_heads == 1 else f"{self.num_heads} heads"
        return self.label(), f"{self.embed_dims} wide, {heads}"

    def coupled(self, parents: Sequence[Arch], norm: str = "layer") -> Arch:
        """See ``Arch``; block norms are those of the parents side by side."""
        coupled = super().coupled(parents)
        if norm == "layer":
            return coupled
        blocks = (p.norm_blocks or (p.embed_dims,) for p in parents)
        return replace(coupled, norm_blocks=sum(blocks, ()))

    def with_plain_norms(self) -> ViTArch:
        """The same network with LayerNorms over all channels."""
        return replace(self, norm_blocks=())

    def smaller(self, target: Arch) -> Iterator[ViTArch]:
        """Fewer whole heads, at half the depth where it is deep."""
        layers = self.num_layers
        if layers > _DEEP and layers % 2 == 0:
            layers //= 2
        for heads in range(_LEAST_HEADS, self.num_heads + (layers < self.num_layers)):
            whole = {name: value * heads for name, value in self.widths().items()}
            if any(size % self.num_heads for size in whole.values()):
                continue
            sizes = {name: size // self.num_heads for name, size in whole.items()}
            yield replace(self, **sizes, num_layers=layers, norm_blocks=())


def _norm_blocks(backbone: Config, embed_dims: int) -> tuple[int, ...]:
    """Blocks of a BlockLayerNorm in ``norm_cfg``, or those an RBDC backbone's ``norm`` gives."""
    if backbone.get("norm", "layer") != "block":
        return tuple((backbone.get("norm_cfg") or {}).get("blocks", ()))
    if backbone.get("norm_blocks"):
        return tuple(backbone["norm_blocks"])
    count = len(backbone.get("parents", ()))
    if not count or embed_dims % count:
        raise ValueError(
            f"norm='block' cannot cut embed_dims={embed_dims} evenly among {count} parents: "
            "give norm_blocks=(width of each parent)"
        )
    return (embed_dims // count,) * count
