"""tools/make_data.py on other people's files, the config it prints, and the page about own data."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mmengine import Config
from PIL import Image

from conftest import ROOT
from made_sets import CLASSES, CocoSet, FolderSet, write_image
from rbdc_mm.data import (
    check_data,
    config_for,
    make_cifar,
    make_class_folders,
    make_penn_fudan,
    num_train_samples,
    save_preview,
)
from rbdc_mm.protocol.cli import dry_run

PAGE = (ROOT / "docs/your_own_data.md").read_text(encoding="utf-8")
LABELS = ("airplane", "automobile", "bird")


def write_cifar(folder: Path, protocol: int = 2) -> tuple[Path, dict[str, tuple]]:
    """Batches as CIFAR's authors pickled them, and what is in them."""
    rng, written = np.random.default_rng(0), {}
    batches = folder / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        data = rng.integers(0, 255, (6, 3072), dtype=np.uint8)
        labels = [n % 3 for n in range(6)]
        content = {b"data": data, b"labels": labels, b"batch_label": name.encode()}
        (batches / name).write_bytes(pickle.dumps(content, protocol=protocol))
        written[name] = (data, labels)
    meta = {b"label_names": [name.encode() for name in LABELS]}
    (batches / "batches.meta").write_bytes(pickle.dumps(meta, protocol=protocol))
    path = folder / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(batches, batches.name)
    return path, written


def write_penn_fudan(folder: Path, count: int = 6) -> Path:
    """Persons are blocks of pixels that hold their number."""
    path = folder / "PennFudanPed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(count):
            mask = np.zeros((40, 33 + n), np.uint8)
            mask[5:20, 3:9], mask[10:35, 15:25] = 1, 2
            for name, image in (
                (f"PNGImages/P{n}.png", Image.fromarray(mask * 100).convert("RGB")),
                (f"PedMasks/P{n}_mask.png", Image.fromarray(mask)),
            ):
                with archive.open(f"PennFudanPed/{name}", "w") as file:
                    image.save(file, "PNG")
    return path


def placed(text: str, folder: Path, name: str) -> Config:
    """A config as it would be in configs/own/."""
    path = folder / f"{name}.py"
    path.write_text(text.replace('"../', f'"{ROOT}/configs/'))
    return Config.fromfile(path)


def test_cifars_archive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive, written = write_cifar(tmp_path / "source")
    made = make_cifar("data/cifar10", source=archive)
    assert made.num_images == {"train": 12, "val": 6}
    data, labels = written["data_batch_2"]
    shown = Image.open(made.root / "train" / LABELS[labels[1]] / "00007.png")
    assert (np.asarray(shown) == data[1].reshape(3, 32, 32).transpose(1, 2, 0)).all()
    assert make_cifar("data/cifar10", source=archive).status == "reused"
    folder = make_cifar("other", source=archive.parent / "cifar-10-batches-py")
    assert folder.sha256 == made.sha256
    cfg = placed(config_for("data/cifar10", 12), tmp_path, "cifar10")
    cfg.train_cfg.val_interval = 1
    assert check_data(cfg, ("train", "val", "test")) == []


def test_cifar_of_another_pickle_and_100_classes(tmp_path):
    archive, _ = write_cifar(tmp_path, protocol=4)
    assert make_cifar(tmp_path / "out", source=archive).num_images["val"] == 6
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    content = {"data": np.zeros((4, 3072), np.uint8), "fine_labels": [0, 1, 2, 1]}
    for name in ("train", "test"):
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": list(LABELS)}))
    assert make_cifar(tmp_path / "hundred", source=folder).num_images == {"train": 4, "val": 4}


class Evil:
    def __reduce__(self):
        return (os.system, ("touch evil",))


def test_a_pickle_that_calls_something_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive, _ = write_cifar(tmp_path / "source")
    folder = archive.parent / "cifar-10-batches-py"
    (folder / "test_batch").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(ValueError, match=r"test_batch is no batch .*system, which is no array"):
        make_cifar("out", source=folder)
    assert not Path("evil").exists() and not Path("out").exists()


def test_penn_fudans_zip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make_penn_fudan(source=write_penn_fudan(tmp_path))
    assert made.num_images == {"train": 5, "val": 1}
    content = json.loads((made.root / "annotations/instances_val2017.json").read_text())
    assert [one["bbox"] for one in content["annotations"]] == [[3, 5, 6, 15], [15, 10, 10, 25]]
    assert [one["area"] for one in content["annotations"]] == [90, 250]
    assert content["images"] == [dict(id=1, file_name="P4.png", height=40, width=37)]
    cfg = placed(config_for("data/penn_fudan", 5), tmp_path, "penn_fudan")
    assert check_data(cfg, ("train", "val", "test")) == []
    assert num_train_samples(cfg.train_dataloader.dataset) == 5


