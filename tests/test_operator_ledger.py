"""What learning an operator cost: in total (b), wherever it stands; and how a run charges it."""

from __future__ import annotations

from mmengine import Config
from mmpretrain.models.classifiers import ImageClassifier

from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.cost import Charges, Ledger
from rbdc_mm.models.cost_of import model_cost
from rbdc_mm.protocol.launch import train
from rbdc_mm.registry import MODELS
from tiny_runs import NUM_SAMPLES, tiny_config


def trained(run_id, parents=(), *, flops=100, teacher=0) -> Ledger:
    """One iteration of 10 samples."""
    ledger = Ledger.new(run_id, run_id, parents)
    ledger.add_iteration(10, flops, teacher)
    return ledger


def operator(run_id, parents, flops) -> Ledger:
    """A growth that was calibrated, or else two iterations of learning an operator."""
    kind = "grow" if run_id.startswith("grow") else "operator"
    ledger = Ledger.new(run_id, run_id, parents, kind)
    if kind == "grow":
        ledger.add_operator(flops)
    else:
        ledger.add_iteration(10, 0, operator_flops=flops - 1)
        ledger.add_iteration(10, 0, operator_flops=1)
    return ledger


def test_a_model_that_cost_nothing_is_still_no_operator():
    """Its kind says so: its own growth, and what it started from, are its own matter."""
    frozen = trained("frozen", [operator("grow-frozen", [trained("leaf")], 5)], flops=0, teacher=3)
    assert trained("target", [frozen]).with_teachers == 1000


def test_learning_and_calibrating_belong_to_the_run_that_uses_them():
    source = trained("source", [operator("grow-source", [trained("leaf")], 5)])
    learned = operator("ligo", [source], 70)
    assert (learned.target_only, learned.with_teachers, learned.total) == (0, 70, 70 + 2005)
    assert (learned.own.num_samples_seen, learned.own.num_iters) == (20, 2)
    grown = operator("grow-target", [source, learned], 3)
    target = trained("target", [grown, source], flops=400, teacher=20)
    # the source's own growing (5) is the source's matter
    assert (target.target_only, target.with_teachers) == (4000, 4000 + 200 + 3 + 70)
    assert target.total == target.with_teachers + 1000 + 5 + 1000
    summary = target.summary()
    assert summary["with_teachers_pflops"] == 4273 / 1e15
    assert Ledger.from_dict(target.to_dict()).with_teachers == 4273


def test_an_operator_shared_by_two_ways_is_counted_once():
    learned = operator("ligo", [trained("source")], 70)
    one, two = (operator(f"grow-{i}", [learned], i) for i in (1, 2))
    assert trained("target", [one, two, learned]).with_teachers == 1000 + 1 + 2 + 70


def test_an_unknown_source_is_no_operator():
    target = trained("target", [operator("grow", [Ledger.unknown("x", "weights.pth")], 3)])
    assert target.with_teachers == 1003 and target.is_lower_bound


@MODELS.register_module()
class ToyOperator(ImageClassifier):
    """Stands in for LiGO: a target that costs 1000 FLOPs a step more."""

    def __init__(self, target, source, **kwargs):
        own = {k: v for k, v in target.items() if k not in ("type", "_scope_")}
        super().__init__(**own, **kwargs)

    def training_charges(self, cfg, image_size):
        target = Config(dict(model=cfg.model.target, default_scope="mmpretrain"))
        cost = model_cost(target, image_size)
        bill = dict(operator=cost.train_flops, operator_per_iteration=1000)
        return Charges(cost, train=0, **bill, kind="operator")


def test_a_run_that_learns_an_operator(digits, tmp_path):
    source = tiny_config(digits, tmp_path / "source", epochs=1)
    source.param_scheduler = None
    train(source)
    cfg = tiny_config(digits, tmp_path / "operator", epochs=2)
    target = cfg.model.to_dict()
    path = str(tmp_path / "source" / "final.pth")
    cfg.model = dict(type="rbdc_mm.ToyOperator", target=target, source=path)
    train(cfg)
    ledger = Ledger.from_dict(load_file(tmp_path / "operator" / "final.pth")["meta"]["ledger"])
    flops = model_cost(Config(dict(model=target, default_scope="mmpretrain")), 32).train_flops
    own, num_iters = ledger.own, 2 * NUM_SAMPLES // 32
    assert own.kind == "operator" and own.train_flops == own.teacher_flops == 0
    assert own.operator_flops == 2 * NUM_SAMPLES * flops + num_iters * 1000
    assert (own.num_samples_seen, own.num_iters) == (2 * NUM_SAMPLES, num_iters)
    assert ledger.target_only == 0 and ledger.with_teachers == own.operator_flops
