"""Operators with one source, from files and configs: tools, hook, registered backbones, ledger."""

from __future__ import annotations

import json

import pytest
import torch
from mmpretrain.structures import DataSample

from checkpoint_helpers import save_checkpoint, save_config
from helpers import build_classifier, load_tool, resnet_model, vit_model
from rbdc_mm.checkpoint.files import load_file, read_checkpoint
from rbdc_mm.checkpoint.grow import grow_checkpoint, initial_state
from rbdc_mm.cost import Ledger

SMALL = vit_model(embed_dims=16, num_heads=2, num_layers=2)
LARGE = vit_model(embed_dims=32, num_heads=4, num_layers=4)
RESNETS = resnet_model(18, 4), resnet_model(34, 6)


def tool(name: str):
    module = load_tool(name)
    return module.main


@pytest.fixture
def small(tmp_path):
    """A checkpoint of a small ViT with a ledger."""
    ledger = Ledger.new("small", "small")
    ledger.add_iteration(2, 50)
    path = tmp_path / "small.pth"
    save_checkpoint(path, SMALL, 1, ledger=ledger)
    return path


def test_grown_and_inspected_from_the_command_line(small, tmp_path, capsys):
    config, out = save_config(tmp_path / "large.py", LARGE), tmp_path / "c.pth"
    grow, inspect = tool("grow"), tool("inspect_growth")
    arguments = ["--parents", str(small), "--target-config", str(config), "--out", str(out)]
    for operator, options, verdict in [
        ("lemon", [], "exact: logits equal the reference"),
        ("net2net", ["--options", "noise=0"], "exact: logits equal the reference"),
        ("net2net", ["--seed", "3"], "not exact: noise of 0.01 on the copies"),
        ("embed", ["--options", "fill=zero_out"], "not exact: LayerNorm takes mean"),
        ("bert2bert", [], "not exact: new units come from other blocks"),
    ]:
        assert grow([operator, *arguments, *options]) == 0, capsys.readouterr().err
        text = capsys.readouterr().out
        assert verdict in text and f"{operator}  {out}: embed_dims=32, num_heads=4" in text
        assert inspect([str(out), "--num-images", "4", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["declared"].startswith(verdict) and found["operator"] == operator
        assert found["exact_met"] is (True if verdict.startswith("exact") else None)
        assert found["reference"] == f"1 x {small}"
        assert Ledger.from_dict(load_file(out)["meta"]["ledger"]).total == 100
    assert inspect([str(out), "--compare-corrections"]) == 1
    assert "is about couplings: this grew by bert2bert" in capsys.readouterr().err


def test_the_target_starts_from_its_own_initial_weights(small, tmp_path):
    """What the source does not cover is what the target's config would have drawn."""
    for seed in (0, 1):
        grow_checkpoint("embed", [small], tmp_path / f"{seed}.pth", target_model=LARGE, seed=seed)
    grown = [load_file(tmp_path / f"{seed}.pth")["state_dict"] for seed in (0, 1)]
    key = "backbone.layers.1.ffn.layers.0.0.weight"
    assert torch.equal(grown[0][key][:32, :16], grown[1][key][:32, :16])
    for seed in (0, 1):
        init = initial_state(LARGE, seed)[key]
        assert torch.equal(grown[seed][key][32:], init[32:])
        assert torch.equal(grown[seed][key][:, 16:], init[:, 16:])
    assert not torch.equal(grown[0][key], grown[1][key])


@pytest.mark.parametrize(
    ("operator", "options", "message"),
    [
        ("embed", dict(target_model=None), "can grow .*small.pth to many a target: give its"),
        ("embed", dict(norm="block"), "norm='block' is for 'couple'"),
        ("embed", dict(calibrate=3), "calibrate=3 is for 'couple'"),
        ("embed", dict(mode="paper"), "operator 'embed' has no option .'mode'."),
        ("embed", dict(learned="small.pth"), "operator 'embed' has no option .'learned'."),
    ],
)
def test_options_of_other_operators(small, tmp_path, monkeypatch, operator, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        grow_checkpoint(operator, [small], "c.pth", **{"target_model": LARGE, **options})
    assert not (tmp_path / "c.pth").exists()


def test_options_of_the_command_line(small, tmp_path, capsys):
    command = ["embed", "--parents", str(small), "--out", str(tmp_path / "c.pth")]
    assert tool("grow")([*command, "--options", "configs=1"]) == 1
    assert "has no option ['configs']: the known ones are ['fill', 'packed']" in (
        capsys.readouterr().err
    )


def started(model: dict, parent, **more) -> dict:
    """The state of a classifier whose backbone starts from ``parent``."""
    backbone = {**model["backbone"], **more, "parent": str(parent)}
    backbone["type"] = f"rbdc_mm.CoMPT{model['backbone']['type']}"
    return build_classifier({**model, "backbone": backbone}).backbone


def test_backbones_start_from_their_parent(small, tmp_path):
    """As the operator does it; all else is the backbone's own initialisation."""
    torch.manual_seed(0)
    got = started(LARGE, small, fill="zero_out").state_dict()
    source = read_checkpoint(small).state_dict
    for block in range(4):
        weight = got[f"layers.{block}.attn.qkv.weight"]
        wanted = source[f"backbone.layers.{block // 2}.attn.qkv.weight"]
        for n in range(3):
            assert torch.equal(weight[32 * n : 32 * n + 16, :16], wanted[16 * n : 16 * (n + 1)])
            assert not weight[32 * n : 32 * n + 16, 16:].any()
    path = tmp_path / "r18.pth"
    resnet = save_checkpoint(path, RESNETS[0], 1).backbone.state_dict()
    got = started(RESNETS[1], path).state_dict()
    assert torch.equal(got["layer3.5.conv2.weight"][:16, :16], resnet["layer3.1.conv2.weight"])
    assert torch.equal(got["layer3.5.bn1.running_var"][:16], resnet["layer3.1.bn1.running_var"])
    assert bool((got["layer3.5.bn1.running_var"][16:] == 1).all())


def test_backbone_of_another_image_size(small):
    """The position embedding is embedded at the parent's size, then resized."""
    got = started(LARGE, small, img_size=48, out_type="featmap", final_norm=False)
    assert got.pos_embed.shape == (1, 37, 32) and not hasattr(got, "ln1")
    with pytest.raises(ValueError, match="differ in the unit of heads"):
        started(vit_model(embed_dims=32, num_heads=2, num_layers=4), small)


def test_backbone_without_parent_is_the_plain_one():
    torch.manual_seed(0)
    plain = build_classifier(LARGE).state_dict()
    model = {**LARGE, "backbone": {**LARGE["backbone"], "type": "rbdc_mm.CoMPTVisionTransformer"}}
    torch.manual_seed(0)
    same = build_classifier(model).state_dict()
    assert all(torch.equal(plain[k], same[k]) for k in plain)


def test_a_model_that_starts_and_learns_from_its_parent(small):
    """As the README shows it, without a protocol."""
    model = {**LARGE, "type": "rbdc_mm.FeatureDistillationClassifier"}
    model["backbone"] = {**LARGE["backbone"], "parent": str(small)}
    model["backbone"]["type"] = "rbdc_mm.CoMPTVisionTransformer"
    classifier = build_classifier({**model, "distillation": dict(teachers=[str(small)])})
    source = read_checkpoint(small).state_dict["backbone.layers.0.ffn.layers.0.0.bias"]
    assert torch.equal(classifier.backbone.layers[0].ffn.layers[0][0].bias[:32], source)
    samples = [DataSample().set_gt_label(n) for n in range(2)]
    losses = classifier.loss(torch.randn(2, 3, 32, 32), samples)
    assert set(losses) == {"loss_task", "loss_ifd"} and losses["loss_ifd"] > 0
