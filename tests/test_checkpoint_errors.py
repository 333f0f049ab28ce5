"""Bad checkpoints, configs and options: each one clear error that names the file."""

from __future__ import annotations

import pickle
import re

import pytest
import torch
from mmengine import Config

from checkpoint_helpers import save_checkpoint
from helpers import resnet_model, vit_model
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.checkpoint.grow import grow_checkpoint

VIT = vit_model(embed_dims=16, num_heads=2, num_layers=2)
RESNET = resnet_model(18, base_channels=4)


@pytest.fixture
def pair(tmp_path):
    """Paths of two tiny ViT parents."""
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for seed, path in enumerate(paths, 1):
        save_checkpoint(path, VIT, seed)
    return paths


def write_bad(kind, path):
    if kind == "truncated":
        save_checkpoint(path, VIT)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("import os\n")  # 'i' would be an opcode of pickle
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"weights": 1}))
    elif kind == "no state_dict":
        torch.save({"model": {}, 3: 4}, path)
    elif kind == "state_dict is a tensor":
        torch.save({"state_dict": torch.zeros(1)}, path)
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("truncated", ValueError, r"bad.pth \(\d.\d MiB\) is truncated or not a checkpoint"),
        ("empty", ValueError, r"bad.pth .*is not a checkpoint: it starts with b''"),
        ("text", ValueError, r"bad.pth .*is not a checkpoint: it starts with b'im'"),
        ("pickle", ValueError, r"bad.pth .*is truncated or not a checkpoint"),
        ("no state_dict", ValueError, r"is not an MMEngine checkpoint.*got \['3', 'model'\]"),
        ("state_dict is a tensor", ValueError, "is not an MMEngine checkpoint"),
        ("folder", ValueError, "bad.pth is a folder"),
        ("missing", FileNotFoundError, "bad.pth does not exist"),
    ],
)
def test_files_that_are_no_checkpoint(kind, error, message, tmp_path):
    write_bad(kind, tmp_path / "bad.pth")
    with pytest.raises(error, match=message) as caught:
        load_file(tmp_path / "bad.pth")
    assert type(caught.value) is error


def without(model, *keys):
    return {k: v for k, v in model.items() if k not in keys}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (dict(type="MaskRCNN", backbone=VIT["backbone"]), "'MaskRCNN' is not a classifier"),
        (without(VIT, "head"), "the config has no model.head"),
        (dict(VIT, head=None), "the config has no model.head"),
        (
            dict(VIT, backbone=dict(type="VGG", depth=11)),
            r"unknown architecture 'VGG': the known ones are .*'ResNet', 'ResNet_CIFAR', .*'Vision",
        ),
        (dict(VIT, head=resnet_model()["head"]), r"head.type is 'LinearClsHead': wanted 'Vision"),
        (dict(VIT, head=dict(VIT["head"], in_channels=8)), "in_channels is 8: wanted 16"),
        (vit_model(layer_cfgs=dict(num_fcs=3)), "backbone.layer_cfgs=.*num_fcs.* is not covered"),
        (vit_model(patch_cfg=dict(stride=4)), "backbone.patch_cfg=.*stride.* is not covered"),
        (vit_model(norm_cfg=dict(type="BN")), "norm_cfg.type='BN': wanted 'LN'"),
        (vit_model(norm_blocks=[16, 16]), "norm_blocks are for norm='block'"),
        (resnet_model(deep_stem=True), "backbone.deep_stem=True is not covered"),
        (resnet_model(avg_down=True), "backbone.avg_down=True is not covered"),
        (dict(VIT, backbone=dict(type="VisionTransformer", arch="tiny")), "arch='tiny' is unknown"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_configs_that_are_not_covered(model, message):
    with pytest.raises(ValueError, match=message):
        arch_of(model)


def test_errors_of_a_config_name_the_file(pair, tmp_path):
    content = load_file(pair[1])
    content["meta"]["cfg"] = Config(dict(model=dict(type="MaskRCNN"))).pretty_text
    torch.save(content, tmp_path / "detector.pth")
    with pytest.raises(ValueError, match=r"detector.pth: model type 'MaskRCNN' is not"):
        grow_checkpoint("couple", [pair[0], tmp_path / "detector.pth"], tmp_path / "c.pth")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (dict(num_layers=3), "num_layers=2 and 3"),
        (dict(num_classes=7), r"'head.layers.head.weight': \(10, 16\) and \(7, 16\)"),
        (dict(num_heads=4), r"head_dim\): 8 and 4"),
    ],
    ids=str,
)
def test_parents_that_do_not_fit_name_their_files(other, message, pair, tmp_path):
    odd = vit_model(**(dict(embed_dims=16, num_heads=2, num_layers=2) | other))
    save_checkpoint(pair[1], odd, 2)
    names = re.escape(f"{pair[0]} and {pair[1]}")
    with pytest.raises(ValueError, match=f"{names}.*{message}"):
        grow_checkpoint("couple", pair, tmp_path / "c.pth")
    assert not (tmp_path / "c.pth").exists()


def test_options_that_do_not_apply(pair, tmp_path):
    out = tmp_path / "c.pth"
    with pytest.raises(
        ValueError, match="unknown operator 'copule': the known ones are 'bert2bert'"
    ):
        grow_checkpoint("copule", pair, out)
    with pytest.raises(ValueError, match="mode='paper' couples plainly"):
        grow_checkpoint("couple", pair, out, center=True)
    for options in (dict(), dict(mode="corrected", norm="block")):
        with pytest.raises(ValueError, match="calibrate=2 needs mode='corrected' and norm='layer'"):
            grow_checkpoint("couple", pair, out, calibrate=2, **options)
    with pytest.raises(
        ValueError, match=r"the config .*a.pth has no train_dataloader to take images from"
    ):
        grow_checkpoint("couple", pair, out, calibrate=2, mode="corrected")
    for path in pair:
        save_checkpoint(path, RESNET)
    with pytest.raises(ValueError, match=r"correct what LayerNorm does .*ResNetArch has none"):
        grow_checkpoint("couple", pair, out, center=True, mode="corrected")
    with pytest.raises(ValueError, match="ResNet-18 x 4 couples exactly without it"):
        grow_checkpoint("couple", pair, out, calibrate=1, mode="corrected")
    assert not out.exists()
