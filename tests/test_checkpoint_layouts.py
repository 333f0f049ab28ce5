"""Other libraries' checkpoints compute here what they compute there, and the other way round."""

from __future__ import annotations

import json
from functools import partial

import pytest
import timm
import torch
import torchvision
from mmengine import Config
from safetensors.torch import load_file as load_safetensors
from safetensors.torch import save_file

from checkpoint_helpers import save_checkpoint
from foreign_networks import (
    hf_state,
    images,
    timm_resnet,
    timm_vit,
    torchvision_resnet,
    torchvision_vit,
)
from helpers import resnet_model, vit_model
from rbdc_mm.checkpoint import saying
from rbdc_mm.checkpoint.classifiers import load_classifier
from rbdc_mm.checkpoint.convert import convert_checkpoint
from rbdc_mm.checkpoint.files import load_file, read_checkpoint
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.cost import Ledger

NETWORKS = {
    "timm ViT": ("timm", timm_vit),
    "timm, layer scale": ("timm", partial(timm_vit, init_values=0.1)),
    "timm, no bias": ("timm", partial(timm_vit, qkv_bias=False)),
    "timm, no position of the class token": ("timm", partial(timm_vit, no_embed_class=True)),
    "timm, pooled": ("timm", partial(timm_vit, global_pool="avg")),
    "torchvision ViT": ("torchvision", torchvision_vit),
    "torchvision, hidden layer": ("torchvision", partial(torchvision_vit, representation_size=24)),
    "torchvision ResNet-18": ("torchvision", torchvision_resnet),
    "timm ResNet-50": ("timm", partial(timm_resnet, "resnet50")),
}
# what a printed call may name
NAMES = {"timm": timm, "torchvision": torchvision, "torch": torch, "partial": partial}


@torch.no_grad()
def logits_of(path) -> torch.Tensor:
    return load_classifier(read_checkpoint(path)).double()(images())


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_the_same_there_and_back(name, tmp_path):
    library, build = NETWORKS[name]
    net = build()
    torch.save(net.state_dict(), tmp_path / "theirs.pth")
    there = convert_checkpoint(tmp_path / "theirs.pth", tmp_path / "ours")
    assert there.out.name == "ours.safetensors"
    wanted = net.double()(images())
    gap = (logits_of(there.out) - wanted).abs().max() / wanted.abs().max()
    assert gap <= (1e-14 if "torchvision's ViT" in there.source else 0)

    back = convert_checkpoint(there.out, tmp_path / "back.safetensors", to=library)
    again = eval(back.how_to_build, NAMES)
    again.load_state_dict(load_safetensors(back.out))  # strict
    assert torch.equal(again.double().eval()(images()), wanted)
    # what was exported is taken again, with all that its meta knows
    once_more = read_checkpoint(back.out)
    assert once_more.cfg.model == read_checkpoint(there.out).cfg.model
    assert once_more.meta["ledger"] == load_file(there.out)["meta"]["ledger"]


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["vit.", "deit.", ""])
def test_hugging_face(prefix, tmp_path):
    """Its own eps of 1e-12 comes along; with timm's the same weights give other logits."""
    net = timm_vit(norm_layer=partial(torch.nn.LayerNorm, eps=1e-12))
    pooler = {f"{prefix}pooler.dense.weight": torch.zeros(192, 192)}
    state = {k: v.contiguous() for k, v in (hf_state(net, prefix) | pooler).items()}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    )
    read = read_checkpoint(tmp_path / "model.safetensors")
    assert read.cfg.model.backbone.norm_cfg.eps == 1e-12
    assert read.cfg.data_preprocessor.mean == read.cfg.data_preprocessor.std == [127.5] * 3
    wanted = net.double()(images())
    assert (logits_of(read.path) - wanted).abs().max() / wanted.abs().max() < 1e-15
    out = convert_checkpoint(read.path, tmp_path / "out.safetensors", to="hf")
    assert "layer_norm_eps=1e-12" in out.how_to_build
    written = load_safetensors(out.out)
    assert all(torch.equal(written[k], v) for k, v in hf_state(net.float()).items())

    (tmp_path / "config.json").write_text(
        json.dumps({"hidden_act": "gelu", "num_attention_heads": 6, "layer_norm_eps": 1e-6})
    )
    told = read_checkpoint(read.path).cfg.model.backbone
    assert (told.arch.num_heads, told.norm_cfg.eps) == (6, 1e-6)


