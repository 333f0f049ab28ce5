"""One table of tiny settings drives the tests of every growth operator."""

from __future__ import annotations

from helpers import convnext_model, resnet_model, swin_model, vit_model

VIT = dict(embed_dims=16, num_heads=2, num_layers=2)


def vit(**changes) -> dict:
    return vit_model(**{**VIT, **changes})


def resnet(base_channels: int = 4, depth: int = 18) -> dict:
    return resnet_model(depth=depth, base_channels=base_channels)


def resnet50_inner(base_channels: int) -> dict:
    """A ResNet-101 whose stages are as wide as those of a ResNet-50 of 4 base channels."""
    model = resnet_model(depth=101, base_channels=base_channels)
    model["backbone"] |= dict(stem_channels=4, expansion=16 // base_channels)
    model["head"]["in_channels"] = 128
    return model


# name -> operator, source, target, options, is it exact
TABLE = {
    "embed-vit": ("embed", vit(), vit(embed_dims=32, num_heads=4), {}, False),
    "embed-vit-uneven": ("embed", vit(), vit(embed_dims=24, num_heads=3), {}, False),
    "embed-vit-naive": (
        "embed", vit(), vit(embed_dims=32, num_heads=4), dict(packed="naive"), False,
    ),
    "embed-vit-zero": (
        "embed", vit(), vit(embed_dims=32, num_heads=4), dict(fill="zero_out"), False,
    ),
    "embed-vit-deep": ("embed", vit(), vit(embed_dims=32, num_heads=4, num_layers=5), {}, False),
    "embed-vit-same": ("embed", vit(), vit(), {}, True),
    "embed-resnet": ("embed", resnet(), resnet(6), {}, False),
    "embed-resnet-zero": ("embed", resnet(), resnet(6), dict(fill="zero_out"), True),
    "embed-resnet50-zero": (
        "embed", resnet(depth=50), resnet(6, depth=50), dict(fill="zero_out"), True,
    ),
    "embed-resnet-deep": ("embed", resnet(), resnet(8, depth=34), {}, False),
    "net2net-vit": ("net2net", vit(), vit(embed_dims=32, num_heads=4), dict(noise=0), True),
    "net2net-vit-noise": ("net2net", vit(), vit(embed_dims=32, num_heads=4), {}, False),
    "net2net-vit-deep": (
        "net2net", vit(), vit(embed_dims=48, num_heads=6, num_layers=4), dict(noise=0), True,
    ),
    "net2net-vit-uneven": (
        "net2net", vit(), vit(embed_dims=24, num_heads=3), dict(noise=0), False,
    ),
    "net2net-resnet": ("net2net", resnet(), resnet(6), dict(noise=0), True),
    "net2net-resnet-deep": ("net2net", resnet(), resnet(6, depth=34), dict(noise=0), True),
    "net2net-resnet50": (
        "net2net", resnet(depth=50), resnet(8, depth=50), dict(noise=0), True,
    ),
    "bert2bert-vit": ("bert2bert", vit(), vit(embed_dims=32, num_heads=4), {}, False),
    "bert2bert-vit-deep": (
        "bert2bert", vit(), vit(embed_dims=24, num_heads=3, num_layers=5), {}, False,
    ),
    "stack-vit": ("stack", vit(), vit(num_layers=5), {}, False),
    "stack-vit-same": ("stack", vit(), vit(), {}, True),
    "interpolate-vit": ("interpolate", vit(), vit(num_layers=4), {}, False),
    "interpolate-resnet": ("interpolate", resnet(), resnet(depth=34), {}, False),
    "lemon-vit": ("lemon", vit(), vit(embed_dims=32, num_heads=4), {}, True),
    "lemon-vit-deep": ("lemon", vit(), vit(embed_dims=32, num_heads=4, num_layers=5), {}, True),
    "lemon-vit-uneven": ("lemon", vit(), vit(embed_dims=40, num_heads=5), {}, False),
    "ligo-vit": ("ligo", vit(), vit(embed_dims=32, num_heads=4), {}, False),
    "ligo-vit-deep-uneven": (
        "ligo", vit(), vit(embed_dims=24, num_heads=3, num_layers=5), {}, False,
    ),
    "lemon-resnet": ("lemon", resnet(), resnet(6), {}, True),
    "lemon-resnet-deep": ("lemon", resnet(), resnet(6, depth=34), {}, True),
    "lemon-resnet50-inner": (  # as LEMON's code does: wider inside, stages as they were
        "lemon", resnet(depth=50), resnet50_inner(8), {}, True,
    ),
    "net2net-convnext": (
        "net2net", convnext_model(), convnext_model(16, (2, 1, 4, 1)), dict(noise=0), True,
    ),
    "net2net-convnext-uneven": (
        "net2net", convnext_model(), convnext_model(12), dict(noise=0), False,
    ),
    "embed-convnext-zero": (
        "embed", convnext_model(), convnext_model(16), dict(fill="zero_out"), False,
    ),
    "stack-convnext": ("stack", convnext_model(), convnext_model(depths=(1, 1, 4, 2)), {}, False),
    "bert2bert-convnext": ("bert2bert", convnext_model(), convnext_model(16), {}, False),
    "interpolate-convnext": (
        "interpolate", convnext_model(), convnext_model(depths=(1, 1, 4, 1)), {}, False,
    ),
    "lemon-convnext": ("lemon", convnext_model(), convnext_model(16, (2, 1, 4, 1)), {}, True),
    "net2net-swin": (
        "net2net", swin_model(), swin_model(16, 2, (2, 4, 6, 2)), dict(noise=0), True,
    ),
    "net2net-swin-uneven": ("net2net", swin_model(), swin_model(24, 3), dict(noise=0), True),
    "embed-swin-zero": ("embed", swin_model(), swin_model(16, 2), dict(fill="zero_out"), False),
    "embed-swin-naive": ("embed", swin_model(), swin_model(16, 2), dict(packed="naive"), False),
    "stack-swin": ("stack", swin_model(), swin_model(depths=(2, 2, 4, 2)), {}, False),
    "interpolate-swin": (
        "interpolate", swin_model(), swin_model(depths=(2, 2, 4, 2)), {}, False,
    ),
    "lemon-swin": ("lemon", swin_model(), swin_model(16, 2, (2, 2, 6, 2)), {}, True),
    "lemon-resnet50": ("lemon", resnet(depth=50), resnet(6, depth=50), {}, True),
}  # fmt: skip
