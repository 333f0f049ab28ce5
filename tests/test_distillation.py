"""Inverse feature distillation: the loss, the teacher outside, the bill, and what is exported."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine import Config
from mmengine.optim import OptimWrapper
from mmpretrain.structures import DataSample
from torch import nn

from checkpoint_helpers import save_checkpoint
from helpers import randomise, resnet_model, vit_model
from rbdc_mm.checkpoint.arch_of import arch_of, model_with_arch
from rbdc_mm.checkpoint.classifiers import build_classifier
from rbdc_mm.checkpoint.distilling import plain_model, without_projections
from rbdc_mm.checkpoint.files import load_file, read_checkpoint
from rbdc_mm.checkpoint.sources import sources_of
from rbdc_mm.cost import Ledger
from rbdc_mm.hooks import DistillationHook, EpochSeedHook
from rbdc_mm.models.cost_of import (
    build_on_meta,
    classifier_cost,
    model_cost,
    teacher_forward_flops,
)
from rbdc_mm.models.feature_distillation import _distance
from rbdc_mm.protocol.launch import train
from tiny_runs import NUM_SAMPLES, tiny_config

WRAPPER = "rbdc_mm.FeatureDistillationClassifier"


def distilled(model: dict, *teachers: object, **options) -> dict:
    """A classifier's config, learning from teachers."""
    distillation = dict(teachers=[str(t) for t in teachers], **options)
    return {**deepcopy(dict(model)), "type": WRAPPER, "distillation": distillation}


def batch(size: int = 4) -> tuple[torch.Tensor, list[DataSample]]:
    images = torch.randn(size, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    return images, [DataSample().set_gt_label(i % 3) for i in range(size)]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """Random teachers for students of 3 classes, 16 (ViT) and 8 (ResNet) wide."""
    folder = tmp_path_factory.mktemp("teachers")
    models = {
        "vit": vit_model(8, 2, 2, num_classes=3),
        "hidden": vit_model(16, 2, 1, num_classes=3, head=dict(hidden_dim=12)),
        "resnet": resnet_model(18, 4, num_classes=3),
        "equal": resnet_model(18, 8, num_classes=3),
    }
    for seed, (name, model) in enumerate(models.items(), 1):
        save_checkpoint(folder / f"{name}.pth", model, seed)
    return {name: folder / f"{name}.pth" for name in models}


VIT = vit_model(16, 4, 3, num_classes=3)
RESNET = resnet_model(18, 8, num_classes=3)


@pytest.mark.parametrize(
    ("student", "names", "feature", "alpha"),
    [
        (VIT, ["vit"], "pre_logits", 1.0),
        (VIT, ["vit", "hidden"], "pre_logits", 0.3),
        (VIT, ["hidden"], "backbone", 2.0),
        (RESNET, ["resnet", "equal"], "pre_logits", 0.3),
        (RESNET, ["resnet"], "backbone", 1.0),
        (RESNET, ["equal"], "neck", 1.0),
    ],
    ids=str,
)
def test_loss_by_hand(files, student, names, feature, alpha):
    """Written out in float64, with a plain linear layer for T."""
    teachers = [files[name] for name in names]
    model = build_classifier(distilled(student, *teachers, feature=feature, alpha=alpha))
    model.init_weights()
    randomise(model, 7).eval()  # without running statistics on the move
    images, samples = batch()
    losses = model.loss(images, samples)
    assert set(losses) == {"loss_task", "loss_ifd"}
    plain = build_classifier(student).double().eval()
    state = model.state_dict()
    plain.load_state_dict(without_projections(state), strict=True)
    images = images.double()
    task = plain.loss(images, samples)["loss"]
    per_teacher = []
    for i, path in enumerate(teachers):
        teacher = build_classifier(read_checkpoint(path).cfg.model).double().eval()
        teacher.load_state_dict(load_file(path)["state_dict"])
        f_s, f_t = (m.extract_feat(images, stage=feature) for m in (plain, teacher))
        f_s, f_t = (f[-1] if isinstance(f, tuple) else f for f in (f_s, f_t))
        t = nn.Linear(f_s.shape[1], f_t.shape[1]).double()
        t.load_state_dict({k: state[f"projections.{i}.{k}"] for k in ("weight", "bias")})
        # one row a position: (B * H * W, channels)
        rows = [f if f.dim() == 2 else f.permute(0, 2, 3, 1).flatten(0, 2) for f in (f_s, f_t)]
        a, b = t(rows[0]), rows[1]
        a, b = (x / x.square().sum(1, keepdim=True).sqrt() for x in (a, b))
        per_teacher.append((a - b).square().sum(1).mean())
    wanted = alpha * sum(per_teacher) / len(per_teacher)
    assert losses["loss_ifd"].item() == pytest.approx(wanted.item(), rel=1e-5)
    assert losses["loss_task"].item() == pytest.approx(task.item(), rel=1e-5)
    total, logged = model.parse_losses(losses)
    assert total.item() == pytest.approx(task.item() + wanted.item(), rel=1e-5)
    assert set(logged) == {"loss", "loss_task", "loss_ifd"}


def test_the_teacher_stands_outside(files):
    model = build_classifier(distilled(RESNET, files["resnet"]))
    plain = build_classifier(RESNET)
    keys = set(plain.state_dict()) | {"projections.0.weight", "projections.0.bias"}
    assert set(model.state_dict()) == keys
    model.init_weights()
    assert set(model.state_dict()) == keys
    (teacher,) = model.teachers.modules
    assert not {id(p) for p in teacher.parameters()} & {id(p) for p in model.parameters()}
    copy = deepcopy(model)
    assert copy.teachers.modules[0] is teacher and copy.projections[0] is not model.projections[0]
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    model.train().requires_grad_(True)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    sum(model.loss(*batch()).values()).backward()
    optimizer.step()
    assert not any(m.training for m in teacher.modules())
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    # in evaluation mode BatchNorm's running statistics stand still
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())
    assert all(p.grad is not None for p in model.parameters())
    # a copy without init_weights() reads its teacher with the first loss
    late = build_classifier(distilled(RESNET, files["resnet"]))
    assert not late.teachers.modules and "loss_ifd" in late.loss(*batch())