@torch.no_grad()
def test_deit_iii_mae_and_old_torchvision_names(tmp_path):
    net = timm_vit(init_values=0.1, no_embed_class=True)
    renamed = {
        k.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2"): v
        for k, v in net.state_dict().items()
    }
    torch.save({"model": renamed}, tmp_path / "deit3.pth")
    assert torch.equal(logits_of(tmp_path / "deit3.pth"), net.double()(images()))

    mae = {k: v for k, v in timm_vit().state_dict().items() if not k.startswith("head")}
    mae |= {"mask_token": torch.zeros(1, 1, 8), "decoder_blocks.0.norm1.weight": torch.zeros(8)}
    torch.save({"model": mae}, tmp_path / "mae.pth")
    read = read_checkpoint(tmp_path / "mae.pth")
    assert "head" not in read.cfg.model and read.backbone.num_layers == 2
    with pytest.raises(ValueError, match=r"mae.pth: the config has no model.head"):
        read.arch  # noqa: B018

    old = {
        k.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): v
        for k, v in torchvision_vit().state_dict().items()
    }
    torch.save(old, tmp_path / "old.pth")
    wanted = torchvision_vit().double()(images())
    assert (logits_of(tmp_path / "old.pth") - wanted).abs().max() < 1e-12
    uncounted = torchvision_resnet().state_dict()
    uncounted = {k: v for k, v in uncounted.items() if "num_batches" not in k}
    torch.save(uncounted, tmp_path / "r18.pth")
    assert torch.equal(logits_of(tmp_path / "r18.pth"), torchvision_resnet().double()(images()))


WRAPPERS = {
    "official DeiT": lambda s: {"model": s, "epoch": 3, "args": None},
    "timm's training": lambda s: {"state_dict": s, "arch": "deit_tiny_patch16_224"},
    "timm's training, EMA": lambda s: {"state_dict": _zeros(s), "state_dict_ema": s},
    "DeiT's training, EMA": lambda s: {"model": _zeros(s), "model_ema": s, "optimizer": {}},
    "EMA alone": lambda s: {
        "ema_state_dict": {"steps": torch.tensor(3)} | {f"module.{k}": v for k, v in s.items()}
    },
    "DataParallel": lambda s: {f"module.{k}": v for k, v in s.items()},
    "compiled": lambda s: {"state_dict": {f"module._orig_mod.{k}": v for k, v in s.items()}},
    "Lightning": lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}, "loops": 1},
    "parameters": lambda s: {k: torch.nn.Parameter(v) for k, v in s.items()},
}


def _zeros(state):
    return {k: torch.zeros_like(v) for k, v in state.items()}


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_is_wrapped_around_weights(name, tmp_path, capsys):
    state = timm_vit(depth=1).state_dict()
    torch.save(WRAPPERS[name](state), tmp_path / "x.pth")
    saying.say_once.cache_clear()
    read = read_checkpoint(tmp_path / "x.pth")
    told = capsys.readouterr().err
    assert torch.equal(read.state_dict["head.layers.head.weight"], state["head.weight"])
    assert (read.weights == "ema") == ("EMA" in name) == ("averaged weights" in told)
    assert "x.pth: read in the layout of timm's ViT" in told
    assert "pickled Python objects" not in told


def test_old_mmcls_files_and_their_config(tmp_path):
    model = vit_model(embed_dims=16, num_heads=2, num_layers=2)
    net = save_checkpoint(tmp_path / "new.pth", model)
    old = {**model, "backbone": {**model["backbone"], "output_cls_token": True}}
    text = Config(dict(model=old, img_norm_cfg=dict(mean=[1.0] * 3, std=[2.0] * 3, to_rgb=True)))
    meta = {"config": text.pretty_text, "CLASSES": ("a",), "mmcls_version": "0.25.0"}
    torch.save({"meta": meta, "state_dict": net.state_dict()}, tmp_path / "old.pth")
    read = read_checkpoint(tmp_path / "old.pth")
    assert read.arch == read_checkpoint(tmp_path / "new.pth").arch
    assert read.cfg.data_preprocessor.mean == [1.0] * 3
    out = convert_checkpoint(read.path, tmp_path / "out").out
    assert read_checkpoint(out).cfg.data_preprocessor == read.cfg.data_preprocessor
    assert load_file(out)["meta"]["CLASSES"] == ["a"]
    load_classifier(read_checkpoint(out))


