"""Images with captions, tokenizers and what judges image-text models: what is refused."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import Evaluator

from bad_inputs import BadInput
from image_text_stand_in import StandInPretrainer
from made_sets import refusal, write_image
from rbdc_mm.data import build_tokenizer
from rbdc_mm.data.captioned_images import Tokenize
from rbdc_mm.evaluation import ImageTextRecall, ZeroShotAccuracy
from rbdc_mm.evaluation.several import add_to_record, evaluate_clip

ROWS = [f"a picture of {n}\timages/{n}.jpg" for n in range(4)]
HEADER = "title\tfilepath"
CLASSES = ("red_star", "blue_star", "red_ring")


def written(folder: Path, rows=ROWS, header=HEADER) -> Path:
    """Four images, and captions of such rows."""
    for n in range(4):
        write_image(folder / f"images/{n}.jpg")
    path = folder / "train.tsv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def tokenizer_of(folder: Path, **more: Any) -> dict:
    written(folder)
    return dict(captions=str(folder / "train.tsv"), vocab_size=300, context_length=9) | more


def config(folder: Path, **more: Any) -> dict:
    dataset = dict(type="rbdc_mm.CaptionedImages", data_root=str(folder), ann_file="train.tsv")
    return dict(train_dataloader=dict(dataset=dataset | dict(pipeline=[]) | more))


def spoilt(spoil: Callable[[Path], Any], **more: Any) -> Callable[[Path], str]:
    """Spoils four images and their captions, and checks the data with such settings."""

    def provoke(folder: Path) -> str:
        written(folder)
        changed = spoil(folder)
        return refusal(config(folder, **more | (changed if isinstance(changed, dict) else {})))

    return provoke


def rows(*lines: str, header: str = HEADER, **more: Any) -> Callable[[Path], str]:
    return spoilt(lambda folder: written(folder, lines, header), **more)


def coco(images: Any = ((0, "images/0.jpg"),), annotations: Any = ((0, "a"),)):
    """Of (id, file) and (image, caption)."""

    def spoil(folder: Path) -> None:
        content = dict(
            images=[dict(id=number, file_name=name) for number, name in images],
            annotations=[dict(image_id=number, caption=caption) for number, caption in annotations],
        )
        (folder / "captions.json").write_text(json.dumps(content))

    return spoilt(spoil, ann_file="captions.json")


def shard(**files: bytes) -> Callable[[Path], str]:
    """One whole sample and another one, its files as ``suffix=content``."""

    def spoil(folder: Path) -> None:
        image = (folder / "images/0.jpg").read_bytes()
        every = {"good.jpg": image, "good.txt": b"a picture", "x.jpg": image}
        every |= {f"x.{suffix}": content for suffix, content in files.items()}
        with tarfile.open(folder / "train-000000.tar", "w") as tar:
            for name, content in every.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))

    return spoilt(spoil, ann_file="", split="train")


def message(function: Callable, *args: Any, **kwargs: Any) -> str:
    try:
        function(*args, **kwargs)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    raise AssertionError("nothing was refused")


def tokenizer(name: str = "", content: bytes | None = None, **cfg: Any) -> Callable[[Path], str]:
    """Builds one, of a file of such content if it has a name."""

    def provoke(folder: Path) -> str:
        if content is not None:
            (folder / name).write_bytes(content)
        given = {"file": str(folder / name)} if name else tokenizer_of(folder)
        return message(build_tokenizer, given | cfg)

    return provoke


def merges(*lines: str, version: str = "#version: 0.2") -> bytes:
    return gzip.compress("\n".join([version, *lines, ""]).encode())


def unsuited(change: Callable[[dict, Path], Any]) -> Callable[[Path], str]:
    """A whole config, with a model of the tokenizer's size, after such a change."""

    def provoke(folder: Path) -> str:
        given = tokenizer_of(folder)
        cfg = config(folder, pipeline=[dict(type="rbdc_mm.Tokenize", tokenizer=given)])
        cfg["model"] = dict(type="ImageTextPretrainer", vocab_size=300, context_length=9)
        change(cfg, folder)
        return refused(cfg)

    return provoke


