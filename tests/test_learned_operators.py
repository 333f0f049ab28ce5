"""A learned operator of another package works in ``Grow``; what it learns by, it is applied by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine import Config

from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.cost import Ledger
from rbdc_mm.growth import OPERATORS, Operator
from rbdc_mm.growth.ligo import ligo, ligo_maps
from rbdc_mm.models import LiGOClassifier
from rbdc_mm.models.cost_of import model_cost
from rbdc_mm.protocol.run import make_plan, prepare, run_protocol
from rbdc_mm.registry import MODELS
from tiny_runs import tiny_config

STEPS, EXTRA = 2, 1000


def _shrunk(target, source, *, scale: float = 1.0, learned=None):
    """Dense maps, those of widths ``scale`` times what is learned."""
    if scale <= 0:
        raise ValueError(f"scale={scale}: wanted a number above 0")
    maps = ligo_maps(target, source, noise=0.0) if learned is None else learned
    scaled = {k: scale * v if k.startswith("width.") else v for k, v in maps.items()}
    return ligo.function(target, source, learned=scaled, start="authors")


SHRUNK = Operator("shrunk", _shrunk, "this test", moves="one", learned_by="rbdc_mm.ShrunkLearner")


@MODELS.register_module()
class ShrunkLearner(LiGOClassifier):
    """Learns ``shrunk``, at 1000 FLOPs a step more than LiGO."""

    def __init__(self, source, target, *, scale=1.0, **kwargs):
        super().__init__(source, target, noise=0.0, **kwargs)
        self._scale = scale

    def training_charges(self, cfg, image_size):
        charges = super().training_charges(cfg, image_size)
        return replace(charges, operator_per_iteration=charges.operator_per_iteration + EXTRA)

    def grown(self):
        source, maps = self._source, dict(self.named_parameters())
        given = dict(learned=maps, scale=self._scale)
        return SHRUNK.apply(self._target_arch, [source.arch], [source.state()], ["a"], **given)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(OPERATORS, SHRUNK.name, SHRUNK)


def grow_config(digits: Path, work_dir: Path, operator: str, **options) -> Config:
    """From tiny_config's model to twice its width, an epoch each."""
    cfg = tiny_config(digits, work_dir)
    small = cfg.model.backbone.arch.to_dict()
    cfg.model.backbone.arch.update(embed_dims=32, num_heads=8, feedforward_channels=64)
    cfg.model.head.in_channels = 32
    cfg.runner_type, cfg.method = "rbdc_mm.ProtocolRunner", operator
    cfg.protocol = dict(
        type="Grow", sources=[small], operator=operator, operator_options=options,
        policy=dict(type="epochs", epochs=(1, 1)),
    )  # fmt: skip
    return cfg


def test_a_learned_operator_from_outside(digits, tmp_path):
    cfg = grow_config(digits, tmp_path, "shrunk", steps=STEPS, scale=0.5)
    plan = make_plan(cfg)
    assert [stage.name for stage in plan.stages] == ["source-0", "operator-1", "target"]
    run_protocol(cfg)
    final = {stage.name: load_file(tmp_path / stage.name / "final.pth") for stage in plan.stages}
    ledger = Ledger.from_dict(final["target"]["meta"]["ledger"])
    assert ledger.total == plan.flops and not ledger.is_lower_bound

    own = Ledger.from_dict(final["operator-1"]["meta"]["ledger"]).own
    plain = dict(model=cfg.model.to_dict(), default_scope="mmpretrain")
    source = str(tmp_path / "source-0" / "final.pth")
    ligos = LiGOClassifier(source, plain["model"]).flops_per_iteration
    batch = cfg.train_dataloader.batch_size
    per_step = batch * model_cost(Config(plain), 32).train_flops + ligos + EXTRA
    assert (own.kind, own.operator_flops, own.train_flops) == ("operator", STEPS * per_step, 0)

    arches, state = (arch_of(cfg.model), plan.stages[0].arch), final["source-0"]["state_dict"]
    learned = final["operator-1"]["state_dict"]
    wanted, other = (
        SHRUNK.apply(arches[0], arches[1:], [state], ["a"], learned=learned, scale=scale)
        for scale in (0.5, 1.0)
    )
    grown = load_file(tmp_path / "target" / "grown.pth")["state_dict"]
    assert all(torch.equal(grown[k], v) for k, v in wanted.items())
    assert not all(torch.equal(grown[k], v) for k, v in other.items())


def test_its_options_are_checked_before_anything(digits, tmp_path):
    with pytest.raises(
        ValueError, match=r"'shrunk' has no option .'noise'.*'lr', 'scale', 'steps'"
    ):
        make_plan(grow_config(digits, tmp_path, "shrunk", noise=0.1))
    with pytest.raises(ValueError, match="scale=-1: wanted a number above 0"):
        make_plan(grow_config(digits, tmp_path, "shrunk", scale=-1))


def test_ligo_is_applied_from_the_start_that_it_learned_from(digits, tmp_path):
    """With another, A would be tied to B in another way than it was learned."""
    cfg = grow_config(digits, tmp_path, "ligo", start="authors")
    prepared = {Path(job.cfg.work_dir).name: job.cfg for job in prepare(cfg, make_plan(cfg))}
    assert prepared["operator-1"].model.start == "authors"
    (hook,) = (h for h in prepared["target"].custom_hooks if "GrowthHook" in str(h.type))
    assert hook.start == "authors"
