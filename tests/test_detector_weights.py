"""A detector takes a ConvNeXt or Swin classifier whole, but for the norms of its other maps."""

from __future__ import annotations

import pytest
import torch
from mmengine import Config

from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.protocol.starting_points import backbone_misfits


@pytest.mark.parametrize("stem", ["convnext_t_ckpt_fpn_ms_crop_3x", "swin_b_ckpt_fpn_1x"])
def test_a_detector_takes_the_classifier_and_nothing_else(stem, tmp_path):
    cfg = Config.fromfile(f"configs/coco/mask_rcnn_{stem}_coco.py")
    name = "convnext_t" if "convnext" in stem else "swin_b"
    scratch = Config.fromfile(f"configs/scratch/{name}_in1k.py")
    path = tmp_path / "a.pth"
    state = build_on_meta(scratch.model, "mmpretrain").state_dict()
    state = {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in state.items()}
    torch.save({"meta": {"cfg": scratch.pretty_text}, "state_dict": state}, path)
    assert backbone_misfits(cfg, path, "backbone.") == []
    del state["backbone.norm3.weight"]
    torch.save({"meta": {"cfg": scratch.pretty_text}, "state_dict": state}, path)
    assert "norm3.weight: got nothing" in backbone_misfits(cfg, path, "backbone.")[0]
