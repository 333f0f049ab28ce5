"""The text tower of mmpretrain's CLIP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rbdc_mm.arch.axes import Rule, Space, expand, fix, inp, linear, norm, out
from rbdc_mm.arch.family import Arch, Config, depth, width
from rbdc_mm.arch.layers import both, dense

VOCAB_SIZE, CONTEXT_LENGTH = 49408, 77  # OpenAI's
_FFN_RATIO = 4
_HEAD_WIDTH = 64
_EPS = 1e-5
_BLOCK = "transformer.resblocks.{i}."


@dataclass(frozen=True)
class TextArch(Arch):
    """Everything that decides the names and shapes of a text tower's tensors.

    Attributes:
        text_width: of the residual stream; the FFN is four times as wide.
        text_layers: depth.
        text_heads: attention heads.
        vocab_size: tokens that there are.
        context_length: tokens of a text.
    """

    num_classes: ClassVar[None] = None

    text_width: int = width()
    text_layers: int = depth()
    text_heads: int = width(ordered=False, follows="text_width")
    vocab_size: int = VOCAB_SIZE
    context_length: int = CONTEXT_LENGTH

    @property
    def feature_channels(self) -> int:
        """The residual stream's."""
        return self.text_width

    def spaces(self) -> dict[str, Space]:
        """residual, heads, ffn."""
        return {
            "residual": Space(self.text_width, mean_free=True),
            "heads": Space(self.text_width, unit=self.text_width // self.text_heads),
            "ffn": Space(_FFN_RATIO * self.text_width),
        }

    def rules(self) -> dict[str, Rule]:
        """The rule of every tensor but the projection."""
        layers = expand(self._layer_table(), ({"i": i} for i in range(self.text_layers)))
        return {
            "token_embedding.weight": linear(fix(self.vocab_size), out("residual")),
            "positional_embedding": linear(fix(self.context_length), out("residual")),
            **layers,
            **both("ln_final", norm("residual", "layer")),
        }

    def _layer_table(self) -> dict[str, Rule]:
        layer_norm, packed = norm("residual", "layer"), out("heads", pack=3)
        return {
            **both(_BLOCK + "ln_1", layer_norm),
            _BLOCK + "attn.in_proj_weight": linear(packed, inp("residual")),
            _BLOCK + "attn.in_proj_bias": linear(packed),
            **dense(_BLOCK + "attn.out_proj", out("residual"), inp("heads"), closes=True),
            **both(_BLOCK + "ln_2", layer_norm),
            **dense(_BLOCK + "mlp.c_fc", out("ffn"), inp("residual")),
            **dense(_BLOCK + "mlp.c_proj", out("residual"), inp("ffn"), closes=True),
        }

    def block_prefixes(self) -> tuple[tuple[str, ...], ...]:
        """How the keys of each layer begin, in one stage."""
        return (tuple(_BLOCK.format(i=i) for i in range(self.text_layers)),)

    def norm_eps_of(self, space: str) -> float:
        """torch's own, of every LayerNorm; no config says another."""
        return _EPS

    @classmethod
    def from_config(cls, backbone: Config) -> TextArch:
        """Reads ``model.text_backbone``."""
        sizes = text_sizes(backbone)
        return cls(*(sizes[name] for name in ("width", "layers", "heads")))

    def to_config(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """For ``model.text_backbone``, and what reads its features."""
        sizes = dict(width=self.text_width, layers=self.text_layers, heads=self.text_heads)
        return sizes, dict(in_channels=self.text_width)

    def label(self) -> str:
        """``384x12`` (width, layers)."""
        return f"{self.text_width}x{self.text_layers}"


def text_sizes(text: Config) -> dict[str, int]:
    """``model.text_backbone``, complete; ValueError for other keys, or heads that do not divide."""
    if not {"width", "layers"} <= set(text) <= {"width", "layers", "heads"}:
        raise ValueError(
            f"model.text_backbone={dict(text)}: wanted width, layers and, if they are not "
            f"{_HEAD_WIDTH} wide, heads"
        )
    width, layers, heads = (text.get(key) for key in ("width", "layers", "heads"))
    heads = width // _HEAD_WIDTH if heads is None else heads
    if heads < 1 or width % heads:
        raise ValueError(
            f"model.text_backbone: width={width} with heads={heads}; wanted heads that divide the "
            f"width (by default they are {_HEAD_WIDTH} wide)"
        )
    return dict(width=width, layers=layers, heads=heads)
