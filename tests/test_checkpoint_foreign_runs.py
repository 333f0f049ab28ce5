"""Other libraries' checkpoints wherever one is taken: runs, growth, plans, teachers, detectors."""

from __future__ import annotations

import http.server
import json
import threading
from functools import partial

import pytest
import torch
from mmengine import Config
from mmengine.model import PretrainedInit
from mmengine.registry import MODELS, DefaultScope
from safetensors.torch import save_file
from test_single_source import tool

import rbdc_mm.models  # noqa: F401  (Pretrained takes more than MMEngine's)
from checkpoint_helpers import save_checkpoint
from foreign_networks import hf_state, timm_vit, torchvision_resnet
from helpers import build_classifier, resnet_model, vit_model
from rbdc_mm.arch import ViTArch
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.files import load_file, read_checkpoint
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.checkpoint.teachers import load_teacher
from rbdc_mm.cost import Ledger
from rbdc_mm.protocol.chain import source_file
from rbdc_mm.protocol.dry_run import missing_checkpoints
from rbdc_mm.protocol.launch import evaluate, train
from rbdc_mm.show.inspect_growth import inspect_growth
from tiny_runs import record, tiny_config

DEIT = vit_model(192, 3, 2, num_classes=5)
DEIT["backbone"]["arch"]["feedforward_channels"] = 768
SMALL = dict(embed_dim=16, num_heads=4, mlp_ratio=2, num_classes=10)  # tiny_config's


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """DeiT-Ti with two layers, as every library saves it."""
    root, net = tmp_path_factory.mktemp("foreign"), timm_vit()
    torch.save({"model": net.state_dict()}, root / "deit.pth")
    save_file(net.state_dict(), root / "timm.safetensors")
    save_file({k: v.contiguous() for k, v in hf_state(net).items()}, root / "hf.safetensors")
    torch.save(timm_vit(num_classes=0).state_dict(), root / "headless.pth")
    return root


def initialised(model: dict, scope: str = "mmpretrain") -> dict[str, torch.Tensor]:
    with DefaultScope.overwrite_default_scope(scope):
        built = MODELS.build(Config(model)) if scope == "mmdet" else None
    built = built if built is not None else build_classifier(model)
    built.init_weights()
    return built.state_dict()


@pytest.mark.parametrize("prefix", [None, "", "backbone", "backbone."])
@pytest.mark.parametrize("name", ["deit.pth", "timm.safetensors", "hf.safetensors"])
def test_pretrained_takes_them_with_any_prefix(name, prefix, files):
    init = dict(type="Pretrained", checkpoint=str(files / name), prefix=prefix)
    model = {**DEIT, "backbone": {**DEIT["backbone"], "init_cfg": init}}
    assert missing_checkpoints(Config(dict(model=model))) == []
    state = initialised(model)
    wanted = read_checkpoint(files / name).state_dict
    assert all(torch.equal(v, wanted[k]) for k, v in state.items() if k.startswith("backbone."))


def test_configs_in_pure_python_mean_the_same(files):
    init = dict(type=PretrainedInit, checkpoint=str(files / "hf.safetensors"))
    state = initialised({**DEIT["backbone"], "init_cfg": init})
    wanted = read_checkpoint(files / "deit.pth").state_dict
    assert torch.equal(state["cls_token"], wanted["backbone.cls_token"])


def test_a_whole_classifier_takes_the_head_as_well(files):
    init = dict(type="Pretrained", checkpoint=str(files / "deit.pth"))
    state = initialised({**DEIT, "init_cfg": init})
    wanted = read_checkpoint(files / "deit.pth").state_dict
    assert all(torch.equal(v, wanted[k]) for k, v in state.items())


def test_the_windowed_vit_of_a_detector_stays_strict(files, tmp_path):
    backbone = dict(type="rbdc_mm.WindowedVisionTransformer", arch=DEIT["backbone"]["arch"])
    backbone |= dict(img_size=32, patch_size=8, global_blocks=(1,), out_indices=(1,))
    init = dict(type="Pretrained", checkpoint=str(files / "timm.safetensors"))
    state = initialised({**backbone, "init_cfg": init}, "mmdet")
    wanted = read_checkpoint(files / "deit.pth").state_dict
    assert torch.equal(state["layers.1.attn.qkv.weight"],
                       wanted["backbone.layers.1.attn.qkv.weight"])  # fmt: skip
    init["checkpoint"] = str(tmp_path / "shallow.pth")
    torch.save(timm_vit(depth=1).state_dict(), init["checkpoint"])
    with pytest.raises(ValueError, match=r"does not fit this .*layers.1.ln1.weight: got no"):
        initialised({**backbone, "init_cfg": init}, "mmdet")


