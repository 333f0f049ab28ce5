"""Image shards: the samples of class folders, in their order, by webdataset's own reader too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from mmengine import Config
from mmengine.dataset import DefaultSampler
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader

import rbdc_mm.data.shards as shards
import rbdc_mm.registry  # noqa: F401  (the scope of the data set's type)
from helpers import load_tool
from made_sets import FolderSet, write_image
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.data import check_data, config_for, make_shards, num_train_samples
from rbdc_mm.protocol.cli import dry_run
from rbdc_mm.protocol.launch import train
from tiny_runs import tiny_config, totals

PIPELINE = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]


@pytest.fixture(scope="module")
def packed(digits, tmp_path_factory) -> Path:
    """The digits in shards of 250, by the tool."""
    out = tmp_path_factory.mktemp("shards") / "digits"
    command = [sys.executable, "tools/make_data.py", "shards", "--source", digits, "--out", out]
    done = subprocess.run([*command, "--per-shard", "250"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "(1200 train, 597 val images)" in done.stdout
    assert f'type="rbdc_mm.ShardedImages", data_root="{out}"' in done.stdout
    return out


def sharded(root: Path, split: str = "train", **more) -> dict:
    return dict(type="rbdc_mm.ShardedImages", data_root=str(root), split=split, **more)


def folders(root: Path, split: str = "train", **more) -> dict:
    return dict(type="CustomDataset", data_root=str(root), data_prefix=split, **more)


def built(cfg: dict):
    return DATASETS.build(cfg | dict(pipeline=PIPELINE))


@pytest.mark.parametrize("split", ["train", "val"])
def test_samples_are_those_of_the_folders(digits, packed, split):
    ours, theirs = built(sharded(packed, split)), built(folders(digits, split))
    assert len(ours) == len(theirs) and tuple(theirs.CLASSES) == ours.CLASSES
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one["inputs"], other["inputs"])
        assert one["data_samples"].gt_label.item() == other["data_samples"].gt_label.item()
    assert num_train_samples(sharded(packed, split)) == len(theirs)


def test_webdataset_reads_the_same(digits, packed):
    """From end to end, in the shards' own order, in which classes are mixed."""
    files = [str(path) for path in sorted(packed.glob("train-*.tar"))]
    assert len(files) == 5
    read = [(s["png"], int(s["cls"])) for s in webdataset.WebDataset(files, shardshuffle=False)]
    index = shards.index_of(sharded(packed))
    found = [(shards.read_image(index.address(n)), index.label[n]) for n in range(len(index))]
    assert sorted(read) == sorted(found) and len(found) == 1200
    assert len({label for _, label in read[:50]}) == 10


def test_names_of_all_kinds(tmp_path):
    """Dots, folders in folders, the same name with two endings, capitals, spaces, long names."""
    made = FolderSet(tmp_path / "animals")
    for n, name in enumerate(("a.b.jpg", "a.b.png", "sub/c.JPEG", "é 1.jpg", f"{'x' * 120}.jpg")):
        write_image(made.root / "train/bee" / name, (32 + n, 32))
    make_shards(tmp_path / "out", source=made.root, per_shard=3)
    ours = [one["inputs"].shape for one in built(sharded(tmp_path / "out"))]
    theirs = [one["inputs"].shape for one in built(made.dataset())]
    assert sorted(ours) == sorted(theirs) and len(ours) == 14


def test_packing_again_gives_the_same_bytes(digits, packed, tmp_path):
    again = make_shards(tmp_path / "again", source=digits, per_shard=250)
    assert again.status == "made"
    for path in packed.glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert make_shards(tmp_path / "again", source=digits, per_shard=250).status == "reused"


def test_what_cannot_be_packed_is_said(tmp_path):
    made = FolderSet(tmp_path / "animals")
    with pytest.raises(ValueError, match=r"per_shard=0: wanted 1 or more"):
        make_shards(tmp_path / "a", source=made.root, per_shard=0)
    write_image(made.root / "train/ant/9.webp")
    with pytest.raises(ValueError, match=r"9\.webp: mmpretrain reads no \.webp"):
        make_shards(tmp_path / "a", source=made.root)
    shutil.rmtree(made.root / "val")
    with pytest.raises(ValueError, match=r"wanted train/ and val/ with class folders. Make them"):
        make_shards(tmp_path / "a", source=made.root)
    assert not (tmp_path / "a").exists()


# The index