def refused(cfg: dict) -> str:
    from rbdc_mm.data import check_data

    return message(check_data, cfg, ("train",))


def judged(
    metric: type = ZeroShotAccuracy,
    model: Any = StandInPretrainer,
    sample: dict | None = None,
    classes: Any = CLASSES,
    **settings: Any,
) -> Callable[[Path], str]:
    """One sample, in a batch of one, judged by a metric with such settings."""

    def provoke(folder: Path) -> str:
        known = dict(image_feat=torch.ones(16), sample_idx=0, gt_label=torch.tensor([0]))
        given = dict(topk=(1,), tokenizer=tokenizer_of(folder)) | settings

        def judge() -> None:
            one = metric(**given)
            evaluator = Evaluator([one])
            evaluator.dataset_meta = dict(classes=classes) if classes else {}
            if model:
                one.show(model(vocab_size=300) if model is StandInPretrainer else model())
            evaluator.process([known if sample is None else sample])
            evaluator.evaluate(1)

        return message(judge)

    return provoke


def tool(files: dict[str, str], meta: dict | None = None, **more: Any) -> Callable[[Path], str]:
    """evaluate_clip of a checkpoint with such a meta, over such files of data sets."""

    def provoke(folder: Path) -> str:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        torch.save({"state_dict": {}, "meta": meta or {}}, folder / "epoch_1.pth")
        data = [str(folder / name) for name in files]
        return message(evaluate_clip, folder / "epoch_1.pth", data, **more)

    return provoke


def unrecorded(folder: Path) -> str:
    return message(add_to_record, folder / "final.pth", {"a": 1.0})


MODEL = {"cfg": "model = dict(type='StandInPretrainer')\ndefault_scope = 'mmpretrain'\n"}
GOOD = "dataset = dict(type='CIFAR10')\nevaluator = dict(type='rbdc_mm.ZeroShotAccuracy')\n"
TEXT = dict(file="lost.json")

