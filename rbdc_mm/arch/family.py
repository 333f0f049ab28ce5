"""What all families have in common: sizes, settings, and whatever follows from these alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, field, fields, replace
from typing import Any, ClassVar, TypeVar

from rbdc_mm.arch.axes import Rule, Space

Config = Mapping[str, Any]
NORM_EPS = "norm_eps"
_SIZES = ("width", "depth")
T = TypeVar("T")


def width(default: Any = MISSING, *, ordered: bool = True, follows: str = "") -> Any:
    """A dataclass field that coupling adds up: a number, one for each stage, or None for none.

    Args:
        default: as of ``dataclasses.field``.
        ordered: whether a network that has more of it counts as larger.
        follows: the width to which it keeps its ratio where it is not given.
    """
    return field(default=default, metadata={"is": "width", "ordered": ordered, "follows": follows})


def depth(default: Any = MISSING) -> Any:
    """A dataclass field that says how many blocks there are."""
    return field(default=default, metadata={"is": "depth", "ordered": True})


def setting(default: Any = MISSING) -> Any:
    """A dataclass field that changes the function and that no tensor shows."""
    return field(default=default, metadata={"is": "setting"})


class Arch:
    """A network of one family, of one size.

    A family is a frozen dataclass derived from this in a file of its own: fields (``width``,
    ``depth``, ``setting``, or plain ones for whatever else decides about tensors), ``spaces`` and
    ``rules``, how it is read from a config and written into one, and what it is called. It is
    registered in ``ARCHS`` under the names of its backbones. Nothing else knows a family.

    Attributes:
        head: type of the classifier's head.
        num_fixed_blocks: how many blocks at the start of a stage are unlike the others and stay
            where they are when depth grows.
        blocks_move_by: how many neighbouring blocks are one unit of depth (2 where every other
            block shifts its windows).
        labels: what images come with, in words.
        readout: the space that is read from the whole network: couplings take the parents' mean.
        zoo: name in a config -> sizes.
        smaller_by: in words, what ``smaller`` does.
        free_fields: in which a backbone of another task may differ from the classifier it is made
            of: image sizes, strides, norms of the maps that it gives.
        free_tensors: of a backbone, which may have another shape than a checkpoint's, or be left
            out.
        added_tensors: of a backbone, which a classifier's checkpoint need not have.
        num_classes: outputs of the classifier, None for a backbone alone.
    """

    head: ClassVar[str] = "LinearClsHead"
    num_fixed_blocks: ClassVar[int] = 0
    blocks_move_by: ClassVar[int] = 1
    readout: ClassVar[str] = "classes"
    labels: ClassVar[str] = "labels"
    zoo: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    smaller_by: ClassVar[str] = "the published sizes of the family"
    free_fields: ClassVar[tuple[str, ...]] = ()
    free_tensors: ClassVar[tuple[str, ...]] = ()
    added_tensors: ClassVar[tuple[str, ...]] = ()
    num_classes: int | None

    # --- what a family says ----------------------------------------------------------------------

    def spaces(self) -> dict[str, Space]:
        """Every named width of this network."""
        raise NotImplementedError

    def rules(self) -> dict[str, Rule]:
        """State-dict key -> rule, exactly one for every tensor, buffers included."""
        raise NotImplementedError

    def block_prefixes(self) -> tuple[tuple[str, ...], ...]:
        """How the keys of each block begin, stage by stage."""
        raise NotImplementedError

    @property
    def feature_channels(self) -> int:
        """Channels that the backbone gives to the classifier."""
        raise NotImplementedError

    @classmethod
    def from_config(cls: type[T], backbone: Config) -> T:
        """The backbone of a model config; ValueError for a setting that the rules do not cover."""
        raise NotImplementedError

    def to_config(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a backbone's and a head's config must say for these sizes."""
        raise NotImplementedError

    def label(self) -> str:
        """What people call it: ``DeiT-S``, ``ResNet-50 x 32``; two sizes have two labels."""
        raise NotImplementedError

    def words(self) -> tuple[str, str]:
        """Name and size, for two lines of a picture."""
        return self.label(), ""

    def smaller(self, target: Arch) -> Iterator[Arch]:
        """Every size that may stand right below this one in a chain that ends with ``target``."""
        for sizes in self.zoo.values():
            smaller = replace(self, **sizes)
            if not smaller.larger_in(self):
                yield smaller

    def obstacle(self, target: Arch) -> str | None:
        """Why this network cannot become ``target``, of the same family; None: it may."""
        return None

    def with_plain_norms(self) -> Arch:
        """The same network with LayerNorms over all channels."""
        return self

    # --- what follows ----------------------------------------------------------------------------

    @property
    def pre_logits_channels(self) -> int:
        """Channels that the classifier's last layer reads."""
        return self.feature_channels

    @property
    def family(self) -> str:
        """What networks have to share to grow into one another or to teach one another."""
        return type(self).__name__

    @property
    def ends(self) -> dict[str, Any]:
        """What goes in and comes out, by the names of the fields."""
        names = ("num_classes", "img_size", "in_channels")
        return {name: getattr(self, name, None) for name in names}

    @property
    def norm(self) -> str:
        """``'block'`` where LayerNorms take blocks of channels on their own, else ``'layer'``."""
        return "block" if any(rule.blocks for rule in self.rules().values()) else "layer"

    def with_head(self, head: Config) -> Arch:
        """The whole classifier.

        Args:
            head: ``model.head``, its ``type`` without a scope.

        Raises:
            ValueError: a head of another kind, or that expects other features.
        """
        if head["type"] != self.head:
            raise ValueError(
                f"model.head.type is {head['type']!r}: wanted {self.head!r} on this backbone"
            )
        if head["in_channels"] != self.feature_channels:
            raise ValueError(
                f"model.head.in_channels is {head['in_channels']}: wanted "
                f"{self.feature_channels}, the backbone's feature channels"
            )
        return replace(self, num_classes=head["num_classes"])

    def backbone_only(self) -> Arch:
        """The same backbone without a classifier."""
        return replace(self, num_classes=None)

    def sizes(self) -> dict[str, Any]:
        """Its widths and depth, by the names of the fields."""
        return self._values(*_SIZES)

    def widths(self) -> dict[str, Any]:
        """Its widths, by the names of the fields."""
        return self._values("width")

    def settings(self) -> dict[str, Any]:
        """Whatever changes the function without a tensor: name in the config -> value.

        ``norm_eps`` is the one that may differ: growth is then not exact. All others must agree.
        """
        return {f.name: getattr(self, f.name) for f in self._fields("setting")}

    def norm_eps_of(self, space: str) -> float:
        """What the normalisations of a space add to the variance; 0 where nobody says."""
        return self.settings().get(NORM_EPS, 0.0)

    def main_width(self) -> int:
        """The first of its widths, of its first stage."""
        return _flat(next(iter(self.widths().values())))[0]

    def as_deep_as(self, other: Arch) -> Arch:
        """The same widths with the depth of ``other``, which is of the same family."""
        return replace(self, **other._values("depth"))

    def coupled(self, parents: Sequence[Arch], norm: str = "layer") -> Arch:
        """What ``parents`` (this one among them) couple to: every width is their sum.

        Args:
            parents: networks of this family that differ in widths alone.
            norm: ``'layer'``, or ``'block'`` for a normalisation of each parent's own channels.

        Raises:
            ValueError: ``norm='block'`` in a family that cannot have it.
        """
        if norm == "block":
            raise ValueError(
                f"norm='block' is for families whose LayerNorm may normalise blocks of channels: "
                f"{type(self).__name__} has none, use norm='layer'"
            )
        sums = {name: _added([getattr(p, name) for p in parents]) for name in self.widths()}
        return replace(self.with_plain_norms(), **sums)

    def narrowed(self, factor: int) -> Arch:
        """Every width divided by ``factor``; ValueError if one is not divisible."""
        cut = {}
        for name, value in self.widths().items():
            if any(size % factor for size in _flat(value)):
                raise ValueError(
                    f"{name}={value} cannot be cut into {factor} equal parents: choose a branching "
                    "that divides it"
                )
            parts = tuple(size // factor for size in _flat(value))
            cut[name] = parts if isinstance(value, tuple) else parts[0]
        return replace(self, **cut)

    def larger_in(self, other: Arch) -> list[str]:
        """Names of the widths and depths in which this network exceeds ``other`` somewhere."""
        return [
            f.name
            for f in self._fields(*_SIZES)
            if f.metadata["ordered"]
            and any(map(int.__gt__, *(_flat(getattr(a, f.name) or 0) for a in (self, other))))
        ]

    def resized(self, size: str | Config) -> Arch:
        """This network at another size.

        Args:
            size: a name in ``zoo``, or fields by name; what is left out stays as it is.

        Raises:
            ValueError: an unknown name or field, or a ratio that cannot be kept.
        """
        named = self.zoo.get(size.lower()) if isinstance(size, str) else size
        if named is None or set(named) - set(self.sizes()):
            names = f"one of {sorted(self.zoo)} or " if self.zoo else ""
            raise ValueError(
                f"{size!r} is no size of a {type(self).__name__}: wanted {names}a dict of "
                f"{', '.join(self.sizes())}"
            )
        sizes = {k: tuple(v) if isinstance(v, list) else v for k, v in named.items()}
        for f in self._fields("width"):
            value, leader = getattr(self, f.name), f.metadata["follows"]
            if leader in sizes and value is not None and f.name not in sizes:
                sizes[f.name], rest = divmod(value * sizes[leader], getattr(self, leader))
                if rest:
                    raise ValueError(
                        f"{size!r}: {f.name}={value} does not shrink in the ratio "
                        f"{sizes[leader]}:{getattr(self, leader)}, give it as well"
                    )
        return replace(self.with_plain_norms(), **sizes)

    def size_within(self, target: Arch) -> str | dict[str, Any]:
        """What ``target.resized`` makes this network of."""
        changed = {k: v for k, v in self.sizes().items() if v != target.sizes().get(k)}
        return self.zoo_name() or changed

    def zoo_name(self) -> str | None:
        """The first name of its sizes in ``zoo``, None where they have none."""
        for name, sizes in self.zoo.items():
            if sizes.items() <= self.sizes().items():
                return name
        return None

    def _fields(self, *kinds: str) -> list[Any]:
        return [f for f in fields(self) if f.metadata.get("is") in kinds]

    def _values(self, *kinds: str) -> dict[str, Any]:
        found = {f.name: getattr(self, f.name) for f in self._fields(*kinds)}
        return {name: value for name, value in found.items() if value is not None}


def _flat(value: int | Sequence[int]) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _added(values: Sequence[Any]) -> Any:
    if isinstance(values[0], tuple):
        return tuple(map(sum, zip(*values, strict=True)))
    return sum(values)
