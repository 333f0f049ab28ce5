"""An operator cannot claim what it does not do: whatever is wrong in its value is a reason."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest
import torch

from conftest import ROOT
from helpers import build_classifier, randomise
from operator_table import resnet, vit
from rbdc_mm.arch import ARCHS
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.classifiers import logits
from rbdc_mm.growth import Growth, Part, copies, lemon, net2net
from rbdc_mm.growth.engine import grow
from rbdc_mm.growth.exactness import judge
from rbdc_mm.growth.maps import Map, ParentMaps, leading

WIDE, DEEP = vit(embed_dims=32, num_heads=4), vit(num_layers=4)


def with_maps(growth: Growth, space: str, write=None, read=None) -> Growth:
    (part,) = growth.parts
    maps = part.maps
    maps = ParentMaps(
        maps.write | ({space: write(maps.write[space])} if write else {}),
        maps.read | ({space: read(maps.read[space])} if read else {}),
    )
    return replace(growth, parts=(replace(part, maps=maps),))


def scrambled(whole: Map) -> Map:
    """Heads that hold half of one head of the source and half of the next."""
    return Map(whole.target, whole.source.roll(4), whole.scale)


def in_blocks(source, target, blocks, **more) -> Growth:
    maps = leading(arch_of(source).as_deep_as(arch_of(target)))
    return Growth((Part(maps, blocks=blocks),), **more)


def plain(source, target) -> Growth:
    return net2net(arch_of(target), arch_of(source), noise=0)


def lemon_mean(target, source):
    """LEMON's mean in the left-over channels of a network of BatchNorms."""
    growth = plain(source, target)

    def mean(whole: Map) -> Map:
        size = int(whole.source.max()) + 1
        left = torch.arange(size, len(whole.target))
        share = torch.cat([torch.ones(size), torch.full((len(left) * size,), 1 / size)]).double()
        return Map(
            torch.cat([torch.arange(size), left.repeat_interleave(size)]),
            torch.cat([torch.arange(size), torch.arange(size).repeat(len(left))]),
            share,
        )

    def unmixed(whole: Map) -> Map:
        """Reads each channel as it is, by way of the means: right for whatever is linear."""
        size = int(whole.source.max()) + 1
        num_left = len(whole.target) - size
        matrix = torch.cat([torch.eye(size) - num_left / size, torch.ones(num_left, size)]).double()
        target, source = matrix.nonzero(as_tuple=True)
        return Map(target, source, matrix[target, source])

    return with_maps(growth, "stem", mean, unmixed)


WRONG = {
    "heads of scrambled channels": (
        vit(), WIDE, lambda s, t: with_maps(plain(s, t), "heads", scrambled, scrambled),
        "not kept whole",
    ),
    "units written at half their value": (
        resnet(), resnet(6),
        lambda s, t: with_maps(
            plain(s, t), "stem",
            lambda m: Map(m.target, m.source, 0.5), lambda m: Map(m.target, m.source, m.scale * 2),
        ), "no plain copies",
    ),
    "readers that do not share": (
        resnet(), resnet(6),
        lambda s, t: with_maps(plain(s, t), "stem", read=lambda m: Map(m.target, m.source)),
        "does not read its own signal",
    ),
    "copies that act": (
        vit(), DEEP, lambda s, t: in_blocks(s, t, ((0, 0, 1, 1),)), "act once more",
    ),
    "blocks in another order": (
        vit(), DEEP, lambda s, t: in_blocks(s, t, ((1, 0, 0, 0),), silent=True), "another order",
    ),
    "a block left out": (
        vit(), DEEP, lambda s, t: in_blocks(s, t, ((0, 0, 0, 0),), silent=True), "left out",
    ),
    "a mean under BatchNorm": (
        resnet(), resnet(6), lambda s, t: lemon_mean(t, s), "no plain copies",
    ),
    "a mean that is said of nothing": (
        vit(), vit(embed_dims=40, num_heads=5),
        lambda s, t: replace(lemon(arch_of(t), arch_of(s)), mean=frozenset()), "no plain copies",
    ),
    "classes in another order": (
        resnet(), resnet(6),
        lambda s, t: with_maps(
            plain(s, t), "classes", lambda m: Map(m.target, m.source.flip(0)), None
        ), "units of classes, which does not grow",
    ),
    "colours in another order": (
        resnet(), resnet(6),
        lambda s, t: with_maps(
            plain(s, t), "image", None, lambda m: Map(m.target, m.source.flip(0))
        ), "units of image, which does not grow",
    ),
    "a mean under a norm that follows a norm": (
        vit(out_type="avg_featmap"), vit(embed_dims=40, num_heads=5, out_type="avg_featmap"),
        lambda s, t: lemon(
            arch_of(vit(embed_dims=40, num_heads=5)), arch_of(vit())
        ), "a LayerNorm follows another",
    ),
    "a fill that is read": (
        resnet(), resnet(6),
        lambda s, t: Growth((Part(leading(arch_of(s))),), fill=1.0), "new, random ones",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_declared_and_measured(case):
    source, target, make, message = WRONG[case]
    small, large = arch_of(source), arch_of(target)
    growth = make(source, target)
    found = judge(growth, large, [small])
    assert any(message in reason for reason in found.reasons), found
    one, two = (build_classifier(model).double().eval() for model in (source, target))
    randomise(one, 1)
    init = {key: value.clone() for key, value in two.state_dict().items()}
    two.load_state_dict(grow(growth, large, [small], [one.state_dict()], ["a"], init), strict=True)
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        wanted = logits(one, x)
        assert float((logits(two, x) - wanted).abs().max() / wanted.abs().max()) > 1e-5


def test_copies_that_only_differ_in_place_are_exact():
    """Nothing above is refused for being unusual: units may land anywhere."""
    source, target = arch_of(resnet()), arch_of(resnet(8))
    back = {name: torch.arange(space.size).flip(0) % source.spaces()[name].size
            for name, space in target.spaces().items() if space.grows}  # fmt: skip
    growth = Growth((Part(copies.copy_maps(target, source, back)),))
    assert judge(growth, target, [source]).exact


def test_only_a_family_knows_itself():
    """No code outside arch/ (and the formats of other libraries) asks which family it has."""
    names = {family.__name__ for family in ARCHS.values()}
    found = []
    for path in [*ROOT.glob("rbdc_mm/**/*.py"), *ROOT.glob("tools/*.py")]:
        if "arch" in path.parts or "layouts" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node, "id", getattr(node, "attr", getattr(node, "name", None)))
            if name in names:
                found.append(f"{path.relative_to(ROOT)}: {name}")
    assert not sorted(set(found))
