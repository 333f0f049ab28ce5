"""Our ImageTextPretrainer: a vision tower of any family, a text tower, and what joins them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rbdc_mm.arch.axes import SCALAR, Rule, Space, inp, linear, out
from rbdc_mm.arch.family import Arch, Config
from rbdc_mm.arch.text import TextArch

# CoM-PT, arXiv 2604.12391, its released code: width, layers and heads of both towers
_SIZES = {
    "t": ((192, 12, 3), (256, 12, 4)), "s": ((384, 12, 6), (384, 12, 6)),
    "m": ((512, 12, 8), (448, 12, 7)), "b": ((768, 12, 12), (512, 12, 8)),
    "l": ((1024, 24, 16), (768, 12, 12)),
}  # fmt: skip
_VISION = ("embed_dims", "num_layers", "num_heads")
_TEXT = ("text_width", "text_layers", "text_heads")


@dataclass(frozen=True)
class ImageTextArch(Arch):
    """Everything that decides the names and shapes of an image-text model's tensors.

    The joint space is no width that grows: all networks share it, as they share the classes of a
    classifier, and a coupling's embeddings are the mean of its parents', before they are
    normalised; its temperature is the mean of theirs, too. (Parents that were trained apart turn
    their joint spaces as they like. In many dimensions these lie nearly at right angles, so that
    the coupling's similarities are nearly the mean of the parents'.)

    Sizes are called as in each tower; no two have the same name.

    Attributes:
        vision: the vision tower, without a classifier.
        text: the text tower.
        joint: width of the space in which images and texts meet.
    """

    readout: ClassVar[str] = "joint"
    labels: ClassVar[str] = "texts"
    num_classes: ClassVar[None] = None
    zoo = {
        name: {
            **dict(zip(_VISION, vision, strict=True), feedforward_channels=4 * vision[0]),
            **dict(zip(_TEXT, text, strict=True)),
        }
        for name, (vision, text) in _SIZES.items()
    }
    smaller_by: ClassVar[str] = "CoM-PT's sizes of both towers, for a ViT"

    vision: Arch
    text: TextArch
    joint: int = 512

    @property
    def num_fixed_blocks(self) -> int:
        """The vision tower's; the text tower's blocks are all alike, and follow it."""
        return self.vision.num_fixed_blocks

    @property
    def blocks_move_by(self) -> int:
        """The vision tower's, likewise."""
        return self.vision.blocks_move_by

    @property
    def feature_channels(self) -> int:
        """The joint space's."""
        return self.joint

    @property
    def family(self) -> str:
        """With the vision tower's."""
        return f"{super().family} ({self.vision.family})"

    @property
    def ends(self) -> dict[str, Any]:
        """Both towers', and the joint space."""
        text = {name: getattr(self.text, name) for name in ("vocab_size", "context_length")}
        return self.vision.ends | text | {"joint": self.joint}

    def spaces(self) -> dict[str, Space]:
        """Those of both towers, each under its name, and the joint space."""
        seen = {f"vision.{name}": space for name, space in self.vision.spaces().items()}
        read = {f"text.{name}": space for name, space in self.text.spaces().items()}
        return seen | read | {"joint": Space(self.joint, grows=False)}

    def rules(self) -> dict[str, Rule]:
        """The rule of every tensor; the towers' are their families' own."""
        seen, read = inp(f"vision.{self._feature_space()}"), inp("text.residual")
        return {
            **{_visual(key): _in("vision", rule) for key, rule in self.vision.rules().items()},
            "visual_proj.proj": linear(seen, out("joint")),
            **{key: _in("text", rule) for key, rule in self.text.rules().items()},
            "text_projection": linear(read, out("joint")),
            "logit_scale": SCALAR,
        }

    def _feature_space(self) -> str:
        """What a classifier on the vision tower would read."""
        rules = replace(self.vision, num_classes=1).rules().values()
        classifiers = [r for r in rules if len(r.axes) > 1 and r.axes[0] == out("classes")]
        if len(classifiers) != 1:
            raise ValueError(
                f"model.backbone, a {type(self.vision).__name__}, gives {len(classifiers)} "
                "features: wanted one that a projection can read"
            )
        return classifiers[0].axes[1].space

    def block_prefixes(self) -> tuple[tuple[str, ...], ...]:
        """How the keys of each block begin: the vision tower's stages, and one of text."""
        stages = self.vision.block_prefixes()
        seen = tuple(tuple(_visual(prefix) for prefix in stage) for stage in stages)
        return (*seen, *self.text.block_prefixes())

    def norm_eps_of(self, space: str) -> float:
        """The tower's."""
        tower, _, name = space.partition(".")
        return getattr(self, tower).norm_eps_of(name)

    @classmethod
    def of(cls, vision: Arch, model: Config) -> ImageTextArch:
        """From the vision tower and a model's config; ValueError where they do not agree."""
        given, wanted = model["projection"]["in_channels"], vision.feature_channels
        if given != wanted:
            raise ValueError(
                f"model.projection.in_channels is {given}: wanted {wanted}, the feature channels "
                "of model.backbone"
            )
        said = {key: model[key] for key in ("vocab_size", "context_length") if key in model}
        text = replace(TextArch.from_config(model["text_backbone"]), **said)
        return cls(vision, text, model["projection"]["out_channels"])

    def to_config(self) -> tuple[dict[str, Any], ...]:
        """For ``backbone``, ``projection`` and ``text_backbone``."""
        backbone, head = self.vision.to_config()
        return backbone, dict(in_channels=head["in_channels"]), self.text.to_config()[0]

    def label(self) -> str:
        """``CLIP DeiT-S + 384x12`` (the text tower's width and layers)."""
        return " + ".join(self.words())

    def words(self) -> tuple[str, str]:
        """``('CLIP DeiT-S', '384x12')``."""
        return f"CLIP {self.vision.label()}", self.text.label()

    def smaller(self, target: Arch) -> Iterator[ImageTextArch]:
        """See ``Arch``; nothing is published for other vision towers than ViTs."""
        named = [sizes for sizes in self.zoo.values() if sizes.keys() <= self.sizes().keys()]
        yield from (one for one in map(self.resized, named) if not one.larger_in(self))

    def obstacle(self, target: Arch) -> str | None:
        """The vision tower's, or that it is of another family."""
        if self.family != target.family:
            return f"their vision towers are a {self.vision.family} and a {target.vision.family}"
        return self.vision.obstacle(target.vision)

    def sizes(self) -> dict[str, Any]:
        """Those of both towers."""
        return self.vision.sizes() | self.text.sizes()

    def widths(self) -> dict[str, Any]:
        """Those of both towers."""
        return self.vision.widths() | self.text.widths()

    def settings(self) -> dict[str, Any]:
        """The vision tower's; the text tower has none."""
        return self.vision.settings()

    def larger_in(self, other: Arch) -> list[str]:
        """See ``Arch``."""
        return [*self.vision.larger_in(other.vision), *self.text.larger_in(other.text)]

    def with_plain_norms(self) -> ImageTextArch:
        """See ``Arch``."""
        return replace(self, vision=self.vision.with_plain_norms())

    def as_deep_as(self, other: Arch) -> ImageTextArch:
        """See ``Arch``."""
        vision, text = self.vision.as_deep_as(other.vision), self.text.as_deep_as(other.text)
        return replace(self, vision=vision, text=text)

    def coupled(self, parents: Sequence[Arch], norm: str = "layer") -> ImageTextArch:
        """See ``Arch``; ValueError for ``norm='block'``, which the text tower cannot have."""
        text = self.text.coupled([parent.text for parent in parents], norm)
        vision = self.vision.coupled([parent.vision for parent in parents], norm)
        return replace(self, vision=vision, text=text)

    def narrowed(self, factor: int) -> ImageTextArch:
        """See ``Arch``."""
        return replace(self, vision=self.vision.narrowed(factor), text=self.text.narrowed(factor))

    def resized(self, size: str | Config) -> ImageTextArch:
        """See ``Arch``."""
        named = self.zoo.get(size.lower()) if isinstance(size, str) else size
        if named is None or set(named) - set(self.sizes()):
            return super().resized(size)  # says what is wrong
        text = {key: value for key, value in named.items() if key in _TEXT}
        vision = {key: value for key, value in named.items() if key not in _TEXT}
        return replace(self, vision=self.vision.resized(vision), text=self.text.resized(text))


def _visual(key: str) -> str:
    return f"visual.{key.removeprefix('backbone.')}"


def _in(tower: str, rule: Rule) -> Rule:
    axes = tuple(replace(a, space=f"{tower}.{a.space}") if a.space else a for a in rule.axes)
    return replace(rule, axes=axes, scaled_by=_visual(rule.scaled_by) if rule.scaled_by else None)