def test_nothing_is_read_before_training_if_channels_are_given():
    model = distilled(VIT, "nowhere.pth", teacher_channels=[8])
    built = build_on_meta(model, "mmpretrain")
    assert {p.device.type for p in built.parameters()} == {"meta"}
    assert built.projections[0].weight.shape == (8, 16)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth does not exist"):
        build_classifier(model).init_weights()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth does not exist"):
        build_classifier(distilled(VIT, "nowhere.pth"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(alpha=0), r"alpha must be positive, got 0"),
        (dict(feature="logits"), r"feature must be one of .*'neck'.*, got 'logits'"),
        (dict(teacher_channels=[8, 8]), r"teacher_channels=\[8, 8\] for 1 teachers"),
        (dict(teachers=[]), r"teachers=\[\]: wanted a list of at least one"),
        (dict(teachers="a.pth"), r"teachers='a.pth': wanted a list of at least one"),
    ],
)
def test_bad_settings(files, options, message):
    model = distilled(VIT, files["vit"])
    model["distillation"].update(options)
    with pytest.raises(ValueError, match=message):
        build_classifier(model)


def test_a_seed_gives_the_same_student_with_and_without(files):
    """Also where the model's ``init_cfg`` draws every linear layer, as DeiT's does."""
    init_cfg = [dict(type="TruncNormal", layer="Linear", std=0.02)]
    states = []
    for model in (VIT, distilled(VIT, files["vit"])):
        torch.manual_seed(3)
        built = build_classifier({**model, "init_cfg": init_cfg})
        built.init_weights()
        states.append(without_projections(built.state_dict()))
        states.append(torch.get_rng_state())
    assert states[0].keys() == states[2].keys()
    assert all(torch.equal(v, states[2][k]) for k, v in states[0].items())
    assert torch.equal(states[1], states[3])


def test_the_teacher_sees_the_mixed_images(files):
    augments = [dict(type="Mixup", alpha=1.0), dict(type="CutMix", alpha=1.0)]
    preprocessor = dict(num_classes=3, mean=[0.5] * 3, std=[2.0] * 3)
    model = distilled(VIT, files["vit"])
    model |= dict(data_preprocessor=preprocessor, train_cfg=dict(augments=augments))
    model = build_classifier(model)
    model.init_weights()
    seen = {}
    for name, module in (("student", model), ("teacher", model.teachers.modules[0])):
        module.backbone.register_forward_pre_hook(
            lambda _, args, name=name: seen.__setitem__(name, args[0])
        )
    images, samples = batch()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))
    model.train_step(dict(inputs=images, data_samples=samples), wrapper)
    assert torch.equal(seen["student"], seen["teacher"])
    assert not torch.allclose(seen["student"], (images - 0.5) / 2)


