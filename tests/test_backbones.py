"""Backbones that start from parents, BlockLayerNorm, and the pyramid, in real OpenMMLab models."""

from __future__ import annotations

import logging

import pytest
import torch
from mmengine import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn

from checkpoint_helpers import save_checkpoint
from helpers import convnext_model, resnet_model, swin_model, vit_model
from rbdc_mm.checkpoint.classifiers import build_classifier, load_classifier
from rbdc_mm.checkpoint.files import load_file, read_checkpoint
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.models import RBDCResNet, RBDCVisionTransformer
from rbdc_mm.protocol.starting_points import backbone_misfits

SMALL = dict(num_layers=4, num_classes=3)


def vit(heads: int, **more) -> dict:
    """A ViT of ``heads`` heads of 8 channels each."""
    return vit_model(embed_dims=8 * heads, num_heads=heads, **(SMALL | more))


def child_of(model: dict, parents, **more) -> dict:
    """The config of a classifier whose backbone starts from parents."""
    kind = f"rbdc_mm.RBDC{model['backbone']['type']}"
    backbone = model["backbone"] | dict(type=kind, parents=[str(p) for p in parents], **more)
    return model | dict(backbone=backbone)


@pytest.fixture(scope="module")
def vits(tmp_path_factory):
    """Checkpoints of ViTs with 1, 2 and 2 heads."""
    folder = tmp_path_factory.mktemp("vits")
    heads = {"one": 1, "two": 2, "other": 2}
    for seed, (name, count) in enumerate(heads.items(), 1):
        save_checkpoint(folder / f"{name}.pth", vit(count), seed)
    return {name: folder / f"{name}.pth" for name in heads}


