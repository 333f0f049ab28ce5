"""Zero-shot classification and retrieval: against plain NumPy, in training, over ranks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from copy import deepcopy
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.dataset import Compose
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, METRICS, TRANSFORMS
from PIL import Image

from conftest import ROOT
from helpers import load_tool
from image_text_stand_in import StandInPretrainer, stand_in_config
from rbdc_mm.data import build_tokenizer, make_captioned_scenes
from rbdc_mm.evaluation import ImageTextRecall, ZeroShotAccuracy
from rbdc_mm.evaluation.prompts import class_words, prompts_of
from rbdc_mm.evaluation.several import _pipeline, add_to_record
from rbdc_mm.whole_files import write_text
from whole_record import whole_record

SETS = ROOT / "configs/data_sets"
NAMES = {"zero_shot": "unseen", "seen": "seen", "retrieval": "retrieval"}
CLASSES = ("red_star", "blue_star", "red_ring", "blue_ring", "red_heart", "blue_heart")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("data") / "captioned_scenes"
    return make_captioned_scenes(out, num_train=96, num_val=25, per_class=2).root


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("captions") / "captions.tsv"
    words = sorted({word for name in CLASSES for word in name.split("_")})
    path.write_text("title\tfilepath\n" + "".join(f"a {word} picture\tx\n" for word in words))
    return dict(captions=str(path), vocab_size=300, context_length=12)


@pytest.fixture
def model() -> StandInPretrainer:
    torch.manual_seed(0)
    return StandInPretrainer(vocab_size=300).eval()


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(1)) * 3  # of any length


def judged(metric, model, samples: list[dict], classes=CLASSES, batch: int = 4) -> dict:
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = dict(classes=classes)
    metric.show(model)
    for n in range(0, len(samples), batch):
        evaluator.process(samples[n : n + batch])
    return evaluator.evaluate(len(samples))


def features(model, tokenizer: dict, texts: list[str]) -> np.ndarray:
    with torch.no_grad():
        return model.extract_text_feat(build_tokenizer(tokenizer)(texts)).numpy()


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("batch", [1, 4])
def test_accuracy_is_that_of_numpy(model, tokenizer, batch):
    templates, found = ["a {}.", "the {} picture", "{}"], images(40)
    labels = np.arange(40) % 6
    samples = [
        dict(sample_idx=n, image_feat=found[n], gt_label=torch.tensor([labels[n]]))
        for n in range(40)
    ]
    metric = ZeroShotAccuracy(tokenizer, templates=templates, topk=(1, 3), text_batch=5)
    got = judged(metric, model, samples, batch=batch)
    named = [
        unit(features(model, tokenizer, [one.format(name.replace("_", " ")) for one in templates]))
        for name in CLASSES
    ]
    classes = unit(np.stack([each.mean(0) for each in named]))
    order = np.argsort(-unit(found.numpy()) @ classes.T, 1)
    for k in (1, 3):
        wanted = 100 * np.mean([label in row[:k] for row, label in zip(order, labels, strict=True)])
        assert got[f"zero_shot/top{k}"] == pytest.approx(wanted)
    assert 0 < got["zero_shot/top1"] < got["zero_shot/top3"] < 100


def test_recall_is_that_of_numpy(model, tokenizer):
    rng, found = np.random.default_rng(0), images(20)
    texts = [
        [" ".join(rng.choice(["a", "red", "star", "ring", "blue"], 6)) for _ in range(count)]
        for count in rng.integers(1, 6, 20)
    ]
    samples = [dict(sample_idx=n, image_feat=found[n], captions=texts[n]) for n in range(20)]
    got = judged(ImageTextRecall(tokenizer), model, samples)
    owner = np.repeat(np.arange(20), [len(each) for each in texts])
    scores = unit(found.numpy()) @ unit(features(model, tokenizer, [*chain(*texts)])).T
    for k in (1, 5, 10):
        by_image = [n in owner[row[:k]] for n, row in enumerate(np.argsort(-scores, 1))]
        by_text = [n in row[:k] for n, row in zip(owner, np.argsort(-scores.T, 1), strict=True)]
        assert got[f"retrieval/i2t_recall@{k}"] == pytest.approx(100 * np.mean(by_image))
        assert got[f"retrieval/t2i_recall@{k}"] == pytest.approx(100 * np.mean(by_text))
    assert len(set(got.values())) > 3


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_what_tells_nothing_apart_is_right_about_nothing(model, tokenizer, value):
    for parameter in model.parameters():
        parameter.data.fill_(value)
    flat = dict(image_feat=torch.full((16,), value))
    samples = [
        dict(flat, sample_idx=n, gt_label=torch.tensor([n % 6]), captions=[f"star {n}"])
        for n in range(12)
    ]
    assert set(judged(ZeroShotAccuracy(tokenizer), model, samples).values()) == {0}
    assert set(judged(ImageTextRecall(tokenizer), model, samples).values()) == {0}


def test_what_a_sampler_shows_twice_counts_once(model, tokenizer):
    found = images(15)
    samples = [
        dict(sample_idx=n, image_feat=found[n], gt_label=torch.tensor([n % 6]), captions=["a star"])
        for n in range(15)
    ]
    for metric in (ZeroShotAccuracy, ImageTextRecall):
        once = judged(metric(tokenizer), model, samples)
        assert judged(metric(tokenizer), model, [*samples, samples[0]]) == once


def test_prompts():
    assert [len(prompts_of(name, ["dog"])[0]) for name in (
        "openai_imagenet", "openai_imagenet_sub", "openai_cifar100", "vanilla"
    )] == [80, 7, 18, 1]  # fmt: skip
    assert prompts_of("vanilla", ["dog", "cat"]) == [["a photo of a dog"], ["a photo of a cat"]]
    assert class_words("imagenet", ["n"] * 1000)[:2] == ["tench", "goldfish"]
    assert class_words({"b": "bee", "a": "ant"}, ["a", "b"]) == ["ant", "bee"]


@pytest.fixture(scope="module")
def trained(scenes, tmp_path_factory) -> tuple[Runner, dict]:
    """A real run, and its metrics at its last evaluation."""
    cfg = stand_in_config(scenes, tmp_path_factory.mktemp("runs") / "trained", epochs=5)
    seen = deepcopy(dict(dataloader=cfg.val_dataloader, evaluator=cfg.val_evaluator))
    seen["dataloader"]["dataset"]["data_root"] = f"{scenes}/zero_shot/seen"
    seen["evaluator"]["prefix"] = "seen"
    cfg.val_cfg.more.append(seen)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner, runner.val_loop.run()


def test_in_training(trained):
    """All data sets in one evaluation, among what is logged, better than chance."""
    runner, metrics = trained
    assert set(metrics) == {f"{kind}/top{k}" for kind in ("zero_shot", "seen") for k in (1, 5)} | {
        f"retrieval/{way}_recall@{k}" for way in ("i2t", "t2i") for k in (1, 5, 10)
    }
    assert metrics["retrieval/t2i_recall@10"] > 100 * 10 / 25
    assert metrics["seen/top5"] > 100 * 5 / 54
    lines = next(Path(runner.work_dir).glob("*/vis_data/scalars.json")).read_text().splitlines()
    assert json.loads(lines[-1])["retrieval/i2t_recall@5"] == metrics["retrieval/i2t_recall@5"]
    runner.val_loop.more[1].evaluator.metrics[0].prefix = "zero_shot"
    with pytest.raises(ValueError, match=re.escape("two evaluators measure zero_shot/top1: give")):
        runner.val_loop.run()
    runner.val_loop.more[1].evaluator.metrics[0].prefix = "seen"


def named(metrics: dict[str, float]) -> dict[str, float]:
    """As the tool names what a validation measured on the same sets."""
    return {
        f"scenes_{NAMES[kind]}/{'zero_shot' if kind == 'seen' else kind}/{number}": value
        for (kind, number), value in ((name.split("/"), value) for name, value in metrics.items())
    }


@pytest.fixture
def arguments(scenes, trained, tmp_path, monkeypatch) -> list[str]:
    """The tool's, where the scenes lie as the configs say."""
    tool = ROOT / "tools/evaluate_clip.py"
    (tmp_path / "data").mkdir()
    (tmp_path / "data/captioned_scenes").symlink_to(scenes)
    monkeypatch.chdir(tmp_path)
    sets = [str(SETS / f"scenes_{name}.py") for name in ("unseen", "seen", "retrieval")]
    checkpoint = str(Path(trained[0].work_dir) / "epoch_5.pth")
    return [str(tool), checkpoint, "--data", *sets, "--workers", "0", "--out", "found.json"]


