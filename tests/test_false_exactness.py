"""What no tensor shows is refused or declared; what the tables do not say is never "exact"."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest
import torch

from checkpoint_helpers import save_checkpoint
from helpers import build_classifier, randomise, resnet_model, vit_model
from operator_table import resnet, vit
from rbdc_mm.arch import ViTArch, shapes_of
from rbdc_mm.arch.axes import constant, fix
from rbdc_mm.checkpoint.arch_of import arch_of, model_with_arch
from rbdc_mm.checkpoint.classifiers import logits
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.growth import OPERATORS, couple, coupled_arch


def r50(**backbone) -> dict:
    model = resnet_model(50, 4)
    model["backbone"] |= backbone
    return model


def r18(**backbone) -> dict:
    model = resnet_model(18, 4)
    model["backbone"] |= backbone
    return model


SILENT = {
    "style": (r50(), r50(style="caffe")),
    "strides": (r18(), r18(strides=(1, 2, 2, 1))),
    "dilations": (r18(), r18(dilations=(1, 1, 1, 2))),
    "img_size": (vit_model(img_size=(16, 64)), vit_model(img_size=(32, 32))),
}


@pytest.mark.parametrize("what", SILENT)
def test_what_no_tensor_shows_is_refused(what):
    """And rightly so: the same weights give other logits."""
    arches = [arch_of(model) for model in SILENT[what]]
    assert shapes_of(arches[0]) == shapes_of(arches[1])
    names = ["a.pth", "b.pth"]
    with pytest.raises(ValueError, match=f"a.pth and b.pth differ in {what}: .*No tensor shows"):
        coupled_arch(arches, names)
    for operator in ("embed", "net2net", "lemon"):
        with pytest.raises(ValueError, match=f"the target and a.pth differ in {what}"):
            OPERATORS[operator].exactness(arches[1], arches[:1], names[:1])
    if what != "img_size":
        one, two = (build_classifier(model).double().eval() for model in SILENT[what])
        two.load_state_dict(randomise(one, 1).state_dict())
        x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
        assert (logits(one, x) - logits(two, x)).abs().max() > 1e-3


def test_a_basic_block_has_no_style():
    arches = [arch_of(r18(style=style)) for style in ("pytorch", "caffe")]
    assert OPERATORS["net2net"].exactness(arches[0], arches[1:], ["a.pth"], noise=0).exact


EPS = {
    "LayerNorm": (vit(), vit(norm_cfg=dict(type="LN", eps=1e-3))),
    "LayerNorm by default": (vit(), vit(norm_cfg=dict(type="LN"))),  # mmcv's 1e-5
    "BatchNorm": (resnet(), r18(norm_cfg=dict(type="BN", eps=1e-3))),
}


@pytest.mark.parametrize("what", EPS)
def test_another_eps_is_not_exact(what):
    source, target = (arch_of(model) for model in EPS[what])
    for operator, options in (("net2net", dict(noise=0)), ("lemon", {}), ("interpolate", {})):
        chosen = OPERATORS[operator]
        assert chosen.exactness(source, [source], ["a.pth"], **options).exact
        found = chosen.exactness(target, [source], ["a.pth"], **options)
        assert re.search(r"eps is 1e-0\d|eps is 0.001", str(found)) and not found.exact
    coupled = coupled_arch([source, target], ["a.pth", "b.pth"], "layer")
    found = OPERATORS["couple"].exactness(coupled, [source, target], ["a.pth", "b.pth"])
    assert any("eps is" in reason for reason in found.reasons)


def test_lemon_at_an_uneven_width_is_exact_with_the_eps_that_it_prescribes():
    eps = 1e-6 * 2 * 16 / 40
    models = vit(), vit(embed_dims=40, num_heads=5, norm_cfg=dict(type="LN", eps=eps))
    source, target = map(arch_of, models)
    assert OPERATORS["lemon"].exactness(target, [source], ["a.pth"]).exact
    plain = replace(target, norm_eps=1e-6)
    found = OPERATORS["lemon"].exactness(plain, [source], ["a.pth"])
    assert found.reasons == ("the normalisations' eps is 1e-06, exact would be 8e-07",)
    one, two = (build_classifier(model).double().eval() for model in models)
    init = {key: value.clone() for key, value in two.state_dict().items()}
    state = randomise(one, 1).state_dict()
    grown = OPERATORS["lemon"].apply(target, [source], [state], ["a.pth"], init=init)
    two.load_state_dict(grown, strict=True)
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    wanted = logits(one, x)
    assert (logits(two, x) - wanted).abs().max() < 1e-12 * wanted.abs().max()


# --- families whose tables leave something out ---------------------------------------------------


@dataclass(frozen=True)
class Untold(ViTArch):
    """A family that does not say what its normalisations are over, nor what closes a branch."""

    def rules(self):
        return {k: replace(r, over=None, closes=False) for k, r in super().rules().items()}


def untold(**changes) -> Untold:
    return Untold(**vars(arch_of(vit(**changes))))


def test_a_normalisation_of_an_unknown_kind_is_not_exact():
    source, wide = untold(), untold(embed_dims=32, num_heads=4)
    for operator, options in (
        ("net2net", dict(noise=0)), ("lemon", {}), ("embed", dict(fill="zero_out")),
    ):  # fmt: skip
        found = OPERATORS[operator].exactness(wide, [source], ["a.pth"], **options)
        assert "nobody says what the normalisation of residual is over" in str(found)
    found = OPERATORS["couple"].exactness(
        coupled_arch([source, source], ["a", "b"]), [source, source], ["a", "b"]
    )
    assert "nobody says what the normalisation" in str(found)


@pytest.mark.parametrize("operator", ["net2net", "lemon"])
def test_a_block_that_cannot_be_silenced_is_an_error(operator):
    source, deep = untold(), untold(num_layers=4)
    state = {key: torch.zeros(shape) for key, shape in shapes_of(source).items()}
    given = dict(init=state) if operator == "lemon" else {}
    with pytest.raises(ValueError, match=r"Untold does not say .*closes=True"):
        OPERATORS[operator].apply(deep, [source], [state], ["a.pth"], **given)


@dataclass(frozen=True)
class Indexed(ViTArch):
    """A family with a table of indices among its buffers, as Swin has."""

    def rules(self):
        return {**super().rules(), "backbone.index": constant(fix(3))}


def test_constants_must_agree_and_are_not_added():
    arch = Indexed(**vars(arch_of(vit())))
    states = [{k: torch.ones(shape) for k, shape in shapes_of(arch).items()} for _ in range(2)]
    target = coupled_arch([arch, arch], ["a.pth", "b.pth"])
    grown = couple.apply(target, [arch, arch], states, ["a.pth", "b.pth"])
    assert torch.equal(grown["backbone.index"], torch.ones(3))
    states[1]["backbone.index"] = torch.zeros(3)
    with pytest.raises(ValueError, match=r"a.pth and b.pth differ in 'backbone.index'.*constant"):
        couple.apply(target, [arch, arch], states, ["a.pth", "b.pth"])


# --- through files -------------------------------------------------------------------------------


def test_a_backbone_of_another_style_than_its_parents_is_refused(tmp_path):
    paths = [tmp_path / f"{n}.pth" for n in range(2)]
    for seed, path in enumerate(paths):
        save_checkpoint(path, r50(), seed)
    model = model_with_arch(r50(), replace(arch_of(r50()), base_channels=8))
    model["backbone"] |= dict(type="rbdc_mm.RBDCResNet", parents=[*map(str, paths)], style="caffe")
    with pytest.raises(ValueError, match=r"style=pytorch.*style=caffe"):
        build_classifier(model)


def test_parents_of_other_preprocessing_are_refused(tmp_path):
    for name, mean in (("a", 127.5), ("b", 0.0)):
        images = dict(mean=[mean] * 3, std=[127.5] * 3, to_rgb=True)
        save_checkpoint(tmp_path / f"{name}.pth", {**vit(), "data_preprocessor": images}, 0)
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    with pytest.raises(ValueError, match=r"differ in data_preprocessor.mean: \[127.5.*0.0"):
        grow_checkpoint("couple", paths, tmp_path / "c.pth")
    target = {**vit(embed_dims=32, num_heads=4), "data_preprocessor": images}
    with pytest.raises(ValueError, match=r"a.pth and the target differ in data_preprocessor.mean"):
        grow_checkpoint("lemon", paths[:1], tmp_path / "c.pth", target_model=target)
    assert not (tmp_path / "c.pth").exists()
