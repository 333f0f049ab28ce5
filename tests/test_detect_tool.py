"""tools/detect.py: a picture for each image, or one line that says why there is none."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config

from conftest import ROOT
from helpers import load_tool
from rbdc_mm.models.cost_of import build_on_meta
from rbdc_mm.show.detect import detect

CONFIG = "configs/tiny/mask_rcnn_r18_rbdc_digit_scenes.py"  # its backbone's checkpoint is not there


@pytest.fixture(scope="module")
def tool():
    module = load_tool("detect")
    return module


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """An untrained detector, as MMEngine's Runner would save it."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in build_on_meta(Config.fromfile(ROOT / CONFIG).model).state_dict().items():
        state[name] = torch.zeros(tensor.shape, dtype=tensor.dtype)
        if name.endswith(("running_var", "bn1.weight", "bn2.weight")):
            state[name] += 1
        elif tensor.dim() > 1:
            state[name] = torch.randn(tensor.shape, generator=generator) / tensor[0].numel() ** 0.5
    path = tmp_path_factory.mktemp("detector") / "final.pth"
    meta = {"dataset_meta": {"classes": tuple("0123456789")}}
    torch.save({"meta": meta, "state_dict": state}, path)
    return path


def run(tool, images, checkpoint, *options, config=CONFIG) -> int:
    where = ["--config", config, "--checkpoint", checkpoint]
    return tool.main([str(x) for x in (*images, *where, *options)])


def test_a_picture_for_each_image(tool, checkpoint, digit_scenes, tmp_path, capsys):
    images = sorted((digit_scenes / "val2017").glob("*.jpg"))[:2]
    assert run(tool, images, checkpoint, "--out", tmp_path / "out", "--score-thr", 0.05) == 0
    said = capsys.readouterr().out
    for image in images:
        picture = cv2.imread(str(tmp_path / "out" / f"{image.stem}.png"))
        assert picture.shape == (800, 800, 3)  # of 160 pixels: names could not be read
        plain = cv2.resize(cv2.imread(str(image)), (800, 800), interpolation=cv2.INTER_CUBIC)
        changed = (np.abs(picture.astype(int) - plain) > 20).any(axis=2).mean()
        assert 0.01 < changed < 0.99
        assert f"{image.stem}.png: " in said and "instances of score 0.05 or more" in said
    assert ": 0 instances" not in said
    # nothing is that certain: the image as it is, in its colours
    assert run(tool, images[:1], checkpoint, "--out", tmp_path / "none", "--score-thr", 1) == 0
    said = capsys.readouterr().out
    assert re.search(r": 0 instances of score 1 or more \(the best: 0\.\d+\)", said)
    picture = cv2.imread(str(tmp_path / "none" / f"{images[0].stem}.png"))
    plain = cv2.resize(cv2.imread(str(images[0])), (800, 800), interpolation=cv2.INTER_CUBIC)
    assert np.abs(picture.astype(int) - plain).mean() < 2


def test_odd_images(tool, checkpoint, tmp_path, capsys):
    """Long and thin, of one pixel, of 16 bits, grey, with transparency."""
    rng = np.random.default_rng(0)
    for name, shape, kind in (
        ("long", (6, 900, 3), np.uint8),
        ("high", (900, 6, 3), np.uint8),
        ("pixel", (1, 1, 3), np.uint8),
        ("grey", (40, 50), np.uint8),
        ("clear", (40, 50, 4), np.uint8),
        ("deep", (40, 50), np.uint16),
        ("thread", (1, 900, 3), np.uint8),
    ):
        pixels = rng.integers(0, np.iinfo(kind).max, shape, dtype=kind)
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
    good = [tmp_path / f"{name}.png" for name in ("long", "high", "pixel", "grey", "clear", "deep")]
    assert run(tool, good, checkpoint, "--out", tmp_path / "out", "--score-thr", 0.9) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if ".png: " in line]
    assert len(lines) == len(good) and all("(the best: " in line for line in lines)
    assert "16 bits a channel, of which the upper 8" in lines[-1]
    assert run(tool, [tmp_path / "thread.png"], checkpoint, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err.splitlines()
    assert "thread.png is 900 x 1 pixels, of which the config's pipeline leaves" in said[-1]


def test_bad_input_is_one_error(checkpoint, digit_scenes, tmp_path):
    images = sorted((digit_scenes / "val2017").glob("*.jpg"))[:1]
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "a").mkdir()
    twin = tmp_path / "a" / images[0].name
    twin.write_bytes(images[0].read_bytes())
    png = tmp_path / "one.png"
    cv2.imwrite(str(png), np.zeros((9, 9, 3), np.uint8))
    cfg, out = Config.fromfile(CONFIG), tmp_path / "out"
    narrow = Config.fromfile(CONFIG)
    narrow.model.backbone.base_channels = 8
    for given, options, message in (
        ([tmp_path / "lost.jpg"], {}, "lost.jpg is not there"),
        ([tmp_path / "a"], {}, "is a folder: wanted image files"),
        ([tmp_path / "text.jpg"], {}, "text.jpg cannot be read as an image"),
        ([*images, twin], {}, "overwrite that of"),
        ([png], dict(out=tmp_path), "overwrite the image itself"),
        (images, dict(score_thr=50), "wanted a score from 0 to 1"),
        (images, dict(cfg=narrow), "does not fit the config's model in "),
        (images, dict(checkpoint="lost.pth"), "lost.pth does not exist"),
        (images, dict(cfg=Config(dict(default_scope="mmpretrain"))), "is no detector's config"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            detect(given, **(dict(cfg=cfg, checkpoint=checkpoint, out=out) | options))
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="torch sees no CUDA device"):
            detect(images, cfg, checkpoint, out, device="cuda")
    assert not out.exists()


def test_the_tool_says_it_in_one_line(tool, checkpoint, tmp_path, capsys):
    assert run(tool, [tmp_path / "lost.jpg"], checkpoint, "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: image ")