CASES = [
    BadInput(*case)
    for case in [
        ("no file of captions", spoilt(lambda f: dict(ann_file="lost.tsv")), "lost.tsv is missing"),
        ("neither captions nor shards", spoilt(lambda f: dict(ann_file="")),
         "the captions have no place: set ann_file"),
        ("both captions and shards", spoilt(lambda f: None, split="train"),
         "captions are either in ann_file='train.tsv' or in shards: set one of them"),
        ("another number of captioned images", spoilt(lambda f: None, num_samples=5),
         "num_samples=5, but train.tsv has 4 images"),
        ("a CSV with another separator than said", rows("a,images/0.jpg", header="title,filepath"),
         r"no column 'filepath', 'title': split at '\\t' \(tab\) its first line is "
         r"\['title,filepath'\]; separators seen in it: 1 comma"),
        ("a TSV read as a CSV", spoilt(lambda f: None, separator=","), r"seen in it: 1 tab\."),
        ("columns with other names", rows(header="text\timage"), r"is \['text', 'image'\]\. Set"),
        ("a row with more fields than the header", rows("a\tb\timages/0.jpg"),
         r"1 rows of other than the header's 2 fields \(the first: line 2 has 3\)"),
        ("an empty caption", rows(*ROWS, "  \timages/0.jpg"),
         r"it has 1 rows with an empty caption \(the first: line 6\)"),
        ("a caption of no image", rows("a picture\t"), "it has 1 rows without a file"),
        ("a caption with a single quote mark", rows('"12 inch\timages/0.jpg', *ROWS),
         "its quotes do not pair .*: set quoted=False"),
        ("a header alone", rows(), "it has no caption"),
        ("captions that are not UTF-8",
         spoilt(lambda f: (f / "train.tsv").write_bytes(b"title\tfilepath\n\xff\tx") and None),
         "train.tsv is not UTF-8"),
        ("what is no annotation of captions",
         spoilt(lambda f: (f / "c.json").write_text("{}") and dict(ann_file="c.json")),
         r"is not COCO captions' JSON \(KeyError\('images'\)\): wanted images"),
        ("an image without a caption", coco([(0, "images/0.jpg"), (1, "images/1.jpg")]),
         r"1 images without a caption \(the first: 'images/1\.jpg'\)"),
        ("an empty caption in COCO's JSON", coco(annotations=[(0, "a"), (0, " ")]),
         r"it has 1 empty captions \(the first: of image 0\)"),
        ("a caption of an unknown image", coco(annotations=[(0, "a"), (7, "b")]),
         r"1 captions of images that it does not list \(the first: image_id 7\)"),
        ("images that are missing", spoilt(lambda f: (f / "images/2.jpg").unlink()),
         r"1 of the 4 images of train\.tsv are missing: images/2\.jpg\. At most max_missing=0 may"),
        ("more images missing than allowed",
         spoilt(lambda f: [(f / f"images/{n}.jpg").unlink() for n in (1, 2)], max_missing=1),
         "2 of the 4 images .* At most max_missing=1 may be"),
        ("all images missing", spoilt(lambda f: None, data_prefix="lost", max_missing=9),
         "4 of the 4 images .* set data_prefix to the folder of the images"),
        ("an image with a caption that cannot be read",
         spoilt(lambda f: (f / "images/1.jpg").write_bytes(b"image") and None),
         "1 of its 4 images cannot be read: 'images/1.jpg' is damaged, cut off or no image"),
        ("an image without a caption in a shard", shard(),
         r"1 samples with no caption \(a \.txt or \.json file\): 'x'"),
        ("an empty caption in a shard", shard(txt=b" \n"), "1 samples with an empty caption: 'x'"),
        ("a .json without a caption in a shard", shard(json=b"{}"),
         "1 samples with a .json without 'caption': 'x'"),
        ("a caption that is no text in a shard", shard(json=b'{"caption": 3}'), "an empty caption"),
        ("a damaged .json in a shard", shard(json=b"{"), "a caption file that is no UTF-8, or no"),
        ("a tokenizer that is missing", tokenizer("lost.json"), "lost.json is missing"),
        ("what is no tokenizer", tokenizer("t.json", b"{}"), r"t\.json is no tokenizer \(.*\): wa"),
        ("a tokenizer that is no text", tokenizer("t.json", b"\xff\xfe"), "t.json is no tokenizer"),
        ("a vocabulary that is not packed", tokenizer("v.txt.gz", b"merges"),
         r"v\.txt\.gz is no tokenizer \(Not a gzipped file"),
        ("a vocabulary without its first line",
         tokenizer("v.txt.gz", merges("a b", version="a b")), "its first line is 'a b', not #ver"),
        ("a vocabulary with what merges nothing", tokenizer("v.txt.gz", merges("a b", "ab cd</w>")),
         r"line 3 merges \('ab', 'cd</w>'\), which are no two tokens"),
        ("a vocabulary that makes a token twice",
         tokenizer("v.txt.gz", merges("a b", "b c", "ab c", "a bc")), "make the same token"),
        ("a tokenizer of another size than said",
         tokenizer("v.txt.gz", merges("a b"), vocab_size=49408),
         r"v\.txt\.gz has 515 tokens, but the tokenizer's config has vocab_size=49408: set vocab_"),
        ("a vocabulary below 256 bytes", tokenizer(vocab_size=100), "vocab_size=100: wanted at "),
        ("a text of two tokens", tokenizer(context_length=2), "context_length=2: wanted at least"),
        ("a tokenizer of file and captions", tokenizer(file="x"), "either file .* or captions and"),
        ("a setting that tokenizers have not", tokenizer(size=3), "'size': 3.*: wanted context"),
        ("a tokenizer to train without a size", tokenizer(vocab_size=None), "it needs vocab_size"),
        ("a sample without a caption",
         lambda f: message(Tokenize(tokenizer_of(f)), dict(captions=["a"], img_path="x/0.jpg")),
         r"Tokenize: 0\.jpg has no 'caption' \(it has captions, img_path\)"),
        ("a model of another vocabulary",
         unsuited(lambda cfg, f: cfg["model"].update(vocab_size=49408)),
         "has 300 tokens, but model has vocab_size=49408: set vocab_size=300 there"),
        ("a model of another length of texts",
         unsuited(lambda cfg, f: cfg["model"].update(context_length=77)),
         "Tokenize of train makes 9 ids of a text, but model.context_length is 77: set both alike"),
        ("another tokenizer for an evaluation",
         unsuited(lambda cfg, f: cfg.update(train_evaluator=dict(
             type="rbdc_mm.ImageTextRecall", tokenizer=tokenizer_of(f, vocab_size=290)))),
         "ImageTextRecall of train has another tokenizer than Tokenize of train"),
        ("a model that reads no texts", judged(model=torch.nn.Identity),
         r"Identity has no extract_image_feat and no extract_text_feat"),
        ("a loop that shows no model", judged(model=None), "set val_cfg=dict.type='rbdc_mm.Image"),
        ("a model of another vocabulary, judged", judged(model=lambda: StandInPretrainer(290)),
         "has 300 tokens, but the StandInPretrainer has vocab_size=290"),
        ("classes without names", judged(classes=None), "the classes have no names: give ZeroShot"),
        ("prompts for unknown classes",
         judged(class_names={"red_star": "a", "cat": "b"}),
         r"lacks 2 of the data set's 3 classes \(blue_star, red_ring\) and has 1 others \(cat\)"),
        ("names of fewer classes", judged(class_names=["a", "b"]), "has 2 names, .* has 3 classes"),
        ("names of an unknown set", judged(class_names="coco"), "class_names='coco': wanted a"),
        ("templates that nobody knows", judged(templates="openai"),
         "templates='openai' is unknown: .* or one of openai_imagenet, "),
        ("a template without a place for the name", judged(templates=["a dog"]),
         r"templates=\['a dog'\]: wanted texts with one \{\}"),
        ("no template", judged(templates=[]), r"templates=\[\]: wanted texts with one"),
        ("more best classes than there are", judged(topk=(1, 5)),
         r"topk=\(1, 5\), but there are 3 classes: set topk=\(1,\)"),
        ("more best images than there are",
         judged(ImageTextRecall, sample=dict(image_feat=torch.ones(16), sample_idx=0,
                                             captions=["a"]), topk=(1, 5)),
         r"topk=\(1, 5\), but there are 1 images"),
        ("a label without a name", judged(sample=dict(
            image_feat=torch.ones(16), sample_idx=0, gt_label=torch.tensor([3]))),
         "has 3 class names, but a sample has the label 3"),
        ("samples without a label", judged(sample=dict(image_feat=torch.ones(16))),
         "ZeroShotAccuracy has seen no sample with a gt_label"),
        ("retrieval without captions", judged(ImageTextRecall),
         "ImageTextRecall has seen no sample with captions: wanted a CaptionedImages with"),
        ("samples without their number",
         judged(sample=dict(image_feat=torch.ones(16), gt_label=torch.tensor([0]))),
         "needs sample_idx of every sample: PackInputs"),
        ("a model that predicts no features",
         judged(sample=dict(sample_idx=0, gt_label=torch.tensor([0]))),
         "reads image_feat, which the model's predict puts into a sample, got gt_label, sampl"),
        ("a checkpoint without a config", tool({"a.py": GOOD}), "holds no config: give the mod"),
        ("a model's config without a tokenizer", tool({"a.py": GOOD}, MODEL),
         "names no tokenizer .*: give it with --tokenizer"),
        ("data sets of one name", tool({"a/c.py": GOOD, "b/c.py": GOOD}, MODEL, tokenizer=TEXT),
         "two data sets are named c: give their files other names"),
        ("a data set's config without a data set", tool({"a.py": "x = 1"}, MODEL, tokenizer=TEXT),
         r"a\.py has no dataset and no evaluator: a data set's config says dataset="),
        ("a model's config that reads no images", tool({"a.py": GOOD}, MODEL, tokenizer=TEXT),
         "neither a test_dataloader nor a val_dataloader that says how images are read"),
        ("a data set that is not there",
         tool({"a.py": GOOD.replace(")", ", data_root='lost', download=False, pipeline=[1])", 1)},
              MODEL, tokenizer=TEXT), r"a\.py: its CIFAR10 cannot be read \(Cannot find"),
        ("metrics for a run that is not there", unrecorded,
         r"there is no run\.json of a finished, evaluated run beside final\.pth"),
    ]
]  # fmt: skip