@pytest.mark.parametrize("prefix", [None, "", "backbone."])
def test_torchvisions_resnet_in_mmdet(prefix, tmp_path):
    """Its names are MMEngine's own, which the stock Pretrained takes without a prefix."""
    net = torchvision_resnet()
    torch.save(net.state_dict(), tmp_path / "r18.pth")
    init = dict(type="Pretrained", checkpoint=str(tmp_path / "r18.pth"), prefix=prefix)
    state = initialised(dict(type="mmdet.ResNet", depth=18, init_cfg=init), "mmdet")
    wanted = net.state_dict()
    assert all(torch.equal(v, wanted[k]) for k, v in state.items())


@pytest.mark.parametrize("prefix", [None, "backbone."])
def test_what_stock_openmmlab_trains_is_taken_as_it_is(prefix, tmp_path):
    """A flat dict by the module's own names, of a network that nothing here could convert."""
    wide = dict(type="ResNet", depth=50, base_channels=8, stem_channels=4, expansion=2)
    net = build_classifier(wide)
    torch.save(net.state_dict(), tmp_path / "flat.pth")
    init = dict(type="Pretrained", checkpoint=str(tmp_path / "flat.pth"), prefix=prefix)
    model = dict(type="ImageClassifier", backbone={**wide, "init_cfg": init})
    assert missing_checkpoints(Config(dict(model=model))) == []
    state = initialised({**wide, "init_cfg": init})
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in state.items())
    init["checkpoint"] = str(tmp_path / "nothing.pth")
    torch.save({"a": torch.zeros(1)}, init["checkpoint"])
    with pytest.raises(ValueError, match=r"holds none of the .* tensors .* has \['a'\], wanted"):
        initialised({**wide, "init_cfg": init})