def test_two_ranks_find_what_one_finds(trained, arguments):
    """Each reads half of the images; one of 25 is shown twice."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, str(ROOT / "tools/dist_run.py"), "2", *arguments]
    command += ["--launcher", "pytorch", "--batch-size", "4"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(Path("found.json").read_text())
    assert (
        found == pytest.approx(named(trained[1]))
        and done.stdout.count("unseen/zero_shot/top1") == 1
    )


def test_the_tool_judges_on_several_sets(trained, arguments, capsys):
    tool = load_tool("evaluate_clip").main
    assert tool(arguments[1:]) == 0, capsys.readouterr().err
    found, printed = json.loads(Path("found.json").read_text()), capsys.readouterr().out
    assert found == pytest.approx(named(trained[1]))
    assert all(f"{name}: {value:.2f}" in printed for name, value in found.items())
    assert tool([*arguments[1:], "--record"]) == 1
    assert "there is no run.json of a finished, evaluated run" in capsys.readouterr().err


def test_data_sets_are_as_their_configs_say():
    """All but those that are there build, with names for their classes."""
    for path in sorted(SETS.glob("*.py")):
        cfg = Config.fromfile(path)
        text = path.read_text()
        assert f"--data configs/data_sets/{path.name}\n# Needs: data/" in text.replace("#\n", "")
        dataset = DATASETS.build(dict(cfg.dataset, lazy_init=True, pipeline=[]))
        metric = METRICS.build(dict(cfg.evaluator, tokenizer=dict(file="later.json")))
        if isinstance(metric, ImageTextRecall):
            assert dataset.test_mode
        elif not path.stem.startswith("scenes"):  # which name their folders
            assert len(class_words(metric.class_names, dataset.CLASSES)) == len(dataset.CLASSES) > 9
            assert prompts_of(metric.templates, dataset.CLASSES)


def test_what_is_recorded_becomes_columns(tmp_path):
    checkpoint = tmp_path / "run/final.pth"
    record = dict(whole_record(), finished=True, history={"2": {"zero_shot/top1": 12.5}})
    write_text(json.dumps(record), checkpoint.with_name("run.json"))
    add_to_record(checkpoint, {"cifar10/zero_shot/top1": 30.0, "coco/retrieval/i2t_recall@1": 7.5})
    command = [sys.executable, "tools/aggregate.py", tmp_path, "--out", tmp_path / "tables"]
    subprocess.run([*command, "--formats", "md"], check=True, capture_output=True)
    table = "".join(path.read_text() for path in (tmp_path / "tables").glob("*.md"))
    wanted = (" zero_shot/top1 |", "cifar10/zero_shot/top1", "30", "7.5")
    assert not [one for one in wanted if one not in table], table


def test_images_in_memory_are_read_as_files_are(scenes, tmp_path):
    """CIFAR's are RGB, where files are read as BGR."""
    cfg = stand_in_config(scenes, tmp_path)
    path = next((scenes / "zero_shot/seen").glob("*/*.jpg"))
    pixels = np.asarray(Image.open(path))
    results = [
        Compose([TRANSFORMS.build(step) for step in _pipeline(cfg, kind)])(dict(one, sample_idx=0))
        for kind, one in (
            ("CIFAR10", dict(img=pixels)),
            ("CustomDataset", dict(img_path=str(path))),
        )
    ]
    assert torch.equal(*(one["inputs"] for one in results))
