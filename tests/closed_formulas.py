"""Closed formulas for ViT, ResNet, CLIP's text tower: what `counter` must find, layer by layer.

They share no code with the counter, so that agreement means something. Rules:

* A product of [m, k] and [k, n] is m*k*n multiply-adds (MACs); element-wise work is 0.
* Backward: a layer with weights costs its forward twice, once for the gradient of its input and
  once for that of its weight. The first layer reads the image, which needs no gradient: once.
* The two products inside attention have two factors that need gradients: twice each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ImageSize = int | tuple[int, int]

# depth -> (bottleneck?, blocks per stage)
RESNET_BLOCKS: dict[int, tuple[bool, tuple[int, ...]]] = {
    18: (False, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
    101: (True, (3, 4, 23, 3)),
    152: (True, (3, 8, 36, 3)),
}


@dataclass(frozen=True)
class Macs:
    """Multiply-adds of one sample, forward and backward, nothing frozen."""

    forward: int
    backward: int

    @property
    def forward_flops(self) -> int:
        """FLOPs of the forward, 2 per multiply-add."""
        return 2 * self.forward

    @property
    def backward_flops(self) -> int:
        """FLOPs of the backward, 2 per multiply-add."""
        return 2 * self.backward

    @property
    def train_flops(self) -> int:
        """FLOPs of forward and backward."""
        return self.forward_flops + self.backward_flops


def vit_macs(
    *,
    embed_dims: int,
    num_layers: int,
    feedforward_channels: int | None = None,
    num_classes: int = 1000,
    image_size: ImageSize = 224,
    patch_size: int = 16,
    in_channels: int = 3,
    with_cls_token: bool = True,
) -> Macs:
    """MACs per image of a plain ViT (DeiT) classifier with a linear head.

    The number of heads does not matter: h heads of width D/h cost what one of width D costs.

    Args:
        embed_dims: D, width of the residual stream.
        num_layers: Number of blocks.
        feedforward_channels: Hidden width of the FFN, 4 D by default.
        num_classes: Outputs of the head; 0 for a backbone alone.
        image_size: Pixels, one number or (height, width); what is left over by patches is dropped.
        patch_size: Pixels on a side of a patch.
        in_channels: Channels of the image.
        with_cls_token: Whether one token is added to the patches.
    """
    height, width = _pair(image_size)
    hidden = 4 * embed_dims if feedforward_channels is None else feedforward_channels
    num_patches = (height // patch_size) * (width // patch_size)
    if num_patches == 0:
        raise ValueError(f"image_size {image_size} holds no patch of {patch_size} pixels")
    tokens = num_patches + int(with_cls_token)
    patch_embed = num_patches * embed_dims * in_channels * patch_size**2
    projections = 4 * tokens * embed_dims**2  # q, k, v and the output projection
    attention = 2 * tokens**2 * embed_dims  # q k^T, then weights times v
    ffn = 2 * tokens * embed_dims * hidden
    rest = num_layers * (projections + attention + ffn) + embed_dims * num_classes
    return Macs(forward=patch_embed + rest, backward=patch_embed + 2 * rest)


def text_macs(*, width: int, layers: int, context_length: int, joint: int) -> Macs:
    """MACs per text of CLIP's text tower: every token of the context, whether masked or not.

    Its first layer reads embeddings that are learned, so that everything has both gradients; one
    token of the last layer is projected.
    """
    projections = 4 * context_length * width**2
    attention = 2 * context_length**2 * width
    ffn = 8 * context_length * width**2
    forward = layers * (projections + attention + ffn) + width * joint
    return Macs(forward=forward, backward=2 * forward)


def resnet_macs(
    *,
    depth: int | None = None,
    bottleneck: bool | None = None,
    stage_blocks: Sequence[int] | None = None,
    base_channels: int = 64,
    stem_channels: int | None = None,
    num_classes: int = 1000,
    image_size: ImageSize = 224,
    in_channels: int = 3,
) -> Macs:
    """MACs per image of a ResNet (v1b: stride in the 3x3 convolution) with a linear head.

    Args:
        depth: 18, 34, 50, 101 or 152; or give ``bottleneck`` and ``stage_blocks`` instead.
        bottleneck: Bottleneck blocks (expansion 4) instead of basic ones.
        stage_blocks: Number of blocks of each stage.
        base_channels: Width of the first stage before expansion, doubled by every later one.
        stem_channels: Outputs of the 7x7 stem, ``base_channels`` by default.
        num_classes: Outputs of the head; 0 for a backbone alone.
        image_size: Pixels, one number or (height, width).
        in_channels: Channels of the image.
    """
    if depth is not None:
        if depth not in RESNET_BLOCKS:
            raise ValueError(f"depth must be one of {sorted(RESNET_BLOCKS)}, got {depth}")
        bottleneck, stage_blocks = RESNET_BLOCKS[depth]
    elif bottleneck is None or stage_blocks is None:
        raise ValueError("give either depth, or both bottleneck and stage_blocks")
    stem_out = base_channels if stem_channels is None else stem_channels
    size = _conv_size(_pair(image_size), kernel=7, stride=2)
    stem = size[0] * size[1] * stem_out * in_channels * 49
    size = _conv_size(size, kernel=3, stride=2)  # max-pool
    expansion = 4 if bottleneck else 1
    rest, channels_in = 0, stem_out
    for stage, num_blocks in enumerate(stage_blocks):
        width = base_channels * 2**stage
        channels_out = width * expansion
        for block in range(num_blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            before, size = size, _conv_size(size, kernel=3, stride=stride)
            pixels_in, pixels = before[0] * before[1], size[0] * size[1]
            if bottleneck:
                rest += pixels_in * channels_in * width  # 1x1, before the stride
                rest += pixels * width * width * 9
                rest += pixels * width * channels_out
            else:
                rest += pixels * channels_in * width * 9
                rest += pixels * width * width * 9
            if stride != 1 or channels_in != channels_out:
                rest += pixels * channels_in * channels_out  # 1x1 on the shortcut
            channels_in = channels_out
    rest += channels_in * num_classes
    return Macs(forward=stem + rest, backward=stem + 2 * rest)


def _pair(image_size: ImageSize) -> tuple[int, int]:
    return (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)


def _conv_size(size: tuple[int, int], *, kernel: int, stride: int) -> tuple[int, int]:
    # Padding is kernel // 2 everywhere in a ResNet.
    height, width = ((n + 2 * (kernel // 2) - kernel) // stride + 1 for n in size)
    return height, width
