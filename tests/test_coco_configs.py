"""The COCO detectors: mmdet's own where they should be, and every recipe trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmdet.datasets import CocoDataset
from mmengine import Config
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.models import VisionTransformer

from rbdc_mm.arch.convnext import ConvNeXtArch
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.cost import SampleCost
from rbdc_mm.models import charges
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.protocol.launch import train
from rbdc_mm.show.coco_models import MMDET_ZOO, coco_models, coco_row, coco_table

R50 = "mask_rcnn_r50_ckpt_fpn_1x_coco"
# One config of every recipe: where the weights come from is an option.
RECIPES = [
    *(f"mask_rcnn_{backbone}_ckpt_fpn_1x_coco" for backbone in ("r50", "r50_w32")),
    *(f"mask_rcnn_deit_{size}_ckpt_fpn_1x_coco" for size in ("ti", "s", "b")),
    *(f"mask_rcnn_deit_{size}_ckpt_fpn_ms_3x_coco" for size in ("ti", "s", "b")),
    "mask_rcnn_deit_b_ckpt_sfp_lsj_100e_coco",
    "mask_rcnn_convnext_t_ckpt_fpn_ms_crop_3x_coco",
    "mask_rcnn_swin_b_ckpt_fpn_1x_coco",
    *(f"{kind}_{backbone}_rbdc_fpn_1x_coco" for kind in ("cascade_mask_rcnn", "retinanet")
      for backbone in ("r50", "deit_b")),
]  # fmt: skip
PIXELS, WIDTH = 8, 16  # what images and networks are shrunk by


def coco(stem: str) -> Config:
    return Config.fromfile(f"configs/coco/{stem}.py")


def plain(node):
    """Without the scopes that MMEngine notes at bases of other packages."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items() if key != "_scope_"}
    return [plain(value) for value in node] if isinstance(node, list | tuple) else node


@pytest.fixture(scope="module")
def coco_scenes(digit_scenes, tmp_path_factory) -> Path:
    """digit_scenes with COCO's 80 classes: digits are called by the first ten of them."""
    root = tmp_path_factory.mktemp("coco")
    (root / "annotations").mkdir()
    for split in ("train2017", "val2017"):
        (root / split).symlink_to(digit_scenes / split)
        name = f"annotations/instances_{split}.json"
        scenes = json.loads((digit_scenes / name).read_text())
        classes = CocoDataset.METAINFO["classes"]
        scenes["categories"] = [{"id": i + 1, "name": c} for i, c in enumerate(classes)]
        (root / name).write_text(json.dumps(scenes))
    return root