def test_mixed_precision_holds_for_the_teacher_too(files):
    model = build_classifier(distilled(VIT, files["vit"]))
    model.init_weights()
    seen = []
    model.teachers.modules[0].backbone.register_forward_hook(
        lambda *_: seen.append((torch.is_autocast_cpu_enabled(), torch.is_grad_enabled()))
    )
    linear = model.teachers.modules[0].backbone.layers[0].ffn.layers[1]
    linear.register_forward_hook(lambda _, args, out: seen.append(out.dtype))
    images, samples = batch()
    exact = model.loss(images, samples)["loss_ifd"]
    seen.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model.loss(images, samples)
    assert seen == [torch.bfloat16, (True, False)]
    assert losses["loss_ifd"].dtype == torch.float32
    assert losses["loss_ifd"].item() == pytest.approx(exact.item(), rel=0.05)


def test_costs_by_hand(files):
    """Projections in training, teachers up to their feature; both in FLOPs per sample."""
    cfg = Config(dict(model=VIT, default_scope="mmpretrain", image_size=32))
    wrapped = Config(dict(cfg, model=distilled(VIT, files["vit"], files["hidden"])))
    plain, both = classifier_cost(cfg), classifier_cost(wrapped)
    projection = 2 * 16 * (8 + 12)
    assert both.forward_flops - plain.forward_flops == projection
    assert both.backward_flops - plain.backward_flops == 2 * projection
    teacher = Config(dict(model=read_checkpoint(files["hidden"]).cfg.model))
    whole = classifier_cost(teacher, 32).forward_flops
    assert teacher_forward_flops(teacher, "pre_logits", 32) == whole - 2 * 12 * 3
    assert teacher_forward_flops(teacher, "neck", 32) == whole - 2 * 12 * 3 - 2 * 16 * 12


def test_configs_to_and_fro(files):
    model = distilled(VIT, files["vit"], alpha=0.5)
    assert plain_model(model) == VIT and plain_model(VIT) == VIT
    assert arch_of(model) == arch_of(VIT)
    wide = arch_of(vit_model(24, 6, 3, num_classes=3))
    resized = model_with_arch(model, wide)
    assert resized["type"] == WRAPPER and resized["distillation"] == model["distillation"]
    assert arch_of(resized) == wide
    deep = model_with_arch(RESNET, arch_of(resnet_model(34, 16, num_classes=3)))
    assert (deep["backbone"]["depth"], deep["backbone"]["base_channels"]) == (34, 16)
    grown = VIT["backbone"] | dict(
        type="rbdc_mm.CoMPTVisionTransformer", parent="p.pth", fill="zero_out", packed="aware"
    )
    grown = {**model, "backbone": grown, "init_cfg": [dict(type="Pretrained", checkpoint="i.pth")]}
    assert list(sources_of(grown)) == ["i.pth", str(files["vit"]), "p.pth"]
    assert arch_of(grown) == arch_of(VIT)
    backbone = model_with_arch(grown, wide)["backbone"]
    assert backbone["type"] == "mmpretrain.VisionTransformer"
    assert not {"parent", "fill", "packed"} & set(backbone)


# Real runs on digits: a student 16 wide, a teacher 8 wide.


def run_config(digits, work_dir, teachers=(), end_epoch=None, alpha=0.1, **options) -> Config:
    cfg = tiny_config(digits, work_dir, **options)
    cfg.model = distilled(cfg.model.to_dict(), *teachers, alpha=alpha)
    hook = dict(type="rbdc_mm.DistillationHook", end_epoch=end_epoch)
    cfg.custom_hooks = [*cfg.get("custom_hooks", ()), hook]
    return cfg


@pytest.fixture(scope="module")
def teachers(digits, tmp_path_factory) -> dict[str, str]:
    """A trained teacher of each family."""
    root = tmp_path_factory.mktemp("trained")
    for twin in ("deit_b", "resnet18"):
        cfg = tiny_config(digits, root / twin, epochs=1, twin=twin)
        cfg.param_scheduler = None
        if twin == "deit_b":
            cfg.model.backbone.arch.update(embed_dims=8, num_heads=2, feedforward_channels=16)
            cfg.model.head.in_channels = 8
        else:
            cfg.model.backbone.update(base_channels=4, stem_channels=4)
            cfg.model.head.in_channels = 32
        train(cfg)
    return {twin: str(root / twin / "final.pth") for twin in ("deit_b", "resnet18")}


def ledger(work_dir: Path) -> Ledger:
    return Ledger.from_dict(load_file(work_dir / "final.pth")["meta"]["ledger"])


def log_of(work_dir: Path) -> str:
    return "\n".join(path.read_text() for path in work_dir.glob("*/*.log"))


