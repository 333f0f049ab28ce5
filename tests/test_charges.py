"""A model of one's own says what training it costs, and is charged that by unchanged hooks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine import Config
from mmengine.model import BaseModel
from torch import nn

from rbdc_mm.checkpoint.classifiers import build_classifier
from rbdc_mm.checkpoint.files import load_file, read_checkpoint
from rbdc_mm.cost import Charges, Ledger, SampleCost, count_flops
from rbdc_mm.models.charges import charges_of
from rbdc_mm.models.cost_of import build_on_meta, model_cost, teacher_forward_flops
from rbdc_mm.protocol.launch import train
from rbdc_mm.registry import MODELS
from tiny_runs import NUM_SAMPLES, tiny_config

NUM_CLASSES = 10


@MODELS.register_module()
class OwnPretrainer(BaseModel):
    """Image embeddings move towards those of their captions (one a digit), and of a teacher."""

    def __init__(self, backbone, teacher, data_preprocessor=None):
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.project = nn.Linear(backbone["arch"]["embed_dims"], NUM_CLASSES)
        self.texts = nn.Parameter(torch.eye(NUM_CLASSES))
        self._path, self._teacher = teacher, ()  # a tuple, lest it become a submodule

    def forward(self, inputs, data_samples=None, mode="tensor"):
        embedded = self.project(self.backbone(inputs)[-1])
        if mode != "loss":
            return embedded
        if not self._teacher:
            read = read_checkpoint(self._path)
            self._teacher = (build_classifier(read.cfg.model).eval(),)
            self._teacher[0].load_state_dict(read.state_dict)
        with torch.no_grad():
            taught = self._teacher[0](inputs)
        labels = torch.cat([sample.gt_label for sample in data_samples])
        pairs = (("texts", self.texts[labels]), ("teacher", taught))
        return {
            f"loss_{name}": (1 - F.cosine_similarity(embedded, target)).mean()
            for name, target in pairs
        }

    def training_charges(self, cfg, image_size):
        images = torch.empty(2, 3, *image_size, device="meta")
        copy = build_on_meta(cfg.model, "mmpretrain")
        cost = count_flops(copy, lambda model: model(images), num_samples=2)
        teacher = teacher_forward_flops(read_checkpoint(self._path).cfg, "pre_logits", image_size)
        return Charges(cost, train=cost.train_flops, teacher=teacher, teachers=(self._path,))


def pretraining(digits: Path, work_dir: Path, teacher: str) -> Config:
    cfg = tiny_config(digits, work_dir, epochs=2)
    cfg.model = dict(
        type="rbdc_mm.OwnPretrainer",
        backbone=cfg.model.backbone.to_dict(),
        teacher=teacher,
        data_preprocessor=dict(type="mmpretrain.ClsDataPreprocessor", mean=[127.5] * 3,
                               std=[127.5] * 3),
    )  # fmt: skip
    for key in ("val_cfg", "val_dataloader", "val_evaluator"):
        cfg[key] = cfg[key.replace("val", "test", 1)] = None
    cfg.train_cfg.pop("val_interval")
    cfg.default_hooks.checkpoint.pop("save_best", None)
    cfg.custom_hooks = []
    return cfg


@pytest.fixture(scope="module")
def teacher(digits, tmp_path_factory) -> str:
    cfg = tiny_config(digits, tmp_path_factory.mktemp("teacher"), epochs=1)
    cfg.param_scheduler = None
    train(cfg)
    return str(Path(cfg.work_dir) / "final.pth")


def test_an_image_text_pretrainer_with_a_teacher(digits, tmp_path, teacher):
    """Its projection costs what a classifier's last layer does: what to expect is known."""
    train(pretraining(digits, tmp_path, teacher))
    ledger = Ledger.from_dict(load_file(tmp_path / "final.pth")["meta"]["ledger"])
    classifier = model_cost(tiny_config(digits, tmp_path), 32)
    forward = teacher_forward_flops(read_checkpoint(teacher).cfg, "pre_logits", 32)
    own, seen = ledger.own, 2 * NUM_SAMPLES
    charged = own.train_flops, own.teacher_flops, own.operator_flops
    assert charged == (seen * classifier.train_flops, seen * forward, 0)
    assert (own.kind, own.num_samples_seen, own.num_iters) == ("train", seen, seen // 32)
    source = Ledger.from_dict(load_file(teacher)["meta"]["ledger"])
    assert own.parents == (source.run_id,)
    assert ledger.total == ledger.with_teachers + source.total and not ledger.is_lower_bound
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["train_flops_per_sample"] == classifier.train_flops
    assert record["macs_per_sample"] == classifier.macs_per_sample


MODEL = SampleCost(1, 1, 10, 20)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (lambda: None, "OwnPretrainer.training_charges returned None: wanted .*Charges"),
        (lambda: 30, "training_charges returned 30: wanted .*Charges"),
        (lambda: Charges(MODEL, train=-1), "Charges.train must be a whole number.* got -1"),
        (lambda: Charges(MODEL, 30, teacher=1.5), "Charges.teacher must be a whole .* got 1.5"),
        (lambda: Charges(MODEL, None), "Charges.train must be a whole number.* got None"),
        (lambda: Charges(30, 30), "Charges.model must be a SampleCost, got 30"),
        (lambda: Charges(MODEL, 0, kind="grow"), "Charges.kind must be one of .* got 'grow'"),
        (lambda: Charges(MODEL, 30, kind="operator"), "Charges.train=30 for kind='operator'"),
    ],
)
def test_what_is_no_bill_is_one_error(monkeypatch, said, message):
    monkeypatch.setattr(OwnPretrainer, "__init__", lambda self: nn.Module.__init__(self))
    monkeypatch.setattr(OwnPretrainer, "training_charges", lambda *_: said())
    with pytest.raises(ValueError, match=message):
        charges_of(OwnPretrainer(), Config(), (32, 32))


def test_it_comes_before_the_first_step(digits, tmp_path, teacher, monkeypatch):
    monkeypatch.setattr(OwnPretrainer, "training_charges", lambda *_: -1)
    monkeypatch.setattr(OwnPretrainer, "forward", lambda *_, **__: pytest.fail("a step"))
    with pytest.raises(ValueError, match="training_charges returned -1"):
        train(pretraining(digits, tmp_path, teacher))
