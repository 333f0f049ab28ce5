"""From configs to costs: classifiers, detectors, image sizes, and the tool that prints them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from closed_formulas import resnet_macs, vit_macs
from mmengine.config import Config

from helpers import load_tool, resnet_model, vit_model
from made_sets import FolderSet
from rbdc_mm.cost import count_flops
from rbdc_mm.models.cost_of import (
    build_on_meta,
    classifier_cost,
    detector_cost,
    image_size_of,
    model_cost,
)

ROOT = Path(__file__).parents[1]
MASK_RCNN = "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"


def config(tmp_path, base: str, more: str = "") -> Config:
    path = tmp_path / "config.py"
    path.write_text(f"_base_ = [{base!r}]\n{more}\n")
    return Config.fromfile(path)


def with_pipeline(*steps, **more) -> Config:
    dataset = dict(type="X", pipeline=[dict(type="LoadImageFromFile"), *steps])
    return Config(dict(train_dataloader=dict(dataset=dataset), **more))


@pytest.fixture(scope="module")
def mask_rcnn(tmp_path_factory):
    return config(tmp_path_factory.mktemp("mask_rcnn"), MASK_RCNN)


@pytest.mark.parametrize(
    ("steps", "size"),
    [
        ([dict(type="RandomResizedCrop", scale=224)], (224, 224)),
        ([dict(type="RandomResizedCrop", scale=(192, 128))], (192, 128)),
        ([dict(type="RandomCrop", crop_size=32, padding=4)], (32, 32)),
        ([dict(type="ResizeEdge", scale=256), dict(type="CenterCrop", crop_size=224)], (224, 224)),
        ([dict(type="Resize", scale=(320, 160))], (160, 320)),
        ([dict(type="mmdet.Resize", scale=(1333, 800), keep_ratio=True)], (800, 1280)),
        ([dict(type="Resize", scale=(160, 160), keep_ratio=True)], (160, 160)),
        (
            [
                dict(type="RandomResize", scale=(1024, 1024), ratio_range=(0.1, 2.0)),
                dict(type="mmdet.RandomCrop", crop_size=(1024, 512)),
            ],
            (512, 1024),
        ),
    ],
)
def test_image_size_from_the_pipeline(steps, size):
    assert image_size_of(with_pipeline(*steps, dict(type="PackInputs"))) == size


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [dict(type="ResizeEdge", scale=256)],
        [dict(type="RandomChoiceResize", scales=[(1333, 640), (1333, 800)], keep_ratio=True)],
        [dict(type="Resize", scale_factor=2.0)],
    ],
)
def test_an_unsettled_image_size_is_asked_for_and_can_be_given(steps):
    with pytest.raises(ValueError, match=r"settles no size: give image_size=\(height, width\)"):
        image_size_of(with_pipeline(*steps))
    assert image_size_of(with_pipeline(*steps, image_size=96)) == (96, 96)
    assert image_size_of(with_pipeline(*steps, image_size=[96, 64])) == (96, 64)
    with pytest.raises(ValueError, match="positive int or"):
        image_size_of(with_pipeline(*steps, image_size=[1, 2, 3]))


def test_wrapped_data_sets_and_padding_are_understood():
    inner = dict(type="X", pipeline=[dict(type="Resize", scale=(170, 150))])
    other = dict(type="X", pipeline=[dict(type="Resize", scale=(64, 64))])
    dataset = dict(type="RepeatDataset", dataset=dict(type="ConcatDataset", datasets=[inner]))
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    assert image_size_of(cfg) == (150, 170)
    cfg.model = dict(data_preprocessor=dict(pad_size_divisor=32))
    assert image_size_of(cfg) == (160, 192)
    dataset["dataset"]["datasets"].append(other)
    with pytest.raises(ValueError, match="settles several sizes"):
        image_size_of(Config(dict(train_dataloader=dict(dataset=dataset))))


def test_classifiers_from_the_zoo(tmp_path):
    deit = config(tmp_path, "mmpretrain::deit/deit-base_16xb64_in1k.py")
    cost = model_cost(deit)
    assert cost.train_flops == vit_macs(embed_dims=768, num_layers=12).train_flops
    assert cost.num_params == 86_567_656
    rsb = config(tmp_path, "mmpretrain::resnet/resnet50_8xb256-rsb-a2-300e_in1k.py")
    assert model_cost(rsb).train_flops == resnet_macs(depth=50).train_flops
    assert model_cost(rsb, (96, 128)).train_flops == (
        resnet_macs(depth=50, image_size=(96, 128)).train_flops
    )


def test_building_reads_no_file_and_leaves_config_and_random_numbers_alone():
    model = resnet_model()
    pretrained = dict(type="Pretrained", checkpoint="/nowhere/missing.pth")
    model["backbone"].update(init_cfg=pretrained, drop_path_rate=0.1, norm_cfg=dict(type="SyncBN"))
    before, state = copy.deepcopy(model), torch.random.get_rng_state()
    built = build_on_meta(model)
    assert model == before and torch.equal(state, torch.random.get_rng_state())
    assert built.training and all(p.device.type == "meta" for p in built.parameters())
    cost = count_flops(built, lambda m: m(torch.empty(2, 3, 64, 64, device="meta")), num_samples=2)
    macs = resnet_macs(depth=18, base_channels=8, num_classes=10, image_size=64)
    assert cost.train_flops == macs.train_flops


def test_backbones_of_ours_are_counted_without_their_parents_files():
    model = vit_model()
    plain = classifier_cost(Config(dict(model=model, image_size=32)))
    model = copy.deepcopy(model)
    model["backbone"].update(type="rbdc_mm.RBDCVisionTransformer", parents=["/nowhere/a.pth"] * 2)
    assert classifier_cost(Config(dict(model=model, image_size=32))) == plain


def test_models_that_cannot_be_counted_say_why(tmp_path, mask_rcnn):
    headless = {**vit_model(), "head": None}
    with pytest.raises(ValueError, match="model has no head"):
        model_cost(Config(dict(model=headless, image_size=32)))
    with pytest.raises(ValueError, match="no key 'model'"):
        model_cost(Config(dict(protocol="RBDC")))
    with pytest.raises(ValueError, match=r"default_scope must be one of .*, got 'mmseg'"):
        model_cost(Config(dict(model=vit_model(), image_size=32, default_scope="mmseg")))
    detr = config(tmp_path, "mmdet::detr/detr_r50_8xb2-150e_coco.py")
    with pytest.raises(ValueError, match=r"DETR has parts that would go uncounted: .*'encoder'"):
        model_cost(detr, 64)
    double = copy.deepcopy(mask_rcnn)
    double.model.roi_head.update(type="DoubleHeadRoIHead", reg_roi_scale_factor=1.3)
    with pytest.raises(ValueError, match="cannot count RoI head DoubleHeadRoIHead"):
        model_cost(double, 64)


def test_mask_rcnn_part_by_part_against_hand_counts(mask_rcnn):
    cost = model_cost(mask_rcnn)
    assert cost.num_params / 1e6 == pytest.approx(44.40, abs=0.005)
    assert list(cost.parts) == ["backbone", "neck", "rpn", "roi"]
    for column in ("num_params", "num_trainable_params", "forward_flops", "backward_flops"):
        assert getattr(cost, column) == sum(getattr(p, column) for p in cost.parts.values())
    size = (800, 1280)
    backbone = resnet_macs(depth=50, num_classes=0, image_size=size)
    assert cost.parts["backbone"].forward_flops == backbone.forward_flops
    assert cost.parts["backbone"].backward_flops < backbone.backward_flops  # stage 1 is frozen
    pixels = [(800 // s) * (1280 // s) for s in (4, 8, 16, 32)]
    neck = sum(n * 256 * (c + 9 * 256) for n, c in zip(pixels, (256, 512, 1024, 2048), strict=True))
    assert cost.parts["neck"].macs_per_sample == neck
    # The frozen stage's map is the one input of the neck that needs no gradient.
    saved = pixels[0] * 256 * 256
    assert cost.parts["neck"].backward_flops == 2 * (2 * neck - saved)
    rpn = sum([*pixels, 13 * 20]) * 256 * (9 * 256 + 3 + 12)
    assert cost.parts["rpn"].macs_per_sample == rpn
    box = 512 * (256 * 49 * 1024 + 1024 * 1024 + 1024 * (81 + 320))
    mask = 128 * (196 * 9 * 256 * 256 * 4 + 196 * 256 * 256 * 4 + 784 * 256 * 80)
    assert cost.parts["roi"].macs_per_sample == box + mask
    assert cost.parts["roi"].backward_flops == 4 * (box + mask)


def test_frozen_stages_of_a_detector_save_their_backward(mask_rcnn):
    costs = []
    for stages in (-1, 1, 4):
        cfg = copy.deepcopy(mask_rcnn)
        cfg.model.backbone.frozen_stages = stages
        costs.append(detector_cost(cfg, (64, 96)))
    free, stock, frozen = (cost.parts["backbone"] for cost in costs)
    assert free.backward_flops > stock.backward_flops > frozen.backward_flops == 0
    assert free.forward_flops == stock.forward_flops == frozen.forward_flops
    macs = resnet_macs(depth=50, num_classes=0, image_size=(64, 96))
    assert free.backward_flops == macs.backward_flops
    assert costs[2].parts["neck"].backward_flops < costs[0].parts["neck"].backward_flops


def test_the_chain_of_parts_equals_the_whole_counted_at_once(mask_rcnn):
    cost = detector_cost(mask_rcnn, (64, 96))
    model = build_on_meta(mask_rcnn.model, "mmdet")
    images = torch.empty(2, 3, 64, 96, device="meta")

    def run(m):
        return m.rpn_head(m.extract_feat(images))

    whole = count_flops(model, run, num_samples=2)
    parts = [cost.parts[name] for name in ("backbone", "neck", "rpn")]
    assert whole.forward_flops == sum(part.forward_flops for part in parts)
    assert whole.backward_flops == sum(part.backward_flops for part in parts)


def test_one_stage_and_cascade_detectors(tmp_path):
    retina = model_cost(config(tmp_path, "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"), (64, 96))
    assert list(retina.parts) == ["backbone", "neck", "head"]
    base = "mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py"
    cascade = model_cost(config(tmp_path, base), (64, 96))
    mask = 128 * (196 * 9 * 256 * 256 * 4 + 196 * 256 * 256 * 4 + 784 * 256 * 80)
    box = 512 * (256 * 49 * 1024 + 1024 * 1024 + 1024 * (81 + 4))  # class-agnostic boxes
    assert cascade.parts["roi"].macs_per_sample == 3 * (box + mask)


def run_tool(capsys, *argv) -> dict[str, str]:
    load_tool("get_flops").main([str(arg) for arg in argv])
    lines = capsys.readouterr().out.splitlines()
    return {line[:18].strip(): line[18:] for line in lines if line[:18].strip()}


def tiny_config(tmp_path, train_cfg: str, more: str = "") -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(
        f"model = {vit_model()!r}\ntrain_cfg = {train_cfg}\nimage_size = 32\n"
        "train_dataloader = dict(batch_size=4, dataset=dict(type='ImageNet', "
        f"data_root='/nowhere', split='train', pipeline=[]))\n{more}\n"
    )
    return path


def test_tool_on_epochs(tmp_path, capsys):
    path = tiny_config(tmp_path, "dict(by_epoch=True, max_epochs=7)")
    macs = vit_macs(
        embed_dims=32,
        num_layers=3,
        feedforward_channels=64,
        num_classes=10,
        image_size=32,
        patch_size=8,
    )
    rows = run_tool(capsys, path, "--num-samples", "1000")
    numbers = [float(n) for n in rows["per sample"].split()]
    gflops = [macs.forward_flops / 1e9, macs.backward_flops / 1e9, macs.train_flops / 1e9]
    assert numbers[3:] == pytest.approx(gflops, abs=6e-4)
    assert rows["training samples"] == "1000"
    assert float(rows["in all"].split()[0]) == pytest.approx(7000 * macs.train_flops / 1e9, 1e-3)
    assert run_tool(capsys, path)["in all"] == "unknown: give --num-samples"
    option = ["--cfg-options", "num_train_samples=1000"]
    assert run_tool(capsys, path, *option)["in all"] == rows["in all"]
    larger = run_tool(capsys, path, "--image-size", "64", "32", "--num-samples", "1000")
    assert larger["in all"] != rows["in all"]


def test_samples_on_disk_win_over_a_number_that_a_base_gave(tmp_path, capsys):
    animals = FolderSet(tmp_path / "animals")
    path = tiny_config(tmp_path, "dict(by_epoch=True, max_epochs=7)", "num_train_samples = 400")
    planned = run_tool(capsys, path)
    assert planned["training samples"] == "400"  # the data is not there
    option = ["--cfg-options", f"train_dataloader.dataset.data_root={animals.root}",
              "train_dataloader.dataset.metainfo.classes=['ant','bee','cat']"]  # fmt: skip
    load_tool("get_flops").main([str(path), *option])
    said = capsys.readouterr()
    assert "training samples  9" in said.out
    assert "num_train_samples=400 in the config, but the training data set has 9" in said.err
    (animals.root / "train/bee/0.jpg").write_bytes(b"")
    (animals.root / "train/dog").mkdir()
    load_tool("get_flops").main([str(path), *option])
    said = capsys.readouterr()
    assert "training samples  400" in said.out and "4 of 3 class folders" in said.err


def test_tool_on_iterations_uses_the_global_batch(tmp_path, capsys):
    loop = "dict(by_epoch=False, max_iters=100)"
    one = run_tool(capsys, tiny_config(tmp_path, loop))
    assert one["schedule"] == "100 iterations, global batch 4"
    more = "auto_scale_lr = dict(base_batch_size=64)"
    many = run_tool(capsys, tiny_config(tmp_path, loop, more))
    assert many["schedule"] == "100 iterations, global batch 64"
    assert many["in all"] != one["in all"]


def test_tool_on_a_detector(tmp_path, capsys):
    cfg = config(tmp_path, MASK_RCNN)
    rows = run_tool(capsys, cfg.filename, "--image-size", "64", "96")
    assert {"backbone", "neck", "rpn", "roi", "per sample"} <= set(rows)
    assert rows["schedule"] == "12 epochs"


def test_tool_says_what_is_wrong_in_one_line(tmp_path):
    path = tmp_path / "empty.py"
    path.write_text("image_size = 3\n")
    with pytest.raises(SystemExit, match="has no key 'model'"):
        load_tool("get_flops").main([str(path)])
