"""Teachers that cannot teach: one clear error each, before anything is trained."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from mmengine import Config

from checkpoint_helpers import image_folder, save_checkpoint
from helpers import resnet_model, vit_model
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.classifiers import build_classifier
from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.checkpoint.teachers import check_teacher
from rbdc_mm.models import teacher_problems

VIT = vit_model(16, 4, 3)
RESNET = resnet_model(18, 8)


def distilled(model: dict, *teachers: object, **options) -> dict:
    distillation = dict(teachers=[str(t) for t in teachers], **options)
    return {
        **deepcopy(model),
        "type": "rbdc_mm.FeatureDistillationClassifier",
        "distillation": distillation,
    }


BAD = {
    "classes": (VIT, vit_model(8, 2, 3, num_classes=7), "num_classes=7, its student num_cla.*=10"),
    "image": (VIT, vit_model(8, 2, 3, img_size=64), r"img_size=\(64, 64\), its student .*\(32, 32"),
    "channels": (
        VIT,
        vit_model(8, 2, 3, in_channels=1),
        "in_channels=1, its student in_channels=3",
    ),
    "wider": (VIT, vit_model(24, 4, 3), r"embed_dims=24 \(student 16\), feedforward_channels=48"),
    "deeper": (VIT, vit_model(16, 4, 4), r"larger than its student: num_layers=4 \(student 3\);"),
    "family": (VIT, RESNET, "is a ResNetArch, its student a ViTArch: wanted one family"),
    "resnet_classes": (RESNET, resnet_model(18, 4, num_classes=3), "num_classes=3"),
    "resnet_wider": (RESNET, resnet_model(18, 16), r"base_channels=16 \(student 8\)"),
    "resnet_deeper": (RESNET, resnet_model(34, 4), r"depth=34 \(student 18\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_teacher_that_does_not_fit(name, tmp_path):
    student, teacher, message = BAD[name]
    path = tmp_path / "teacher.pth"
    save_checkpoint(path, teacher)
    with pytest.raises(ValueError, match=message):
        check_teacher(arch_of(student), read_checkpoint(path))
    model = distilled(student, path)
    with pytest.raises(ValueError, match=message):
        build_classifier(model).init_weights()
    (problem,) = teacher_problems(Config(dict(model=model)))
    assert str(path) in problem


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        (VIT, VIT),
        (VIT, vit_model(8, 4, 1)),
        (vit_model(16, 2, 3), vit_model(8, 8, 2)),  # more heads are not wider
        (RESNET, RESNET),
        (resnet_model(50, 8), resnet_model(34, 4)),
    ],
    ids=["equal vit", "vit", "heads", "equal resnet", "resnet"],
)
def test_a_teacher_that_fits(student, teacher, tmp_path):
    path = tmp_path / "teacher.pth"
    save_checkpoint(path, teacher)
    model = distilled(student, path)
    assert teacher_problems(Config(dict(model=model))) == []
    build_classifier(model).init_weights()
    assert teacher_problems(Config(dict(model=student))) == []


def test_unreadable_teachers_are_listed_one_by_one(tmp_path):
    (tmp_path / "text.pth").write_text("no checkpoint")
    save_checkpoint(tmp_path / "whole.pth", VIT)
    content = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    save_checkpoint(tmp_path / "bare.pth", VIT, with_cfg=False)
    spoiled = torch.load(tmp_path / "whole.pth", weights_only=False)
    del spoiled["state_dict"]["backbone.ln1.weight"]
    torch.save(spoiled, tmp_path / "spoiled.pth")
    names = ("absent", "text", "cut", "bare", "spoiled", "whole")
    paths = [tmp_path / f"{name}.pth" for name in names]
    model = distilled(VIT, *paths, tmp_path, teacher_channels=[16] * 7)
    problems = teacher_problems(Config(dict(model=model)))
    wanted = [
        "learns from .*absent.pth, which is not there: train it first",
        "text.pth .* is not a checkpoint: it starts with",
        "cut.pth .* is truncated or not a checkpoint",
        "bare.pth carries no config in its meta",
        "teacher .*spoiled.pth does not fit.*tensor 'backbone.ln1.weight' is missing",
        "is a folder: wanted a checkpoint file inside it",
    ]
    assert len(problems) == len(wanted)
    for problem, message in zip(problems, wanted, strict=True):
        with pytest.raises(ValueError, match=rf"(?s){message}"):
            raise ValueError(problem)


def test_other_channels_than_announced(tmp_path):
    save_checkpoint(tmp_path / "teacher.pth", vit_model(8, 2, 3))
    model = build_classifier(distilled(VIT, tmp_path / "teacher.pth", teacher_channels=[12]))
    with pytest.raises(ValueError, match=r"has 8 channels in its 'pre_logits'.* says 12: correct"):
        model.init_weights()


def test_a_resnet_teacher_of_other_images(tmp_path):
    """Its architecture fits any size: the training pipelines tell."""
    data = image_folder(tmp_path / "images")
    crop = dict(type="RandomCrop", crop_size=24)
    data["train_dataloader"]["dataset"]["pipeline"].insert(1, crop)
    path = tmp_path / "teacher.pth"
    save_checkpoint(path, resnet_model(18, 4), **data)
    model = distilled(RESNET, path)
    student = Config(dict(deepcopy(data), model=model))
    assert teacher_problems(student) == []
    student.train_dataloader.dataset.pipeline[1].crop_size = 32
    (problem,) = teacher_problems(student)
    assert "was trained with image size (24, 24), its student is with (32, 32)" in problem
    student = Config(dict(deepcopy(data), model=model))
    student.data_preprocessor.std = [61.0] * 3
    (problem,) = teacher_problems(student)
    assert "data_preprocessor.std [60.0, 60.0, 60.0], its student is with [61.0" in problem
