"""ConvNeXt and Swin classifiers as backbones: coupled in init_weights(), and in mmdet's detectors."""

from __future__ import annotations

import pytest
import torch
from mmengine import Config
from mmengine.registry import MODELS, DefaultScope

from checkpoint_helpers import save_checkpoint
from helpers import convnext_model, swin_model
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.growth import couple, coupled_arch
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.protocol.starting_points import backbone_misfits

FAMILIES = {
    "ConvNeXt": (convnext_model(), [16, 32, 64, 128]),
    "SwinTransformer": (swin_model(), 16),
}


def detector_backbone(name: str) -> dict:
    """The coupled backbone of a detector: maps of all stages."""
    if name == "ConvNeXt":
        arch = dict(channels=[16, 32, 64, 128], depths=[1, 1, 2, 1])
        return dict(arch=arch, out_indices=[0, 1, 2, 3], gap_before_final_norm=False,
                    layer_scale_init_value=1.0)  # fmt: skip
    arch = dict(embed_dims=16, depths=[2, 2, 2, 2], num_heads=[2, 4, 8, 16])
    return dict(arch=arch, out_indices=(0, 1, 2, 3), window_size=2)


@pytest.mark.parametrize("name", FAMILIES)
def test_backbones_of_other_families_start_from_their_parents(name, tmp_path):
    """Coupled, or embedded; the norms of maps that no classifier normalises are its own."""
    model, _ = FAMILIES[name]
    parents = [save_checkpoint(tmp_path / f"{n}.pth", model, n) for n in range(2)]
    paths = [str(tmp_path / f"{n}.pth") for n in range(2)]
    arches = [arch_of(model).backbone_only()] * 2
    states = [
        {k: v for k, v in one.state_dict().items() if k.startswith("backbone.")} for one in parents
    ]
    wanted = couple.apply(coupled_arch(arches, paths), arches, states, paths)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        cfg = dict(type=f"rbdc_mm.RBDC{name}", parents=paths, **detector_backbone(name))
        backbone = MODELS.build(cfg)
        backbone.init_weights()
        embedded = MODELS.build(
            dict(type=f"rbdc_mm.CoMPT{name}", parent=paths[0], **detector_backbone(name))
        )
        embedded.init_weights()
    state = backbone.state_dict()
    for key, value in wanted.items():
        assert torch.equal(state[key.removeprefix("backbone.")], value), key
    own = {key for key in state if f"backbone.{key}" not in wanted}
    assert own == {f"norm{i}.{part}" for i in range(3) for part in ("weight", "bias")}
    first = (
        "downsample_layers.0.0.weight" if name == "ConvNeXt" else "patch_embed.projection.weight"
    )
    assert torch.equal(embedded.state_dict()[first][:8], states[0][f"backbone.{first}"])


@pytest.mark.parametrize("stem", ["convnext_t_ckpt_fpn_ms_3x", "swin_t_ckpt_fpn_1x"])
def test_a_detector_takes_the_classifier_and_nothing_else(stem, tmp_path):
    cfg = Config.fromfile(f"configs/coco/mask_rcnn_{stem}_coco.py")
    name = "convnext_t" if "convnext" in stem else "swin_t"
    scratch = Config.fromfile(f"configs/scratch/{name}_in1k.py")
    path = tmp_path / "a.pth"
    state = build_on_meta(scratch.model, "mmpretrain").state_dict()
    state = {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in state.items()}
    torch.save({"meta": {"cfg": scratch.pretty_text}, "state_dict": state}, path)
    assert backbone_misfits(cfg, path, "backbone.") == []
    del state["backbone.norm3.weight"]
    torch.save({"meta": {"cfg": scratch.pretty_text}, "state_dict": state}, path)
    assert "norm3.weight: got nothing" in backbone_misfits(cfg, path, "backbone.")[0]
