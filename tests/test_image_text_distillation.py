"""Image-text models that learn from smaller ones, in real runs; what does not fit."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from image_text_models import JOINT, VOCAB, clip_model, images, run_config, samples, tokens
from mmengine import Config

from checkpoint_helpers import save_checkpoint
from helpers import build_classifier, resnet_model
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.files import load_file, read_checkpoint
from rbdc_mm.cost import Ledger
from rbdc_mm.models import teacher_problems
from rbdc_mm.models.cost_of import model_cost, teacher_forward_flops
from rbdc_mm.protocol.launch import train
from tiny_runs import NUM_SAMPLES, record

STUDENT = clip_model()
SMALL = clip_model(embed_dims=8, num_heads=1, width=8, heads=1)


def taught(model: dict, *teachers: object, **options) -> dict:
    return copy.deepcopy(model) | dict(
        distillation=dict(teachers=[str(t) for t in teachers], **options)
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Two random teachers."""
    folder = tmp_path_factory.mktemp("teachers")
    for seed in (1, 2):
        save_checkpoint(folder / f"{seed}.pth", SMALL, seed)
    return sorted(folder.glob("*.pth"))


def test_the_loss_is_the_squared_distance_of_both_features(files):
    """Of the mean teacher: 500 times the mean over 512 channels, in a joint space of 512."""
    model = build_classifier(taught(STUDENT, *files))
    model.eval()
    batch, texts = images(5).float(), tokens(5)
    losses = model(batch, samples(texts), mode="loss")
    wanted = 0.0
    for module in model.teachers.modules:
        for own, other in (
            (model.extract_image_feat(batch), module.extract_image_feat(batch)),
            (model.extract_text_feat(texts), module.extract_text_feat(texts)),
        ):
            wanted += 500 / 512 * JOINT * (own - other).square().mean() / len(files)
    torch.testing.assert_close(losses["loss_ifd"], wanted)
    plain = build_classifier(STUDENT).eval()
    plain.load_state_dict(model.state_dict(), strict=True)
    alone = plain(batch, samples(texts), mode="loss")
    torch.testing.assert_close(losses["loss_task"], alone["loss"])
    assert set(losses) == {"loss_task", "loss_ifd"} and set(alone) == {"loss"}
    double = build_classifier(taught(STUDENT, *files, alpha=1000 / 512)).eval()
    double.load_state_dict(model.state_dict())
    twice = double(batch, samples(texts), mode="loss")["loss_ifd"]
    torch.testing.assert_close(twice, 2 * losses["loss_ifd"])
    model.distilling = False
    assert set(model(batch, samples(texts), mode="loss")) == {"loss_task"}


def test_teachers_stay_outside_and_as_they_are(files):
    model = build_classifier(taught(STUDENT, files[0]))
    (teacher,) = model.teachers.modules
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    assert model.state_dict().keys() == build_classifier(STUDENT).state_dict().keys()
    assert copy.deepcopy(model).teachers.modules[0] is teacher
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    sum(model(images(3).float(), samples(tokens(3)), mode="loss").values()).backward()
    optimiser.step()
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())
    assert all(bool(p.grad.any()) for n, p in model.named_parameters() if "bias" not in n)


# Runs


@pytest.fixture(scope="module")
def finished(digits, tmp_path_factory) -> Path:
    cfg = run_config(digits, tmp_path_factory.mktemp("small"), SMALL)
    train(cfg)
    return Path(cfg.work_dir)


def test_a_run_is_charged_both_towers(digits, finished):
    ledger = Ledger.from_dict(load_file(finished / "final.pth")["meta"]["ledger"])
    cost = model_cost(run_config(digits, finished, SMALL))
    assert ledger.own.train_flops == 2 * NUM_SAMPLES * cost.train_flops
    assert cost.train_flops > cost.parts["vision"].train_flops
    assert read_checkpoint(finished / "final.pth").arch == arch_of(SMALL)
    run = record(finished)
    assert run["architecture"] == "CLIP ViT 8x2 + 8x2" and run["num_params"] == cost.num_params


def test_a_student_grows_from_its_teacher_and_learns_from_it(digits, finished, tmp_path):
    """CoM-PT by hand: both towers are embedded, both towers' forwards are charged."""
    teacher = str(finished / "final.pth")
    cfg = run_config(digits, tmp_path, taught(STUDENT, teacher))
    cfg.custom_hooks = [
        dict(type="rbdc_mm.GrowthHook", operator="embed", parents=[teacher], seed=0),
        dict(type="rbdc_mm.DistillationHook", end_epoch=1),
    ]
    train(cfg)
    content = load_file(tmp_path / "final.pth")
    ledger = Ledger.from_dict(content["meta"]["ledger"])
    forward = teacher_forward_flops(read_checkpoint(teacher).cfg, "pre_logits", 32)
    assert ledger.own.teacher_flops == NUM_SAMPLES * forward  # in the first of two epochs
    assert ledger.own.train_flops == 2 * NUM_SAMPLES * model_cost(cfg).train_flops
    source = Ledger.from_dict(load_file(teacher)["meta"]["ledger"])
    assert ledger.total == ledger.with_teachers + source.total and not ledger.is_lower_bound
    read = read_checkpoint(tmp_path / "final.pth")
    assert "distillation" not in read.cfg.model and read.arch == arch_of(STUDENT)
    assert not any(key.startswith("teachers") for key in content["state_dict"])
    build_classifier(read.cfg.model.to_dict()).load_state_dict(read.state_dict, strict=True)


def test_a_hook_wants_teachers(digits, tmp_path):
    cfg = run_config(digits, tmp_path, SMALL)
    cfg.custom_hooks = [dict(type="rbdc_mm.DistillationHook")]
    with pytest.raises(ValueError, match="is a ImageTextPretrainer, wanted"):
        train(cfg)


# Bad input

OTHER_JOINT = copy.deepcopy(SMALL)
OTHER_JOINT["projection"]["out_channels"] = JOINT - 1
RESNET = clip_model(vision=resnet_model(base_channels=2), width=8, heads=1)
BAD = {
    "joint": (OTHER_JOINT, "has joint=11, its student joint=12: .* same texts, make them agree"),
    "vocab": (SMALL | dict(vocab_size=VOCAB + 1), "vocab_size=41, its student vocab_size=40"),
    "context": (SMALL | dict(context_length=8), "has context_length=8, its student context"),
    "wider": (clip_model(width=32, heads=4), r"larger than its student: text_width=32 \(student"),
    "deeper": (clip_model(num_layers=3), r"larger than its student: num_layers=3 \(student 2\)"),
    "family": (RESNET, r"is a ImageTextArch \(ResNetArch\), its student a ImageTextArch \(ViTA"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_teacher_that_does_not_fit(name, tmp_path):
    teacher, message = BAD[name]
    path = tmp_path / "teacher.pth"
    save_checkpoint(path, teacher)
    model = taught(STUDENT, path)
    with pytest.raises(ValueError, match=message):
        build_classifier(model)  # which initialises it
    (problem,) = teacher_problems(Config(dict(model=model)))
    assert str(path) in problem


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(alpha=0), "alpha must be positive, got 0: .* leave distillation out"),
        (dict(feature="neck"), r"no option \['feature'\] in an image-text model: the known ones"),
        (dict(teachers=[]), r"distillation.teachers=\[\]: wanted a list of at least one"),
    ],
)
def test_settings_that_make_no_sense(options, message):
    model = STUDENT | dict(distillation=dict(teachers=["a.pth"]) | options)
    with pytest.raises(ValueError, match=message):
        build_classifier(model)
