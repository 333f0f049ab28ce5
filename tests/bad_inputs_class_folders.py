"""Class folders, label lists and archives: what is refused before training, or warned of."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from bad_inputs import BadInput
from made_sets import FolderSet, cases, spoilt_folders, warning, write_image
from rbdc_mm.data import make_cifar, make_class_folders, make_penn_fudan


def folder_more(made: FolderSet, name: str = "dog", splits=("train", "val")) -> None:
    for split in splits:
        write_image(made.root / split / name / "0.jpg")


def folder_less(made: FolderSet, *splits: str) -> None:
    for split in splits:
        shutil.rmtree(made.root / split / "bee")


def listed(change: Callable[[list[str]], str | bytes], **more) -> Callable[[FolderSet], dict]:
    """Training by a list file."""
    return lambda made: made.cfg(train=made.listed(change(made.lines()), **more))


def other_kinds(made: FolderSet) -> None:
    write_image(made.root / "train/ant/9.webp")


FOLDERS = [
    ("a class folder too many", folder_more,
     r"train_dataloader has 4 classes .ant, bee, cat, dog., but the config has model.head.num_"),
    ("a class folder too few", lambda m: folder_less(m, "train", "val"), "has 2 classes .ant, cat"),
    ("a class without training images",
     lambda m: (folder_less(m, "train"), m.cfg(num_classes=2))[1], "3 class folders|has 3 classes"),
    ("a class missing in validation", lambda m: (folder_less(m, "val"), folder_more(m, "dog",
        ["val"]))[1], "number 2: 'bee' against 'cat'. mmpretrain numbers the folders of each"),
    ("a hidden folder beside the classes", lambda m: (folder_more(m, ".ipynb_checkpoints"), m.cfg(
        train=m.dataset(metainfo=dict(classes=m.NAMES))))[1], "has 4 of 3 class .*ipynb_.* too"),
    ("names in another order than the folders", lambda m: m.cfg(
        train=m.dataset(metainfo=dict(classes=("cat", "ant", "bee")))),
     "folder 'ant' .* have the label 0, but the classes of train_.* have 'ant' at place 1"),
    ("names in another order than a list's labels", listed(lambda t: "".join(t), metainfo=dict(
        classes=("bee", "ant", "cat"))), "'ant' .* have the label 0, but .* 'ant' at place 1"),
    ("an empty class folder", lambda m: [p.unlink() for p in m.root.glob("train/bee/*")] and None,
     "1 class folders hold no image: bee"),
    ("top 5 of 3 classes", lambda m: m.cfg() | dict(val_evaluator=dict(type="Accuracy",
        topk=(1, 5))), r"topk=\(1, 5\), but there are 3 classes"),
    ("an image of 0 bytes in a class folder",
     lambda m: (m.root / "train/bee/1.jpg").write_bytes(b"") and None,
     r"1 of its 9 images cannot be read: .*bee/1.jpg' is empty"),
    ("classes from a file that is not there", lambda m: m.cfg(train=m.dataset(classes="lost.txt")),
     "the text 'lost.txt', which is no file of names"),
    ("a list with a byte order mark", listed(lambda t: b"\xef\xbb\xbf" + "".join(t).encode()),
     "train.txt begins with a byte order mark"),
    ("a list that is not UTF-8", listed(lambda t: b"\xff\xfe\n"), "is not UTF-8 text"),
    ("an empty list", listed(lambda t: "\n"), "train.txt is empty"),
    ("labels beyond the head's classes", listed(lambda t: "".join(t) + "ant/0.jpg 7\n"),
     "labels from 0 to 7, but there are 3 classes, 0 to 2"),
    ("labels beyond the named classes", listed(lambda t: "".join(t) + "ant/0.jpg 3\n",
        metainfo=dict(classes=FolderSet.NAMES)), "labels from 0 to 3, but there are 3 classes"),
    ("labels from 1", listed(lambda t: "".join(f"{x.split()[0]} {int(x.split()[1]) + 1}\n"
        for x in t)), "labels from 1 to 3.* Do they count from 1"),
    ("negative labels", listed(lambda t: "".join(t) + "ant/0.jpg -1\n"), "labels? .*-1"),
    ("labels that are names", listed(lambda t: "ant/0.jpg ant\n"), "label that is no integer"),
    ("commas between name and label", listed(lambda t: "ant/0.jpg,0\n"), "no label after a blank"),
    ("tabs between name and label", listed(lambda t: "ant/0.jpg\t0\n"), "no label after a blank"),
    ("a blank line", listed(lambda t: "".join(t) + "\n"), "1 of 10 lines are blank.*line 10"),
    ("a listed image that is not there", listed(lambda t: "".join(t) + "ant/99.jpg 0\n"),
     "names images that are not in .*ant/99.jpg"),
    ("a list file that is not there", lambda m: m.cfg(train=m.dataset(ann_file="lost.txt")),
     "lost.txt is missing"),
    ("two meanings of a label", listed(lambda t: "".join(x.replace(" 0", " 9").replace(" 1", " 0")
        .replace(" 9", " 1") for x in t)), "folder 'ant' have the label 1 and the label 0"),
]  # fmt: skip
FOLDER_WARNINGS = [
    ("images of kinds that are not read", other_kinds, "are not read: 1 .webp; only .jpg"),
    ("a class that no listed image has", listed(lambda t: "".join(x for x in t if " 1" not in x)),
     "1 of 3 classes have no image: 1"),
]  # fmt: skip


# --- what tools/make_data.py is given -------------------------------------------------------------


def given_to(make: Callable, write: Callable[[Path], object], **options) -> Callable[[Path], str]:
    """Writes a source and makes a set of it."""

    def provoke(folder: Path) -> str:
        source = folder / "source"
        write(source)
        try:
            make(folder / "out", source=source, **options)
        except ValueError as error:
            assert not (folder / "out").exists()
            return str(error)
        raise AssertionError("nothing was refused")

    return provoke


def one_class(source: Path) -> None:
    write_image(source / "ant/0.jpg")


def other_classes(source: Path) -> None:
    FolderSet(source)
    (source / "val/bee").rename(source / "val/wasp")


def cut_zip(source: Path) -> None:
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("ant/0.jpg", b"x" * 5000)
    whole = bytearray(source.read_bytes())
    whole[40:60] = b"y" * 20  # within what is packed
    source.write_bytes(whole)


def batches(**files: object) -> Callable[[Path], None]:
    def write(source: Path) -> None:
        source.mkdir()
        for name, content in {"batches.meta": {b"label_names": [b"a", b"b"]}, **files}.items():
            (source / name).write_bytes(pickle.dumps(content, protocol=2))

    return write


def unmasked(source: Path) -> None:
    for n in range(5):
        write_image(source / f"PNGImages/{n}.png")


SOURCES = [
    ("a source that is not there", make_cifar, lambda s: None, "--source .*source is not there"),
    ("a source that is no archive", make_penn_fudan, lambda s: s.write_text("a"), "no zip and no"),
    ("a damaged archive", make_class_folders, cut_zip, "cannot be unpacked: .*damaged"),
    ("a source of one class", make_class_folders, one_class, "wanted two or more class folders"),
    ("splits of other classes", make_class_folders, other_classes, "split alone: .'bee', 'wasp'"),
    ("no CIFAR at all", make_cifar, one_class, "no batches.meta"),
    ("CIFAR without its test batch", make_cifar, batches(data_batch_1={}), "no batches for val"),
    ("a batch that is a list", make_cifar, batches(data_batch_1=[], test_batch={}), "no dict"),
    ("a batch without pixels", make_cifar, batches(data_batch_1={}, test_batch={}), "3072. uint8"),
    ("no photographs", make_penn_fudan, one_class, "0 images in PNGImages/"),
    ("photographs without masks", make_penn_fudan, unmasked, "5 masks are missing, the first: 0"),
]  # fmt: skip

CASES = [
    *cases(FOLDERS, spoilt_folders),
    *cases(FOLDER_WARNINGS, spoilt_folders, told=warning),
    *(BadInput(given, given_to(make, write), message) for given, make, write, message in SOURCES),
]
