"""CaptionedImages: CSV, TSV, COCO captions and shards, draws by epoch, and missing images."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader

import rbdc_mm.registry  # noqa: F401  (the scope of the data set's type)
from made_sets import write_image
from rbdc_mm.data import DataLayoutError, check_data, num_train_samples
from rbdc_mm.data.captions import each_caption
from rbdc_mm.hooks.epoch_seed import SeededBatches, _SeededSamples

CAPTIONS = {
    "train/0/1.jpg": ["a dog", 'a "quoted" dog'],
    "train/0/2.jpg": ["a cat, sleeping"],
    "train/1/3.jpg": ["deux caf\u00e9s", "two coffees", "coffee"],
}


@pytest.fixture
def root(tmp_path) -> Path:
    for name in CAPTIONS:
        write_image(tmp_path / name, (20, 24))
    return tmp_path


def table(path: Path, separator: str = "\t", header=("title", "filepath"), quote=False) -> Path:
    def field(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if quote else text

    rows = [(one, name) for name, captions in CAPTIONS.items() for one in captions]
    lines = [separator.join(header), *(separator.join(map(field, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def cfg(root: Path, ann_file: str = "train.tsv", **more) -> dict:
    known = dict(type="rbdc_mm.CaptionedImages", data_root=str(root), pipeline=[])
    return known | (dict(ann_file=ann_file) if ann_file else {}) | more


def content(config: dict) -> dict[str, list[str]]:
    """Path below the root -> captions."""
    dataset = DATASETS.build(dict(config, test_mode=True))
    return {
        str(Path(one["img_path"]).relative_to(config["data_root"])): one["captions"]
        for one in (dataset.get_data_info(n) for n in range(len(dataset)))
    }


def coco(path: Path) -> None:
    names = list(CAPTIONS)
    said = [(n, one) for n, name in enumerate(names) for one in CAPTIONS[name]]
    written = dict(
        images=[dict(id=n, file_name=name) for n, name in enumerate(names)],
        annotations=[dict(id=i, image_id=n, caption=one) for i, (n, one) in enumerate(said)],
    )
    path.write_text(json.dumps(written))


def shards(root: Path, kind: str) -> None:
    """Two images to a shard, captions as img2dataset writes them."""
    for number, names in enumerate((list(CAPTIONS)[:2], list(CAPTIONS)[2:])):
        with tarfile.open(root / f"train-{number:06d}.tar", "w") as tar:
            for name in names:
                captions = CAPTIONS[name]
                files = {"jpg": (root / name).read_bytes()}
                if kind != "json":
                    files["txt"] = captions[0].encode()
                if kind != "txt":
                    said = dict(caption=captions, first=captions[0])
                    files["json"] = json.dumps(said).encode()
                for suffix, data in files.items():
                    member = tarfile.TarInfo(f"{Path(name).stem}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def test_tables(root):
    table(root / "train.tsv", quote=True)
    assert content(cfg(root)) == CAPTIONS and num_train_samples(cfg(root)) == 3
    table(root / "raw.tsv")
    assert content(cfg(root, "raw.tsv", quoted=False)) == CAPTIONS
    table(root / "train.csv", ",", ("text", "image"), quote=True)
    other = dict(separator=",", image_key="image", caption_key="text")
    assert content(cfg(root, "train.csv", **other)) == CAPTIONS
    lines = [f"{name}\t{each[0]}\t{each[-1]}" for name, each in CAPTIONS.items()]
    (root / "long.tsv").write_text("\n".join(["filepath\traw\tlong", *lines]))
    several = cfg(root, "long.tsv", caption_key=["raw", "long"], quoted=False)
    assert content(several) == {name: [each[0], each[-1]] for name, each in CAPTIONS.items()}


def test_cocos_captions(root):
    coco(root / "captions_val.json")
    assert content(cfg(root, "captions_val.json")) == CAPTIONS


@pytest.mark.parametrize("kind", ["txt", "json", "both"])
def test_shards(root, kind):
    shards(root, kind)
    config = cfg(root, "", split="train")
    dataset = DATASETS.build(
        dict(config, test_mode=True, pipeline=[dict(type="LoadImageFromFile")])
    )
    wanted = (
        list(CAPTIONS.values()) if kind == "json" else [[each[0]] for each in CAPTIONS.values()]
    )
    assert [one["captions"] for one in dataset] == wanted
    assert all(one["img"].shape == (24, 20, 3) for one in dataset)
    assert list(each_caption(config)) == [one for each in wanted for one in each]
    assert num_train_samples(config) == 3 and (root / ".train.captions.npz").is_file()
    if kind != "txt":
        first = cfg(root, "", split="train", caption_key="first")
        assert list(each_caption(first)) == [each[0] for each in CAPTIONS.values()]


def epochs(dataset, count: int, workers: int) -> list[list[str]]:
    """What is drawn, as EpochSeedHook has loaders draw."""
    loader = DataLoader(
        dataset, batch_size=2, sampler=DefaultSampler(dataset, shuffle=False),
        num_workers=workers, collate_fn=list,
    )  # fmt: skip
    object.__setattr__(loader, "batch_sampler", SeededBatches(loader.batch_sampler))
    loader.dataset.__getitems__ = _SeededSamples(dataset)
    loader.batch_sampler.words = (0, 0, 2)
    drawn = []
    for epoch in range(count):
        loader.batch_sampler.epoch = epoch
        drawn.append([one["caption"] for batch in loader for one in batch])
    return drawn


def test_one_caption_is_drawn_each_epoch(root):
    table(root / "train.tsv", quote=True)
    dataset = DATASETS.build(cfg(root))
    drawn = epochs(dataset, 30, workers=0)
    for number, captions in enumerate(CAPTIONS.values()):
        counts = Counter(epoch[number] for epoch in drawn)
        assert set(counts) == set(captions) and min(counts.values()) >= 30 / len(captions) / 3
    assert epochs(dataset, 3, workers=2) == drawn[:3]


def test_tokens_are_packed(root):
    table(root / "train.tsv", quote=True)
    tokenizer = dict(captions=str(root / "train.tsv"), vocab_size=300, context_length=9)
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="rbdc_mm.Tokenize", tokenizer=tokenizer),
        dict(type="PackInputs", algorithm_keys=("text_tokens",)),
    ]
    tokens = DATASETS.build(cfg(root, pipeline=pipeline))[1]["data_samples"].text_tokens
    assert tokens.dtype == torch.long and tokens.shape == (9,) and tokens.max() == 299


def test_missing_images_are_counted_named_and_limited(root, capsys):
    table(root / "train.tsv", quote=True)
    (root / "train/0/2.jpg").unlink()
    with pytest.raises(DataLayoutError, match=r"1 of the 3 images of .*train\.tsv are missing"):
        DATASETS.build(cfg(root))
    left = cfg(root, max_missing=1)
    assert set(content(left)) == set(CAPTIONS) - {"train/0/2.jpg"}
    told = capsys.readouterr().err
    assert "train/0/2.jpg. They are left out: max_missing=1" in told
    assert num_train_samples(left) == 2
    [warning] = check_data(dict(train_dataloader=dict(dataset=left)), ("train",))
    assert "1 of the 3 images" in warning
