"""tools/browse.py: what the loader feeds, in its colours, with what is to be learned from it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.registry import DefaultScope

from helpers import load_tool
from rbdc_mm.show.browse import _image, _preprocessor, browse

DETECTOR = "configs/tiny/mask_rcnn_r18_scratch_digit_scenes.py"
CLASSIFIER = "configs/tiny/deit_ti_scratch_digits.py"


def classifier(digits: Path, **model) -> Config:
    cfg = Config.fromfile(CLASSIFIER)
    cfg.train_dataloader.dataset.data_root = str(digits)
    cfg.model.update(model)
    return cfg


def test_a_detectors_batch(digit_scenes, tmp_path):
    cfg = Config.fromfile(DETECTOR)
    cfg.train_dataloader.dataset.data_root = f"{digit_scenes}/"
    cfg.num_train_samples = 12
    sheet = cv2.imread(str(browse(cfg, tmp_path / "new/sheet.png", num=5)))
    assert sheet.shape == (2 * 646, 4 * 646, 3)
    assert (sheet[650:, 650:] == 255).all()  # four in a row, then one
    again = cv2.imread(str(browse(cfg, tmp_path / "again.png", num=5)))
    moved = cv2.imread(str(browse(cfg, tmp_path / "other.png", num=5, seed=1)))
    different = [(np.abs(sheet.astype(int) - one) > 20).mean() for one in (again, moved)]
    # mmdet tints every mask a little at random
    assert different[0] < 0.05 < different[1]


def test_a_classifiers_batch_is_what_the_files_hold(digits, tmp_path):
    cfg = classifier(digits)
    cfg.train_dataloader.sampler.shuffle = False
    sheet = cv2.imread(str(browse(cfg, tmp_path / "sheet.png", num=2)))
    assert sheet.shape == (256 + 24 + 6, 2 * (256 + 6), 3)
    first = cv2.imread(str(sorted((digits / "train/0").glob("*.png"))[0]))
    tile = cv2.resize(first, (256, 256), interpolation=cv2.INTER_NEAREST)
    assert np.abs(sheet[3:259, 3:259].astype(int) - tile).max() <= 1
    assert sheet[260:282, 3:40].min() < 100  # its label


def test_mixed_images_have_mixed_labels(digits, tmp_path, monkeypatch):
    captions = []
    import rbdc_mm.show.browse as module

    def draw_caption(image, text, side):
        captions.append(text)
        return image

    monkeypatch.setattr(module, "draw_caption", draw_caption)
    augments = [dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)]
    cfg = classifier(digits, train_cfg=dict(augments=augments))
    browse(cfg, tmp_path / "sheet.png", num=8)
    assert len(captions) == 8 and any("% + " in text for text in captions), captions
    for text in captions:
        shares = [int(part.split()[1].rstrip("%")) for part in text.split(" + ")]
        assert sum(shares) in (99, 100, 101) and shares == sorted(shares, reverse=True), text


@pytest.mark.parametrize("config", [DETECTOR, CLASSIFIER])
def test_colours_are_those_of_the_files(config):
    """OpenCV's BGR -> the network's RGB, normalised -> a picture's RGB."""
    cfg = Config.fromfile(config)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        preprocessor = _preprocessor(cfg, cfg.default_scope)
    bgr = torch.tensor([10, 100, 200]).view(3, 1, 1).expand(3, 32, 32).byte()
    fed = preprocessor({"inputs": [bgr], "data_samples": None}, training=False)["inputs"][0]
    assert _image(fed, preprocessor)[5, 5].tolist() == [200, 100, 10]


def test_errors_in_one_line(digit_scenes, tmp_path, capsys):
    tool = load_tool("browse")
    (tmp_path / "plain.py").write_text("a = 1")
    truth = digit_scenes / "annotations/instances_train2017.json"
    content = json.loads(truth.read_text())
    content["categories"][0]["name"] = "zero"
    broken = tmp_path / "coco"
    (broken / "annotations").mkdir(parents=True)
    (broken / "annotations/instances_train2017.json").write_text(json.dumps(content))
    (broken / "train2017").symlink_to(digit_scenes / "train2017")
    set_root = ["--cfg-options", "train_dataloader.dataset.data_root={}/"]
    for args, message in (
        ([tmp_path / "plain.py"], "has nothing to browse"),
        ([DETECTOR, "--num", 0], "num=0: wanted at least 1 image"),
        ([DETECTOR, set_root[0], set_root[1].format(tmp_path / "lost")], "no such directory"),
        ([DETECTOR, set_root[0], set_root[1].format(broken)], "number 1: 'zero' against '0'"),
    ):
        assert tool.main([str(a) for a in (*args, "--out", tmp_path / "x.png")]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ") and message in said
    assert not (tmp_path / "x.png").exists()