def test_ledger_record_and_ema_survive_every_layout(tmp_path):
    ledger = Ledger.new("run", "run")
    ledger.add_iteration(2, 50)
    model = vit_model(embed_dims=16, num_heads=2, num_layers=2)
    averaged = save_checkpoint(tmp_path / "ours.pth", model, ledger=ledger, ema=True)
    content = torch.load(tmp_path / "ours.pth", weights_only=True)
    content["meta"]["grown"] = {"operator": "couple", "parents": []}
    torch.save(content, tmp_path / "ours.pth")
    for to in ("timm", "torchvision", "hf", "mmpretrain"):
        for suffix in (".safetensors", ".pth"):
            out = convert_checkpoint(tmp_path / "ours.pth", tmp_path / f"{to}{suffix}", to=to).out
            read = read_checkpoint(out)
            assert (read.weights, read.meta["grown"]) == ("ema", content["meta"]["grown"])
            assert Ledger.from_dict(read.meta["ledger"]) == ledger
            assert read.cfg.model == Config(dict(model=model)).model
            for key, value in averaged.state_dict().items():
                assert torch.equal(read.state_dict[key], value), key


def test_a_converted_source_stays_the_same_unknown_source(tmp_path):
    torch.save(timm_vit(depth=1).state_dict(), tmp_path / "timm.pth")
    out = convert_checkpoint(tmp_path / "timm.pth", tmp_path / "ours").out
    one = Ledger.from_dict(load_file(out)["meta"]["ledger"])
    assert one.is_lower_bound and one.unknown_parents[0].startswith("unknown-")
    again = convert_checkpoint(out, tmp_path / "again.pth").out
    assert Ledger.from_dict(load_file(again)["meta"]["ledger"]) == one


def test_styles_of_resnets_are_not_mixed_up(tmp_path):
    caffe = resnet_model(50, 8)
    caffe["backbone"]["style"] = "caffe"
    save_checkpoint(tmp_path / "caffe.pth", caffe)
    save_checkpoint(tmp_path / "pytorch.pth", resnet_model(50, 8), 2)
    with pytest.raises(ValueError, match=r"differ in style: 'caffe' and 'pytorch'"):
        paths = [tmp_path / "caffe.pth", tmp_path / "pytorch.pth"]
        grow_checkpoint("couple", paths, tmp_path / "c.pth")
    assert read_checkpoint(tmp_path / "caffe.pth").arch.style == "caffe"


def test_weights_saved_on_a_gpu_are_read_without_one(tmp_path, monkeypatch):
    state = timm_vit(depth=1).state_dict()
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda *_, **__: "cuda:0")
        torch.save({"model": state}, tmp_path / "cuda.pth")
    read = read_checkpoint(tmp_path / "cuda.pth").state_dict
    assert torch.equal(read["backbone.cls_token"], state["cls_token"])


@pytest.mark.parametrize(
    "options",
    [
        dict(pickle_protocol=4),
        dict(_use_new_zipfile_serialization=False),
        dict(pickle_protocol=4, _use_new_zipfile_serialization=False),
    ],
)
def test_other_formats_of_torch(options, tmp_path):
    torch.save({"model": timm_vit(depth=1).state_dict()}, tmp_path / "x.pth", **options)
    assert read_checkpoint(tmp_path / "x.pth").arch.embed_dims == 192


def _changed(model: dict, head: dict | None = None, **backbone) -> dict:
    return {
        **model,
        "backbone": {**model["backbone"], **backbone},
        "head": {**model["head"], **(head or {})},
    }


_VIT, _RESNET = vit_model(16, 2, 1), resnet_model(18, 64)
LACKING = {
    "a distillation token": (
        _changed(_VIT, dict(type="DeiTClsHead"), type="DistilledVisionTransformer"),
        r"a DistilledViTArch cannot be written for 'timm', wanted one of \['mmpretrain'\]",
    ),
    "a stem for small images": (
        _changed(_RESNET, type="ResNet_CIFAR"),
        "a ResNetCIFARArch cannot be written for 'timm'",
    ),
    "another stem": (_changed(_RESNET, stem_channels=32), "no such network, with a stem of anoth"),
    "other blocks": (
        _changed(resnet_model(50, 64), dict(in_channels=1024), expansion=2),
        "no such network, with expansion=2",
    ),
    "other strides": (
        _changed(_RESNET, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)),
        r"with strides=\(1, 2, 2, 1\), dilations=\(1, 1, 1, 2\)",
    ),
    "two last norms": (_changed(_VIT, out_type="avg_featmap"), "with two last norms"),
}


@pytest.mark.parametrize("name", LACKING)
def test_a_network_that_the_other_library_has_not(name, tmp_path):
    model, message = LACKING[name]
    save_checkpoint(tmp_path / "x.pth", model)
    with pytest.raises(ValueError, match=rf"x\.pth: .*{message}"):
        convert_checkpoint(tmp_path / "x.pth", tmp_path / "out", to="timm")
    assert not (tmp_path / "out.safetensors").exists()
