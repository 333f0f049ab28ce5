"""A protocol's plan in words: architectures by name, and the tree of couplings as text."""

from __future__ import annotations

from rbdc_mm.arch import Arch, ResNetArch, ViTArch
from rbdc_mm.protocol.plan import Plan, Stage
from rbdc_mm.report.words import epochs_words


def arch_words(arch: Arch) -> tuple[str, str]:
    """``('DeiT-Ti 192 wide', '3 heads')``, ``('ResNet-50', '32 base channels')``."""
    if isinstance(arch, ViTArch):
        heads = "1 head" if arch.num_heads == 1 else f"{arch.num_heads} heads"
        return f"{arch.family} {arch.embed_dims} wide", heads
    assert isinstance(arch, ResNetArch), arch
    return f"ResNet-{arch.depth}", f"{arch.base_channels} base channels"


def tree_text(plan: Plan) -> str:
    """The tree with the target on top; what stands under a model is coupled into it."""
    pieces = ["tree (models are coupled into the one they hang from)"]

    def add(stage: Stage, first: str, rest: str) -> None:
        words = ", ".join([*arch_words(stage.arch), epochs_words(stage.epochs)])
        pieces.append(f"{first}{stage.name}: {words}")
        for n, name in enumerate(stage.parents, 1):
            last = n == len(stage.parents)
            fork, bar = ("└── ", "    ") if last else ("├── ", "│   ")
            add(plan.stage(name), rest + fork, rest + bar)

    add(plan.target, "", "")
    return "\n".join(pieces)