def charged(cfg: Config, teacher: str, epochs: int, distilling_epochs: int) -> tuple[int, int]:
    """(training, teacher) FLOPs by the closed formula."""
    plain = Config(dict(model=plain_model(cfg.model), default_scope="mmpretrain"))
    own = model_cost(plain, 32).train_flops
    projection = model_cost(cfg, 32).train_flops - own
    teacher_flops = teacher_forward_flops(read_checkpoint(teacher).cfg, "pre_logits", 32)
    return (
        NUM_SAMPLES * (epochs * own + distilling_epochs * projection),
        NUM_SAMPLES * distilling_epochs * teacher_flops,
    )


@pytest.fixture(scope="module")
def finished(digits, teachers, tmp_path_factory) -> Path:
    """Uninterrupted runs of three epochs, two of them with a teacher."""
    root = tmp_path_factory.mktemp("whole")
    for twin, teacher in teachers.items():
        train(run_config(digits, root / twin, [teacher], end_epoch=2, epochs=3, twin=twin))
    return root


@pytest.mark.parametrize("twin", ["deit_b", "resnet18"])
def test_a_run_that_ends_distilling_killed_once(
    digits, tmp_path, monkeypatch, teachers, finished, twin
):
    """Resumed is uninterrupted, bit for bit; the bill is the closed formula's."""
    teacher, whole = teachers[twin], finished / twin
    options = dict(teachers=[teacher], end_epoch=2, epochs=3, twin=twin)
    original = EpochSeedHook.before_train_epoch

    def killed(hook, runner):
        if runner.epoch == 1:
            raise KeyboardInterrupt
        original(hook, runner)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(EpochSeedHook, "before_train_epoch", killed)
        train(run_config(digits, tmp_path / "parts", **options), resume=True)
    assert train(run_config(digits, tmp_path / "parts", **options), resume=True)
    runs = [load_file(folder / "epoch_3.pth") for folder in (whole, tmp_path / "parts")]
    for key in ("state_dict", "ema_state_dict"):
        assert (key in runs[0]) == (key in runs[1]) == (key == "state_dict" or twin == "deit_b")
        for name, tensor in runs[0].get(key, {}).items():
            assert torch.equal(tensor, runs[1][key][name]), name
    assert "projections.0.weight" in runs[0]["state_dict"]
    cfg = run_config(digits, whole, **options)
    for folder in (whole, tmp_path / "parts"):
        found = ledger(folder)
        own, source = found.own, ledger(Path(teacher).parent)
        assert (own.train_flops, own.teacher_flops) == charged(cfg, teacher, 3, 2)
        assert own.parents == (source.run_id,)
        assert found.with_teachers == own.train_flops + own.teacher_flops
        assert found.total == found.with_teachers + source.total
    lines = [json.loads(line) for p in whole.glob("*/vis_data/scalars.json")
             for line in p.read_text().splitlines()]  # fmt: skip
    trained = [line for line in lines if "loss_task" in line]
    both = [line for line in trained if "loss_ifd" in line]
    assert both == trained[: len(both)] and 0 < len(both) < len(trained)  # first all, then none
    for line in both:  # means over one and the same window of iterations
        assert line["loss"] == pytest.approx(line["loss_task"] + line["loss_ifd"], rel=1e-4)
    assert "L_ifd was not below" not in log_of(whole)