def test_addresses_are_downloaded_and_converted(files, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    serve = partial(http.server.SimpleHTTPRequestHandler, directory=files)
    monkeypatch.setattr(serve.func, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        init = dict(type="Pretrained", checkpoint=f"{address}/deit.pth")
        state = initialised({**DEIT, "backbone": {**DEIT["backbone"], "init_cfg": init}})
        wanted = read_checkpoint(files / "deit.pth").state_dict
        assert torch.equal(state["backbone.cls_token"], wanted["backbone.cls_token"])
        init["checkpoint"] = f"{address}/none.pth"
        with pytest.raises(ValueError, match=r"none.pth could not be loaded .*404.* give its path"):
            initialised({**DEIT, "backbone": {**DEIT["backbone"], "init_cfg": init}})
        server.shutdown()


def run_config(digits, work_dir):
    """One epoch that moves nothing: learning rate and averaging are zero."""
    cfg = tiny_config(digits, work_dir, epochs=1)
    cfg.param_scheduler = None
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.custom_hooks = []
    return cfg


@pytest.fixture(scope="module")
def small(digits, tmp_path_factory):
    """timm's weights for tiny_config's model, flat."""
    backbone = run_config(digits, "").model.backbone
    path = tmp_path_factory.mktemp("small") / "timm.safetensors"
    sizes = dict(img_size=backbone.img_size, patch_size=backbone.patch_size)
    save_file(timm_vit(**SMALL, **sizes).state_dict(), path)
    return path


@pytest.mark.parametrize("way", ["Pretrained", "load_from"])
def test_runs_start_from_them_at_unknown_cost(way, digits, small, tmp_path):
    cfg = run_config(digits, tmp_path / "run")
    if way == "load_from":
        cfg.load_from = str(small)
    else:
        cfg.model.backbone.init_cfg = dict(type="Pretrained", checkpoint=str(small))
    train(cfg)
    content = load_file(tmp_path / "run" / "final.pth")
    wanted = load_file(small)["state_dict"]["blocks.1.mlp.fc1.weight"]
    key = "backbone.layers.1.ffn.layers.0.0.weight"
    assert torch.equal(content["state_dict"][key], wanted)
    ledger = Ledger.from_dict(content["meta"]["ledger"])
    assert ledger.is_lower_bound and ledger.summary()["unknown_parents"] == [str(small)]
    assert Ledger.from_dict(record(tmp_path / "run")["ledger"]).is_lower_bound
    if way == "load_from":
        metrics = evaluate(run_config(digits, tmp_path / "test"), small)
        assert metrics["accuracy/top1"] == record(tmp_path / "run")["history"]["1"]["accuracy/top1"]


def test_growth_plans_and_inspection(files, tmp_path, capsys):
    ledger = Ledger.new("ours", "ours")
    ledger.add_iteration(2, 50)
    save_checkpoint(tmp_path / "ours.pth", DEIT, ledger=ledger)
    out = tmp_path / "c.safetensors"
    parents = ["--parents", str(files / "hf.safetensors"), str(tmp_path / "ours.pth")]
    assert tool("grow")(["couple", *parents, "--out", str(out)]) == 0
    grown = read_checkpoint(out)
    assert grown.arch.embed_dims == 384
    assert grown.cfg.model.backbone.norm_cfg.eps == 1e-12  # the first parent's
    total = Ledger.from_dict(grown.meta["ledger"])
    assert total.is_lower_bound and total.total == 100
    found = inspect_growth(out, num_images=2)
    assert found.parents[0].startswith(f"{files / 'hf.safetensors'} (raw weights)")
    source = source_file(str(files / "timm.safetensors"))
    assert isinstance(source.arch, ViTArch) and source.flops is None
    capsys.readouterr()
    assert tool("inspect_growth")([str(out), "--num-images", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["operator"] == "couple"


def test_backbones_and_teachers(files):
    wide = {**DEIT["backbone"], "type": "rbdc_mm.RBDCVisionTransformer"}
    wide["arch"] = dict(embed_dims=384, num_layers=2, num_heads=6, feedforward_channels=1536)
    wide["parents"] = [str(files / "headless.pth"), str(files / "hf.safetensors")]
    state = initialised(wide)
    one = read_checkpoint(files / "hf.safetensors").state_dict
    assert torch.equal(state["cls_token"][..., 192:], one["backbone.cls_token"])
    teacher = load_teacher(files / "timm.safetensors", arch_of(DEIT), "pre_logits", 192)
    assert torch.equal(teacher.backbone.cls_token, one["backbone.cls_token"])


def test_half_precision_parents_are_coupled_in_float32(files, tmp_path):
    half = {k: v.half() for k, v in load_file(files / "timm.safetensors")["state_dict"].items()}
    save_file(half, tmp_path / "half.safetensors")
    for parents in (["half", "half"], ["half", "deit"], ["deit", "half"]):
        paths = [tmp_path / "half.safetensors" if p == "half" else files / "deit.pth"
                 for p in parents]  # fmt: skip
        grow_checkpoint("couple", paths, tmp_path / "c.pth")
        state = load_file(tmp_path / "c.pth")["state_dict"]
        assert {v.dtype for v in state.values()} == {torch.float32}
        tokens = [load_file(path)["state_dict"]["cls_token"].float() for path in paths]
        assert torch.equal(state["backbone.cls_token"], torch.cat(tokens, -1))


def test_convert_from_the_command_line(files, tmp_path, capsys):
    convert = tool("convert")
    assert convert([str(files / "deit.pth"), str(tmp_path / "a"), "--from", "timm"]) == 0
    assert f"wrote {tmp_path / 'a.safetensors'} (mmpretrain's layout)" in capsys.readouterr().out
    out = str(tmp_path / "b.pth")
    assert convert([str(tmp_path / "a.safetensors"), out, "--to", "torchvision"]) == 0
    assert "it fits torchvision.models.VisionTransformer(image_size=32" in capsys.readouterr().out
    assert set(torch.load(out, weights_only=True)) == {"state_dict", "meta"}
    assert convert([out, out]) == 1
    assert "error:" in capsys.readouterr().err
    before = (tmp_path / "b.pth").read_bytes()
    assert convert([str(files / "none.pth"), out]) == 1
    assert (tmp_path / "b.pth").read_bytes() == before
    odd = resnet_model(18, 4)
    save_checkpoint(tmp_path / "odd.pth", odd)
    assert convert([str(tmp_path / "odd.pth"), out]) == 0  # an existing file is replaced
    assert read_checkpoint(out).arch == arch_of(odd)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "b.pth", "odd.pth"]