@pytest.mark.parametrize("has_splits", [True, False])
def test_class_folders_of_any_kind(tmp_path, has_splits):
    animals = FolderSet(tmp_path / "animals")
    write_image(animals.root / "train/ant/deep/er.webp")
    (animals.root / "train/ant/notes.txt").write_text("no image")
    (animals.root / "val").rename(animals.root / "test")
    source = animals.root if has_splits else animals.root / "train"
    archive = tmp_path / "animals.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(source.rglob("*")):
            file.write(path, Path("animals") / path.relative_to(source))
    made = make_class_folders(tmp_path / "out", source=archive)
    assert made.num_images == ({"train": 10, "val": 6} if has_splits else {"train": 7, "val": 3})
    found = {p.relative_to(made.root).as_posix() for p in made.root.rglob("er.*")}
    assert found <= {"train/ant/deep/er.png", "val/ant/deep/er.png"} and len(found) == 1
    again = make_class_folders(tmp_path / "again", source=archive)
    assert again.sha256 == made.sha256
    assert save_preview(made.root, tmp_path / "sheet.png").is_file()
    cfg = placed(config_for(made.root, made.num_images["train"]), tmp_path, "animals")
    warnings = check_data(cfg, ("train", "val", "test"))
    assert warnings == []


def test_some_images_of_each_class(tmp_path):
    """Drawn by seed from those to train on; all that is held out stays."""
    source = FolderSet(tmp_path / "animals").root
    whole = make_class_folders(tmp_path / "whole", source=source)
    some = make_class_folders(tmp_path / "some", source=source, per_class=2)
    classes = [folder.name for folder in (some.root / "train").iterdir()]
    assert some.num_images == {"train": 2 * len(classes), "val": whole.num_images["val"]}
    for name in classes:
        drawn = {path.name for path in (some.root / "train" / name).iterdir()}
        assert len(drawn) == 2
        assert drawn <= {path.name for path in (whole.root / "train" / name).iterdir()}
    assert make_class_folders(tmp_path / "some", source=source, per_class=2).status == "reused"
    for per_class, message in ((99, "per_class=99, but there are"), (-1, "0 .all. or more")):
        with pytest.raises(ValueError, match=message):
            make_class_folders(tmp_path / "none", source=source, per_class=per_class)


def test_without_a_path_and_without_a_network(tmp_path, monkeypatch):
    import torchvision.datasets.utils

    def download_url(*args):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", download_url)
    for make in (make_cifar, make_penn_fudan):
        with pytest.raises(ValueError, match=r"cannot be downloaded .no network.*--source PATH"):
            make(tmp_path / "out")


def test_the_tool_prints_the_config(tmp_path):
    source = write_penn_fudan(tmp_path)
    command = [sys.executable, ROOT / "tools/make_data.py", "penn_fudan", "--source", source]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, _, config = done.stdout.partition("\n\n")
    assert first.startswith("penn_fudan: made") and config.count("\n") <= 15
    assert 'data_root="data/penn_fudan/"' in config and "num_train_samples = 5" in config
    done = subprocess.run([*command[:-1], "lost.zip", "--out", "x"], cwd=tmp_path, env=environment,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith("make_data.py: --source lost.zip is not")


# --- the page -------------------------------------------------------------------------------------


def test_the_pages_configs_build_and_suit_such_data(tmp_path, monkeypatch, capsys):
    texts = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(texts) == 2 and all(text.count("\n") <= 15 for text in texts)
    monkeypatch.chdir(tmp_path)
    parts, animals = CocoSet(Path("data/parts")), FolderSet(Path("data/animals"))
    (parts.root / "images").mkdir()
    for split in ("train", "val"):
        for path in parts.images(split):
            path.rename(parts.root / "images" / path.name)
        Path(parts.truth(split)).rename(parts.root / f"{split}.json")
    assert animals.NAMES == ("ant", "bee", "cat") and CLASSES == ("box", "bar")
    for text, name, count in zip(texts, ("parts", "animals"), (4, 9), strict=True):
        cfg = placed(text, tmp_path, name)
        cfg.launcher, cfg.work_dir = "none", "unused"
        dry_run(cfg)
        said = capsys.readouterr()
        assert f"{name}.py builds" in said.out and "still needed" not in said.out
        assert said.err.splitlines() == [
            f"warning: num_train_samples={cfg.num_train_samples} in the config, but the training "
            f"data set has {count} samples an epoch: set num_train_samples={count}, which plans "
            "and budgets count with"
        ]
    (animals.root / "val/bee/0.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"bee/0\.jpg' is empty .0 bytes."):
        dry_run(cfg)
    shutil.rmtree(animals.root)
    dry_run(cfg)
    needed = "still needed: data/animals is not a complete data set: there is no such directory"
    assert capsys.readouterr().out.count(needed) == 1


def test_the_pages_commands_name_what_exists():
    for tool in re.findall(r"python (tools/\S+\.py)", PAGE):
        assert (ROOT / tool).is_file()
    assert "docs/your_own_data.md" in (ROOT / "README.md").read_text()