def images(size: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def assert_same_state(got: dict, wanted: dict) -> None:
    assert set(got) == set(wanted)
    for key in wanted:
        assert torch.equal(got[key], wanted[key]), key


@pytest.mark.parametrize("norm", ["layer", "block"])
@pytest.mark.parametrize("names", [("two", "other"), ("one", "two", "other")], ids=str)
@torch.no_grad()
def test_vit_backbone_starts_as_the_coupled_classifier(norm, names, vits, tmp_path):
    parents = [vits[name] for name in names]
    heads = {"one": 1, "two": 2, "other": 2}
    widths = [8 * heads[name] for name in names]
    grow_checkpoint("couple", parents, tmp_path / "c.pth", norm=norm)
    wanted = load_classifier(read_checkpoint(tmp_path / "c.pth")).backbone
    more = dict(norm="block") if norm == "block" else {}
    if norm == "block" and len(set(widths)) > 1:
        more["norm_blocks"] = widths
    child = child_of(vit(sum(widths) // 8), parents, **more)
    cfg = Config.fromstring(
        Config(dict(custom_imports=dict(imports=["rbdc_mm.models"]), model=child)).pretty_text,
        ".py",
    )
    model = build_classifier(cfg.model)
    assert isinstance(model.backbone, RBDCVisionTransformer)
    model.init_weights()
    assert_same_state(model.backbone.state_dict(), wanted.state_dict())
    got = model.eval().backbone(images())[0]
    assert torch.equal(got, wanted(images())[0])
    blocks = getattr(model.backbone.layers[0].ln1, "blocks", None)
    assert blocks == (tuple(widths) if norm == "block" else None)


@pytest.mark.parametrize(("depth", "bases"), [(18, (4, 8)), (50, (4, 4))])
@torch.no_grad()
def test_resnet_backbone_starts_as_the_coupled_classifier(depth, bases, tmp_path):
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for seed, (path, base) in enumerate(zip(paths, bases, strict=True), 1):
        save_checkpoint(path, resnet_model(depth, base), seed)
    grow_checkpoint("couple", paths, tmp_path / "c.pth")
    wanted = load_classifier(read_checkpoint(tmp_path / "c.pth")).backbone
    model = build_classifier(child_of(resnet_model(depth, sum(bases)), paths))
    assert isinstance(model.backbone, RBDCResNet)
    model.init_weights()
    assert_same_state(model.backbone.state_dict(), wanted.state_dict())


def detector(backbone: dict) -> nn.Module:
    """A Mask R-CNN with a tiny ViT and the pyramid, from mmdet's own config."""
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(_mmdet_config())
    dims = backbone["arch"]["embed_dims"]
    cfg.model.backbone = backbone
    fpn = dict(type="FPN", in_channels=[dims] * 4, out_channels=16, num_outs=5)
    cfg.model.neck = [dict(type="rbdc_mm.MultiTapPyramid", in_channels=dims), fpn]
    cfg.model.rpn_head.in_channels = 16
    roi_head = cfg.model.roi_head
    roi_head.bbox_head.in_channels = roi_head.mask_head.in_channels = 16
    roi_head.bbox_roi_extractor.out_channels = roi_head.mask_roi_extractor.out_channels = 16
    roi_head.bbox_head.fc_out_channels = roi_head.mask_head.conv_out_channels = 16
    with DefaultScope.overwrite_default_scope("mmdet"):
        return MODELS.build(cfg.model)


def _mmdet_config() -> str:
    from mmengine.utils import get_installed_path

    return f"{get_installed_path('mmdet')}/.mim/configs/_base_/models/mask-rcnn_r50_fpn.py"


PYRAMIDS = {  # what detectors set: every stage's map, normalised
    "ConvNeXt": dict(out_indices=[0, 1, 2, 3], gap_before_final_norm=False),
    "SwinTransformer": dict(out_indices=[0, 1, 2, 3], pad_small_map=True),
}


@pytest.mark.parametrize("model", [convnext_model, swin_model])
def test_pyramid_backbones_start_from_their_parents(model, tmp_path):
    """In a detector as well, whose norms of the lower stages no classifier has."""
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for seed, path in enumerate(paths, 1):
        save_checkpoint(path, model(), seed)
    wide = model(16, **({} if model is convnext_model else dict(heads=2)))
    kind = wide["backbone"]["type"]
    grow_checkpoint("couple", paths, tmp_path / "c.pth")
    coupled = load_file(tmp_path / "c.pth")["state_dict"]
    for more in ({}, PYRAMIDS[kind]):
        built = build_classifier(child_of(wide, paths, **more))
        built.init_weights()
        got = built.backbone.state_dict()
        new = {k for k in got if f"backbone.{k}" not in coupled}
        assert new == (
            {f"norm{i}.{w}" for i in range(3) for w in ("weight", "bias")} if more else set()
        )
        assert all(bool((got[k] == float(k.endswith("weight"))).all()) for k in new)
        assert all(torch.equal(got[k], coupled[f"backbone.{k}"]) for k in set(got) - new)
    stock = wide | dict(backbone=wide["backbone"] | PYRAMIDS[kind])
    cfg = Config(dict(default_scope="mmpretrain", model=stock))
    assert backbone_misfits(cfg, tmp_path / "c.pth", "backbone.") == []
    backbone = wide["backbone"] | dict(type=f"rbdc_mm.CoMPT{kind}", parent=str(paths[0]))
    built = build_classifier(wide | dict(backbone=backbone | PYRAMIDS[kind]))
    built.init_weights()
    stem = next(k for k in coupled if k.endswith(("0.0.weight", "projection.weight")))
    small = load_file(paths[0])["state_dict"][stem]
    assert torch.equal(built.backbone.state_dict()[stem.removeprefix("backbone.")][:8], small)
    with pytest.raises(ValueError, match=r"norm='block' on a RBDC.*no such norms"):
        build_classifier(child_of(wide, paths, norm="block"))


@torch.no_grad()
def test_detector_starts_from_the_parents_without_the_final_norm(vits, tmp_path):
    parents = [vits["two"], vits["other"]]
    grow_checkpoint("couple", parents, tmp_path / "c.pth")
    coupled = load_file(tmp_path / "c.pth")["state_dict"]
    backbone = child_of(vit(4, out_type="featmap", final_norm=False), parents)["backbone"]
    backbone["out_indices"] = [0, 1, 2, 3]
    model = detector(backbone)
    model.init_weights()
    got = model.backbone.state_dict()
    assert set(got) == {  # all but the final norm, which taps have no use for
        k.removeprefix("backbone.")
        for k in coupled
        if k.startswith("backbone.") and not k.startswith("backbone.ln1")
    }
    assert all(torch.equal(v, coupled[f"backbone.{k}"]) for k, v in got.items())
    # the deepest tap is what the coupled classifier's final norm reads
    classifier = load_classifier(read_checkpoint(tmp_path / "c.pth")).backbone
    read = []
    classifier.ln1.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    classifier(images())
    model.eval()
    taps = model.backbone(images())
    tokens = taps[-1].flatten(2).transpose(1, 2)
    torch.testing.assert_close(tokens, read[0][:, 1:])
    shapes = [f.shape[1:] for f in model.extract_feat(images(64))]
    assert shapes == [(16, s, s) for s in (32, 16, 8, 4, 2)]


def test_what_is_loaded_later_overrides_the_coupling(vits, tmp_path):
    parents = [vits["two"], vits["other"]]
    child = child_of(vit(4), parents)
    trained = save_checkpoint(tmp_path / "trained.pth", vit(4), 9).state_dict()
    runner = Runner(
        model=child,
        work_dir=str(tmp_path / "run"),
        load_from=str(tmp_path / "trained.pth"),
        default_scope="mmpretrain",
        experiment_name="overrides",
        log_level="WARNING",
    )
    runner._init_model_weights()
    start = {k: v.cpu().clone() for k, v in runner.model.state_dict().items()}
    assert not torch.equal(start["backbone.cls_token"], trained["backbone.cls_token"])
    runner.load_or_resume()
    assert_same_state({k: v.cpu() for k, v in runner.model.state_dict().items()}, trained)


@pytest.mark.parametrize("base", [vit(2), resnet_model(18, 4)], ids=["vit", "resnet"])
def test_without_parents_it_is_the_plain_backbone(base):
    states = []
    for config in (base, child_of(base, [])):
        torch.manual_seed(0)
        model = build_classifier(config)
        model.init_weights()
        states.append(model.state_dict())
    assert_same_state(*states)


def test_without_parents_settings_beyond_the_tables_are_allowed():
    build_classifier(child_of(vit(2, patch_cfg=dict(bias=False)), []))
    build_classifier(child_of(resnet_model(18, 4, deep_stem=True), []))
    with pytest.raises(ValueError, match=r"patch_cfg=.*bias.* is not covered"):
        build_classifier(child_of(vit(2, patch_cfg=dict(bias=False)), ["a.pth", "b.pth"]))
    with pytest.raises(ValueError, match="deep_stem=True is not covered"):
        build_classifier(child_of(resnet_model(18, 4, deep_stem=True), ["a.pth", "b.pth"]))


def test_block_norm_without_parents_takes_blocks():
    model = build_classifier(child_of(vit(3), [], norm="block", norm_blocks=[8, 16]))
    assert model.backbone.ln1.blocks == (8, 16)
    assert model.backbone.ln1.eps == 1e-6


@pytest.mark.parametrize(
    ("heads", "names", "more", "message"),
    [
        (5, ("two", "other"), {}, "couple to embed_dims=32, the backbone's config says .*=40"),
        (3, ("two", "other"), {}, "couple to embed_dims=32, the backbone's config says .*=24"),
        (4, ("two", "gone"), {}, "gone.pth does not exist"),
        (4, ("two",), {}, "two or more parents, got 1"),
        (3, ("one", "two"), dict(norm="block"), r"couple to norm_blocks=\(8, 16\), .*\(12, 12\)"),
        (4, ("two", "other"), dict(coupling=dict(center=True)), "mode='paper' couples plainly"),
        (4, ("two", "other"), dict(layer_scale_init_value=0.1), "couple to layer_scale=False"),
    ],
)
def test_parents_that_do_not_give_this_backbone(heads, names, more, message, vits):
    parents = [vits.get(name, vits["one"].with_name(f"{name}.pth")) for name in names]
    model = build_classifier(child_of(vit(heads), parents, **more))
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        model.init_weights()
    assert model.backbone.state_dict().keys() == before.keys()


@pytest.mark.parametrize(
    ("heads", "more", "message"),
    [
        (3, dict(norm="block"), "cannot cut embed_dims=24 evenly among 5 parents"),
        (3, dict(norm="block", norm_blocks=[8, 8]), r"\(8, 8\) add up to 16, wanted .*=24"),
        (3, dict(norm_blocks=[8, 16]), "norm_blocks are for norm='block'"),
        (3, dict(norm="blok"), "unknown norm 'blok': the known ones are 'layer', 'block'"),
    ],
)
def test_norms_that_cannot_be_built(heads, more, message):
    with pytest.raises(ValueError, match=message):
        build_classifier(child_of(vit(heads), ["x.pth"] * 5, **more))


def position_resizes(caplog, model: dict) -> int:
    """How often mmpretrain resized a position embedding while the model initialised."""
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    logger.setLevel(logging.INFO)
    caplog.clear()
    try:
        build_classifier(model).init_weights()
    except ValueError:
        pass
    finally:
        logger.removeHandler(caplog.handler)
    return sum("Resize the pos_embed" in record.getMessage() for record in caplog.records)


def test_position_embeddings_are_resized_for_images_never_for_widths(vits, caplog):
    parents = [vits["two"], vits["other"]]
    with caplog.at_level(logging.INFO):
        assert position_resizes(caplog, child_of(vit(5), parents)) == 0  # widths: an error
        assert position_resizes(caplog, child_of(vit(4), parents)) == 0
        assert position_resizes(caplog, child_of(vit(4, img_size=48), parents)) == 1
