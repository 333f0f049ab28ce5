"""CoM-PT and RBDC of whole image-text models: published plans, and tiny chains that run."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from closed_formulas import text_macs, vit_macs
from image_text_models import clip_model, run_config
from mmengine import Config

from rbdc_mm.arch import ImageTextArch
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.files import load_file, read_checkpoint
from rbdc_mm.cost import Ledger
from rbdc_mm.models.last_batch import last_batch_problem
from rbdc_mm.protocol.dry_run import check_growth, check_stage_model
from rbdc_mm.protocol.plan_table import table_of
from rbdc_mm.protocol.run import make_plan, run_protocol
from rbdc_mm.protocol.stage_config import stage_config
from rbdc_mm.protocol.suggest import suggest
from tiny_runs import NUM_SAMPLES, totals

HALF = dict(
    embed_dims=8, num_layers=2, num_heads=1, feedforward_channels=16, text_width=8, text_heads=1
)
CC3M = 2_823_019  # pairs that CoM-PT's code found; what counts here are ratios


def published(size: str, **protocol) -> Config:
    """CoM-PT's setting at 224 px."""
    model = clip_model() | dict(vocab_size=49408, context_length=77)
    model["backbone"] |= dict(img_size=224, patch_size=16, arch="deit-tiny")
    model["projection"] |= dict(in_channels=192, out_channels=512)
    sized = arch_of(model).resized(size)
    backbone, projection, text = sized.to_config()
    model["backbone"] |= backbone
    model["projection"] |= projection
    model["text_backbone"] |= text
    return Config(
        dict(
            model=model,
            image_size=224,
            num_train_samples=CC3M,
            train_cfg=dict(by_epoch=True, max_epochs=128),
            protocol=protocol,
        )
    )


def pair(size: str) -> tuple[int, int]:
    """FLOPs of a pair's forward and backward, and of its forward, by hand."""
    sizes = ImageTextArch.zoo[size]
    vision = dict(embed_dims=sizes["embed_dims"], num_layers=sizes["num_layers"], num_classes=512)
    text = dict(width=sizes["text_width"], layers=12, context_length=77, joint=512)
    macs = vit_macs(**vision), text_macs(**text)
    return sum(m.train_flops for m in macs), sum(m.forward_flops for m in macs)


def test_the_published_chain():
    """T -> S -> B -> L against 128 epochs of each alone; teachers are charged both towers."""
    names, epochs = ["t", "s", "b", "l"], (128, 24, 16, 16)
    policy = dict(type="epochs", epochs=epochs)
    plan = make_plan(published("l", type="CoMPT", chain=names[:-1], policy=policy))
    wanted = 0
    for number, (name, count) in enumerate(zip(names, epochs, strict=True)):
        wanted += count * pair(name)[0]
        wanted += count * pair(names[number - 1])[1] if number else 0
    assert plan.flops == CC3M * wanted
    alone = 128 * CC3M * sum(pair(name)[0] for name in names)
    assert sum(plan.alone_flops.values()) == alone
    table = table_of(plan)
    assert alone / plan.flops == pytest.approx(6.25, abs=5e-3)
    assert "acceleration ratio 6.25x" in table and "the whole chain is 22.8% of that" in table
    assert "CLIP DeiT-B + 512x12" in table and "CLIP ViT-L + 768x12" in table
    assert plan.stages[-1].distillation.alpha == 500 / 512


def test_a_tree_of_clips():
    """RBDC: what nobody has published; two leaves of half of B's widths."""
    plan = make_plan(published("b", type="RBDC", depth=1, branching=2))
    leaf, *_, target = (stage.arch for stage in plan.stages)
    assert (leaf.vision.embed_dims, leaf.text.text_width, leaf.joint) == (384, 256, 512)
    assert target == arch_of(published("b").model)


def test_a_chain_is_suggested():
    cfg = published("m")
    cfg.protocol = None
    found = suggest(cfg, CC3M)
    assert found.protocol["chain"] == ["t"] and found.protocol["distillation"] == {}


def chain_config(digits: Path, work_dir: Path, **protocol) -> Config:
    cfg = run_config(digits, work_dir, clip_model())
    cfg.method, cfg.runner_type = "com_pt", "rbdc_mm.ProtocolRunner"
    cfg.protocol = protocol
    return cfg


def test_stages_of_a_chain(digits, tmp_path):
    policy = dict(type="epochs", epochs=(2, 1))
    cfg = chain_config(digits, tmp_path, type="CoMPT", chain=[HALF], policy=policy)
    plan = make_plan(cfg)
    first, last = (stage_config(cfg, plan, stage, tmp_path) for stage in plan.stages)
    check_growth(plan)
    for one, stage in zip((first, last), plan.stages, strict=True):
        check_stage_model(one, stage.name)
    assert first.model.text_backbone.width == 8 and first.model.projection.in_channels == 8
    assert "distillation" not in first.model and last.model.type == "rbdc_mm.ImageTextPretrainer"
    teachers = [str(tmp_path / "chain-0" / "final.pth")]
    assert last.model.distillation.to_dict() == dict(teachers=teachers, alpha=500 / 512)


@pytest.mark.parametrize(
    "protocol",
    [
        dict(type="CoMPT", chain=[HALF], policy=dict(type="epochs", epochs=(1, 1))),
        dict(type="RBDC", depth=1, branching=2, policy=dict(type="epochs", epochs=(1, 1))),
    ],
    ids=["compt", "rbdc"],
)
def test_tiny_protocols_run(digits, tmp_path, protocol):
    """What is spent is what was planned, teachers included."""
    cfg = chain_config(digits, tmp_path, **protocol)
    plan = make_plan(cfg)
    run_protocol(cfg)
    ledger = Ledger.from_dict(load_file(tmp_path / "target" / "final.pth")["meta"]["ledger"])
    assert ledger.total == plan.flops and ledger.own.num_samples_seen == NUM_SAMPLES
    teachers = [stage.teacher_flops_per_sample for stage in plan.stages]
    assert ledger.own.teacher_flops == NUM_SAMPLES * teachers[-1]
    assert (teachers[-1] > 0) == (protocol["type"] == "CoMPT")
    assert len(totals(tmp_path)) == len(plan.stages)
    assert read_checkpoint(tmp_path / "target" / "final.pth").arch == arch_of(cfg.model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(chain=["x"]), r"'x' is no size of a ImageTextArch: wanted one of \['b', 'l'"),
        (dict(chain=[HALF | dict(text_width=32, text_heads=2)]), "text_width 32 -> 16"),
        (dict(distillation=dict(feature="neck")), "learns the embeddings of both towers"),
    ],
)
def test_chains_that_do_not_fit(digits, tmp_path, changes, message):
    options = dict(type="CoMPT", chain=[HALF]) | changes
    with pytest.raises(ValueError, match=message):
        make_plan(chain_config(digits, tmp_path, **options))


def test_a_single_pair_is_told_before_training(digits, tmp_path):
    cfg = run_config(digits, tmp_path, copy.deepcopy(clip_model()))
    message = last_batch_problem(cfg, 97)
    assert message.startswith("97 images on 1 rank, batch_size=32: the last batch of an epoch is a")
    assert last_batch_problem(cfg, 98) is None
    assert last_batch_problem(cfg, 2 * 33, num_ranks=2) is None