def test_final_is_a_plain_classifier_for_stock_mmpretrain(digits, teachers, finished):
    """No key of the teacher or the projections, and a config that knows of neither."""
    work_dir = finished / "deit_b"
    final = work_dir / "final.pth"
    code = """
import sys, torch, mmpretrain
from mmengine import Config
content = torch.load(sys.argv[1], map_location="cpu", weights_only=False)
text = content["meta"]["cfg"].replace("custom_imports", "unused")
cfg = Config.fromstring(text, ".py")
assert "istill" not in str(cfg.model) + str(cfg.custom_hooks), cfg
model = mmpretrain.get_model(cfg)
model.load_state_dict(content["state_dict"], strict=True)
assert type(model) is mmpretrain.models.ImageClassifier
assert not {"rbdc_mm.models", "rbdc_mm.hooks"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, str(final)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    content, last = load_file(final), load_file(work_dir / "epoch_3.pth")
    assert content["meta"]["weights"] == "ema"
    wanted = without_projections(last["state_dict"])
    assert content["state_dict"].keys() == wanted.keys()
    assert all(torch.equal(v, wanted[k]) for k, v in content["state_dict"].items())
    assert not any("teacher" in key for key in last["ema_state_dict"])
    # and it can teach the next one
    read_checkpoint(final).arch  # noqa: B018
    record = json.loads((work_dir / "run.json").read_text())
    cfg = run_config(digits, work_dir, [teachers["deit_b"]])
    plain = Config(dict(model=plain_model(cfg.model), default_scope="mmpretrain"))
    assert record["num_params"] == model_cost(plain, 32).num_params
    assert record["train_flops_per_sample"] == model_cost(cfg, 32).train_flops


def test_two_processes(digits, tmp_path, teachers):
    """DDP asks for a gradient of every parameter, also after distillation has ended.

    With a loss that outweighs the task in both epochs with a teacher: one warning.
    """
    options = dict(end_epoch=2, epochs=3, alpha=50)
    cfg = run_config(digits, tmp_path / "two", [teachers["deit_b"]], **options)
    cfg.train_dataloader.batch_size = cfg.val_dataloader.batch_size = 16
    config = tmp_path / "config.py"
    cfg.dump(config)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHON": sys.executable, "PORT": port}
    command = ["bash", "tools/dist_train.sh", str(config), "2"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    own = ledger(tmp_path / "two").own
    assert (own.train_flops, own.teacher_flops) == charged(cfg, teachers["deit_b"], 3, 2)
    assert log_of(tmp_path / "two").count("L_ifd was not below L_task") == 1
    assert "L_ifd was not below L_task over epoch 1" in log_of(tmp_path / "two")


def test_teachers_are_charged_beside_what_is_loaded(digits, tmp_path, teachers):
    cfg = run_config(digits, tmp_path / "work", [teachers["deit_b"]], epochs=1)
    cfg.param_scheduler = None
    student = build_classifier(plain_model(cfg.model)).state_dict()
    torch.save({"meta": {}, "state_dict": student}, tmp_path / "start.pth")
    cfg.load_from = str(tmp_path / "start.pth")
    train(cfg)
    found = ledger(tmp_path / "work")
    unknown, source = found.own.parents
    assert unknown.startswith("unknown-")
    assert source == ledger(Path(teachers["deit_b"]).parent).run_id
    assert found.is_lower_bound and found.own.teacher_flops > 0


def test_grown_and_distilled(digits, tmp_path, teachers):
    """CoM-PT's step from one model to the next; without learning rate nothing may move."""
    teacher = teachers["deit_b"]
    cfg = run_config(digits, tmp_path, [teacher], epochs=1)
    cfg.param_scheduler = None
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.custom_hooks.append(dict(type="rbdc_mm.GrowthHook", operator="embed", parents=[teacher]))
    train(cfg)
    grown, last = (load_file(tmp_path / name) for name in ("grown.pth", "epoch_1.pth"))
    for state in (last["state_dict"], strip_module(last["ema_state_dict"])):
        assert without_projections(state).keys() == grown["state_dict"].keys()
        assert all(torch.equal(v, state[k]) for k, v in grown["state_dict"].items())
        # a linear layer's own start, not zero
        assert state["projections.0.weight"].std() > 0.05
    found, source = ledger(tmp_path), ledger(Path(teacher).parent)
    assert len(found.own.parents) == 2 and found.own.parents[1] == source.run_id
    assert found.total == found.with_teachers + source.total  # the source once


def strip_module(state: dict) -> dict:
    return {k.removeprefix("module."): v for k, v in state.items() if k.startswith("module.")}


def test_hook_refuses(digits, tmp_path):
    with pytest.raises(ValueError, match="end_epoch must be at least 1, got 0"):
        DistillationHook(end_epoch=0)
    cfg = tiny_config(digits, tmp_path, epochs=1)
    cfg.param_scheduler = None
    cfg.custom_hooks.append(dict(type="rbdc_mm.DistillationHook"))
    with pytest.raises(ValueError, match="the model is a ImageClassifier, wanted"):
        train(cfg)


def test_distance_of_unit_vectors():
    """0 for the same direction, 4 for the opposite one."""
    x = torch.randn(5, 7)
    assert _distance(3 * x, x).item() == pytest.approx(0, abs=1e-6)
    assert _distance(-x, x).item() == pytest.approx(4)
    assert _distance(x, x.roll(1, 0)).item() == pytest.approx(
        (2 - 2 * F.cosine_similarity(x, x.roll(1, 0))).mean().item(), rel=1e-5
    )
    with pytest.raises(ValueError, match=r"is \(5, 6\), the student's projects to \(5, 7\)"):
        _distance(x, x[:, :6])