def test_the_index_is_made_once_and_again_after_a_change(tmp_path, monkeypatch):
    made = FolderSet(tmp_path / "animals")
    make_shards(tmp_path / "out", source=made.root, per_shard=2)
    looked = []
    original = shards._samples
    monkeypatch.setattr(shards, "_samples", lambda path: looked.append(path) or original(path))
    cfg = sharded(tmp_path / "out")
    before = shards.index_of(cfg)
    assert not looked  # packing has made it
    os.utime(tmp_path / "out/train-000000.tar", ns=(1, 1))
    shards.index_of(cfg)
    assert len(looked) == 5
    moved = shutil.copytree(tmp_path / "out", tmp_path / "moved")  # with its times
    after = shards.index_of(sharded(moved))
    assert len(looked) == 5 and str(moved) in after.address(0)
    assert np.array_equal(before.label, after.label)
    other = sharded(moved, index=str(tmp_path / "kept/train.npz"))
    assert len(shards.index_of(other)) == 9 and (tmp_path / "kept/train.npz").is_file()


def test_a_shard_cut_off_while_in_use(tmp_path):
    made = FolderSet(tmp_path / "animals")
    make_shards(tmp_path / "out", source=made.root)
    index = shards.index_of(sharded(tmp_path / "out"))
    os.truncate(tmp_path / "out/train-000000.tar", 1000)
    with pytest.raises(ValueError, match=r"train-000000\.tar ends before byte \d+: it was cut off"):
        shards.read_image(index.address(8))


# Order


@pytest.mark.parametrize(("num_ranks", "num_workers"), [(1, 0), (2, 2), (7, 0)])
def test_every_sample_is_seen_once_an_epoch(packed, monkeypatch, num_ranks, num_workers):
    """By one rank and worker; where ranks would get unequal numbers, the first few are repeated."""
    dataset = built(sharded(packed))
    dataset.pipeline.transforms.clear()
    assert dataset.CLASSES[3] == "3"
    addresses = [dataset.get_data_info(n)["img_path"] for n in range(len(dataset))]

    def epoch(number: int) -> list[list[str]]:
        seen = []
        for rank in range(num_ranks):
            monkeypatch.setattr(
                "mmengine.dataset.sampler.get_dist_info", lambda rank=rank: (rank, num_ranks)
            )
            sampler = DefaultSampler(dataset, seed=3)
            sampler.set_epoch(number)
            loader = DataLoader(
                dataset, 50, sampler=sampler, num_workers=num_workers, collate_fn=list
            )
            seen.append([one["img_path"] for batch in loader for one in batch])
        return seen

    ranks = epoch(0)
    each = -(-len(addresses) // num_ranks)
    assert [len(one) for one in ranks] == [each] * num_ranks
    whole = [ranks[n % num_ranks][n // num_ranks] for n in range(each * num_ranks)]
    assert sorted(whole[: len(addresses)]) == sorted(addresses)
    assert whole[len(addresses) :] == whole[: each * num_ranks - len(addresses)]
    assert ranks == epoch(0) != epoch(1)


def test_training_is_that_of_the_folders(digits, packed, tmp_path):
    """Weights bit for bit, and the ledger."""
    for name, one in (("folders", folders(digits)), ("shards", sharded(packed))):
        cfg = tiny_config(digits, tmp_path / name, epochs=2)
        cfg.train_dataloader.dataset = one | dict(
            pipeline=PIPELINE, indices=cfg.train_dataloader.dataset.indices
        )
        train(cfg)
    spent = totals(tmp_path)
    assert spent["folders"] == spent["shards"]
    ends = [load_file(tmp_path / name / "final.pth")["state_dict"] for name in spent]
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


def test_the_printed_config_builds(packed, tmp_path, capsys):
    text = config_for(packed, 1200)
    assert "topk=(1, 5)" in text and "num_classes=10" in text
    (tmp_path / "own.py").write_text(text.replace("../scratch/", f"{Path.cwd()}/configs/scratch/"))
    cfg = Config.fromfile(tmp_path / "own.py")
    cfg.work_dir, cfg.launcher = "unused", "none"
    assert check_data(cfg) == []
    dry_run(cfg)
    said = capsys.readouterr().out
    assert "builds" in said and "still needed" not in said


def test_the_benchmark(monkeypatch, capsys):
    argv = ["bench_shards.py", "--images", "12", "--classes", "2", "--size", "40", "60"]
    monkeypatch.setattr(sys, "argv", [*argv, "--rounds", "1"])
    load_tool("bench_shards").main()
    said = capsys.readouterr().out
    assert "12 JPEGs of 40 x 60 pixels" in said
    rates = re.findall(r"^(bytes, cold|bytes|for training) +\d+ +\d+ +\d+\.\d\d$", said, re.M)
    assert rates == ["bytes, cold", "bytes", "for training"]
