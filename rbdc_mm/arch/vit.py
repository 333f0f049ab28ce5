"""mmpretrain's VisionTransformer (the DeiT family and any ``arch`` dict) as a rule table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rbdc_mm.arch.axes import Axis, Rule, Space, expand, fix, gain, inp, linear, norm, out

# (embed_dims, num_heads, num_layers); Touvron et al., arXiv 2012.12877, Table 1
_DEIT = {(192, 3, 12): "DeiT-Ti", (384, 6, 12): "DeiT-S", (768, 12, 12): "DeiT-B"}


@dataclass(frozen=True)
class ViTArch:
    """Everything that decides the names and shapes of a VisionTransformer's tensors.

    Attributes:
        embed_dims: width of the residual stream, in channels.
        num_layers: depth.
        num_heads: attention heads; ``embed_dims / num_heads`` is the indivisible ``head_dim``.
        feedforward_channels: hidden width of the FFN.
        img_size: (height, width) of the pretraining images, in pixels.
        patch_size: side of a patch, in pixels.
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

    num_fixed_blocks: ClassVar[int] = 0

    embed_dims: int
    num_layers: int
    num_heads: int
    feedforward_channels: int
    img_size: tuple[int, int] = (224, 224)
    patch_size: int = 16
    in_channels: int = 3
    with_cls_token: bool = True
    qkv_bias: bool = True
    final_norm: bool = True
    pooled_norm: bool = False
    layer_scale: bool = False
    num_classes: int | None = None
    hidden_dim: int | None = None
    norm_blocks: tuple[int, ...] = ()
    norm_eps: float = 1e-6

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
    def family(self) -> str:
        """``DeiT-Ti``, ``DeiT-S`` or ``DeiT-B`` where the sizes are theirs, else ``ViT``."""
        sizes = self.embed_dims, self.num_heads, self.num_layers
        plain = self.patch_size == 16 and self.feedforward_channels == 4 * self.embed_dims
        return _DEIT.get(sizes, "ViT") if plain and not self.norm_blocks else "ViT"

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.embed_dims // self.num_heads

    @property
    def num_tokens(self) -> int:
        """Patch tokens plus the class token."""
        height, width = self.img_size
        patches = (height // self.patch_size) * (width // self.patch_size)
        return patches + self.with_cls_token

    def spaces(self) -> dict[str, Space]:
        """residual, heads, ffn, image, and the classifier's widths."""
        spaces = {
            "residual": Space(self.embed_dims),
            "heads": Space(self.embed_dims, unit=self.head_dim),
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
        fixed, patch = fix(1), fix(self.patch_size)
        table = {
            "backbone.pos_embed": linear(fixed, fix(self.num_tokens), out("residual")),
            "backbone.patch_embed.projection.weight": linear(
                out("residual"), inp("image"), patch, patch
            ),
            "backbone.patch_embed.projection.bias": linear(out("residual")),
        }
        if self.with_cls_token:
            table["backbone.cls_token"] = linear(fixed, fixed, out("residual"))
        if self.final_norm:
            table |= _both("backbone.ln1", self._norm())
        if self.pooled_norm:
            table |= _both("backbone.ln2", self._norm())
        layers = expand(self._layer_table(), ({"i": i} for i in range(self.num_layers)))
        return table | layers | self._head_table()

    def _norm(self) -> Rule:
        return norm("residual", "layer", blocks=self.norm_blocks)

    def _layer_table(self) -> dict[str, Rule]:
        layer = "backbone.layers.{i}."
        gamma1 = layer + "attn.gamma1.weight" if self.layer_scale else None
        gamma2 = layer + "ffn.gamma2.weight" if self.layer_scale else None
        table = {
            **_both(layer + "ln1", self._norm()),
            **_both(layer + "ln2", self._norm()),
            **_dense(layer + "attn.qkv", out("heads", pack=3), inp("residual")),
            **_dense(layer + "attn.proj", out("residual"), inp("heads"), gamma1, closes=True),
            **_dense(layer + "ffn.layers.0.0", out("ffn"), inp("residual")),
            **_dense(layer + "ffn.layers.1", out("residual"), inp("ffn"), gamma2, closes=True),
        }
        if not self.qkv_bias:
            del table[layer + "attn.qkv.bias"]
        if gamma1 and gamma2:
            table |= {gamma1: gain("residual"), gamma2: gain("residual")}
        return table

    def _head_table(self) -> dict[str, Rule]:
        if self.num_classes is None:
            return {}
        features = "residual" if self.hidden_dim is None else "hidden"
        table = _dense("head.layers.head", out("classes"), inp(features))
        if self.hidden_dim is not None:
            table |= _dense("head.layers.pre_logits", out("hidden"), inp("residual"))
        return table

    def settings(self) -> dict[str, Any]:
        """The image's sides: as many patches in another grid are other places."""
        return {"img_size": self.img_size, "norm_eps": self.norm_eps}

    def block_prefixes(self) -> tuple[tuple[str, ...], ...]:
        """How the keys of each layer begin, in one stage."""
        return (tuple(f"backbone.layers.{i}." for i in range(self.num_layers)),)

    def as_deep_as(self, other: ViTArch) -> ViTArch:
        """The same widths with the depth of ``other``."""
        return replace(self, num_layers=other.num_layers)

    def backbone_only(self) -> ViTArch:
        """The same backbone without a classifier."""
        return replace(self, num_classes=None, hidden_dim=None)


def _both(module: str, rule: Rule) -> dict[str, Rule]:
    return {f"{module}.weight": rule, f"{module}.bias": rule}


def _dense(
    module: str, o: Axis, i: Axis, scaled_by: str | None = None, *, closes: bool = False
) -> dict[str, Rule]:
    return {
        f"{module}.weight": linear(o, i, scaled_by=scaled_by, closes=closes),
        f"{module}.bias": linear(o, scaled_by=scaled_by, closes=closes),
    }