def shrink(cfg: Config) -> None:
    """Fewer pixels, channels and RoIs; the same layers, losses, transforms and schedule."""
    model, backbone = cfg.model, cfg.model.backbone
    _narrow(model)
    if "embed_dims" in backbone or backbone.type.endswith("ConvNeXt"):  # a map of each stage
        model.neck.in_channels = [c // WIDTH for c in model.neck.in_channels]
        if "embed_dims" in backbone:
            backbone.embed_dims //= WIDTH
        else:
            depths = ConvNeXtArch.zoo[backbone.arch]["depths"]
            backbone.arch = dict(channels=model.neck.in_channels, depths=list(depths))
    elif "arch" in backbone:
        sizes = dict(VisionTransformer.arch_zoo[backbone.arch])
        sizes["embed_dims"] //= WIDTH
        sizes["feedforward_channels"] //= WIDTH
        backbone.arch = sizes
        pyramids = model.neck if isinstance(model.neck, list) else [model.neck]
        for part in pyramids:
            several = isinstance(part.in_channels, list)
            part.in_channels = [sizes["embed_dims"]] * 4 if several else sizes["embed_dims"]
    else:
        backbone.base_channels = backbone.get("base_channels", 64) // WIDTH
        model.neck.in_channels = [c // WIDTH for c in model.neck.in_channels]
    for name in ("train_dataloader", "val_dataloader"):
        for step in cfg[name].dataset.pipeline:
            for key in ("scale", "crop_size", "size"):
                if key in step:
                    step[key] = tuple(n // PIXELS for n in step[key])
            if "scales" in step:
                step.scales = [tuple(n // PIXELS for n in scale) for scale in step.scales]
    if "image_size" in cfg:
        cfg.image_size = tuple(n // PIXELS for n in cfg.image_size)


def _narrow(node) -> None:
    """Heads and pyramids: 256 channels to 16, 1024 to 64; samplers and proposals likewise."""
    channels = ("in_channels", "out_channels", "feat_channels", "conv_out_channels")
    counts = ("fc_out_channels", "num", "nms_pre", "max_per_img")
    for value in node.values() if isinstance(node, dict) else node:
        if isinstance(value, dict | list):
            _narrow(value)
    if isinstance(node, dict):
        for key in (*channels, *counts):
            if isinstance(node.get(key), int):
                node[key] = max(1, node[key] // WIDTH)


@pytest.mark.parametrize("stem", RECIPES)
def test_recipe_trains_and_evaluates(stem, coco_scenes, tmp_path, monkeypatch):
    """One step and one evaluation of the recipe itself, shrunk, on scenes with COCO's classes."""
    # What it costs at full size is counted in test_configs, that runs are charged in test_twins.
    cost = SampleCost.of_parts({"all": SampleCost(1, 1, 1, 2)})
    monkeypatch.setattr(charges, "model_cost", lambda *_: cost)
    cfg = coco(stem)
    shrink(cfg)
    cfg.model.backbone.init_cfg = None
    test_cfg = cfg.model.test_cfg
    test_cfg.get("rcnn", test_cfg).score_thr = 0.0  # after one step it is sure of nothing
    for name in ("train_dataloader", "val_dataloader"):
        cfg[name].update(batch_size=2, num_workers=0, persistent_workers=False)
        cfg[name].dataset.update(data_root=f"{coco_scenes}/", indices=2)
    cfg.val_evaluator.ann_file = str(coco_scenes / "annotations/instances_val2017.json")
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.work_dir, cfg.launcher = str(tmp_path), "none"
    train(cfg)
    record = json.loads((tmp_path / "run.json").read_text())
    metrics = record["history"]["1"]
    assert record["finished"] and "coco/bbox_mAP" in metrics
    assert ("coco/segm_mAP" in metrics) == (not stem.startswith("retinanet"))
    state = load_file(tmp_path / "final.pth")["state_dict"]
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_r50_is_mmdets_own():
    """The same module tree, losses, shapes and optimiser groups as the official config."""
    ours, official = coco(R50), get_config(MMDET_ZOO)
    built = []
    for cfg in (ours, official):
        cfg.model.backbone.pop("init_cfg")
        with DefaultScope.overwrite_default_scope("mmdet"):
            model = build_on_meta(cfg.model, "mmdet")
            groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
        options = [{k: v for k, v in group.items() if k != "params"} for group in groups]
        shapes = [[tuple(p.shape) for p in group["params"]] for group in groups]
        tree = [(name, type(part)) for name, part in model.named_modules()]
        state = {key: tensor.shape for key, tensor in model.state_dict().items()}
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        built.append((str(model), tree, state, trained, options, shapes))
    assert built[0] == built[1]
    added = {"custom_imports", "num_train_samples", "checkpoint_from", "coco_numbers"}
    _show_the_default_numbers(ours)
    for key in set(ours.keys()) - added - {"default_hooks"}:
        assert plain(ours[key]) == plain(official[key]), key
    assert set(ours.keys()) == set(official.keys()) | added
    for name, hook in official.default_hooks.items():
        assert hook.items() <= ours.default_hooks[name].items()


def _show_the_default_numbers(cfg: Config) -> None:
    """Ours print all twelve of COCO's numbers, computed as ever."""
    for key in ("val_evaluator", "test_evaluator"):
        assert len(cfg[key].pop("metric_items")) == 12


@pytest.mark.parametrize("kind", ["cascade_mask_rcnn", "retinanet"])
def test_other_detectors_take_the_same_backbone(kind):
    """And the same pyramid, schedule and hooks; a ResNet's is mmdet's own detector."""
    other, mask_rcnn = (coco(f"{k}_deit_b_rbdc_fpn_1x_coco") for k in (kind, "mask_rcnn"))
    assert other.model.backbone == mask_rcnn.model.backbone
    assert other.model.neck[0] == mask_rcnn.model.neck[0]
    for key in ("optim_wrapper", "param_scheduler", "train_cfg", "default_hooks"):
        assert other[key] == mask_rcnn[key]
    zoo = {"cascade_mask_rcnn": "cascade_rcnn/cascade-mask-rcnn"}.get(kind, f"{kind}/{kind}")
    ours, official = (
        coco(f"{kind}_r50_rbdc_fpn_1x_coco"),
        get_config(f"mmdet::{zoo}_r50_fpn_1x_coco.py"),
    )
    for cfg in (ours, official):
        cfg.model.backbone.pop("init_cfg")
    _show_the_default_numbers(ours)
    for key in ("model", "train_dataloader", "val_evaluator", "optim_wrapper", "param_scheduler"):
        assert plain(ours[key]) == plain(official[key]), key


def test_vit_recipe():
    """AdamW without decay on norms, biases, embeddings; drop path 0.1; steps as mmdet's."""
    cfg = coco("mask_rcnn_deit_ti_ckpt_fpn_1x_coco")
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = build_on_meta(cfg.model, "mmdet")
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert isinstance(optimizer, torch.optim.AdamW) and optimizer.defaults["lr"] == 1e-4
    for name, param in model.named_parameters():
        is_free = param.ndim == 1 or name == "backbone.pos_embed"
        assert decays[id(param)] == (0.0 if is_free else 0.05), name
    assert cfg.model.backbone.drop_path_rate == 0.1
    batches = {
        stem: coco(f"mask_rcnn_deit_b_ckpt_{stem}_coco").auto_scale_lr.base_batch_size
        for stem in ("fpn_1x", "fpn_ms_3x", "sfp_lsj_100e")
    }
    assert batches == {"fpn_1x": 16, "fpn_ms_3x": 16, "sfp_lsj_100e": 64}


def test_a_checkpoint_must_be_given():
    cfg = coco("mask_rcnn_deit_s_ckpt_fpn_1x_coco")
    cfg.work_dir, cfg.launcher = "unused", "none"
    with pytest.raises(ValueError, match=r"--cfg-options model\.backbone\.init_cfg\.checkpoint="):
        train(cfg)


def test_the_table_is_what_the_configs_say():
    """Its cheapest row; tools/coco_models.py makes all of it again."""
    text = Path("results/coco/models.md").read_text()
    path = next(path for path in coco_models() if "retinanet_r50" in path.name)
    cells = [line.split() for line in coco_table([coco_row(path)]).splitlines()]
    assert cells[-1] in [line.split() for line in text.splitlines()]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 1 + len(coco_models())
