"""LiGO: maps that start as copies, learn on the task loss, and make the target's weights."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine import Config

from checkpoint_helpers import save_checkpoint
from helpers import build_classifier, randomise, vit_model
from rbdc_mm.arch import resolve
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.classifiers import logits
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.cost import Ledger
from rbdc_mm.cost.counter import trace_flops
from rbdc_mm.growth.ligo import ligo, ligo_maps, materialisation_flops
from rbdc_mm.models import LiGOClassifier
from rbdc_mm.models.cost_of import build_on_meta, model_cost
from rbdc_mm.protocol.launch import train
from rbdc_mm.protocol.learning_stage import learning_of
from rbdc_mm.protocol.run import make_plan, prepare, run_protocol
from tiny_runs import tiny_config

SMALL = dict(embed_dims=16, num_heads=2, num_layers=2)
WIDE = dict(embed_dims=32, num_heads=4, num_layers=2)
DEEP = dict(embed_dims=24, num_heads=3, num_layers=5)
EVERYTHING = dict(layer_scale_init_value=0.1, head=dict(hidden_dim=8), qkv_bias=False)


def images(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(3)).to(dtype)


def larger(size: dict, **more) -> dict:
    """The target's model; its head's hidden layer grows with it."""
    if "head" in more:
        more["head"] = dict(hidden_dim=more["head"]["hidden_dim"] * size["embed_dims"] // 16)
    return vit_model(**size, **more)


@pytest.fixture
def source(tmp_path) -> str:
    save_checkpoint(tmp_path / "source.pth", vit_model(**SMALL))
    return str(tmp_path / "source.pth")


@pytest.mark.parametrize("more", [{}, EVERYTHING], ids=["plain", "everything"])
def test_starts_as_the_source(more):
    """At an integer ratio, the same depth and without noise, to float rounding."""
    small = randomise(build_classifier(vit_model(**SMALL, **more)), 1).double().eval()
    large = build_classifier(larger(WIDE, **more)).double().eval()
    arches = arch_of(larger(WIDE, **more)), arch_of(vit_model(**SMALL, **more))
    state = ligo.apply(arches[0], arches[1:], [small.state_dict()], ["a"], noise=0)
    large.load_state_dict(state, strict=True)
    with torch.no_grad():
        wanted, got = (logits(model, images(torch.float64)) for model in (small, large))
    assert float((got - wanted).abs().max() / wanted.abs().max()) < 1e-9


@pytest.mark.parametrize("more", [{}, EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize("size", [WIDE, DEEP, SMALL], ids=["wide", "deep", "same"])
def test_gradient_reaches_every_map_and_flops_are_the_formula(size, more):
    """Counted on the real products, forward and backward."""
    small = randomise(build_classifier(vit_model(**SMALL, **more)), 1)
    target, source = arch_of(larger(size, **more)), arch_of(vit_model(**SMALL, **more))
    maps = {k: v.requires_grad_() for k, v in ligo_maps(target, source).items()}
    with trace_flops() as trace:
        state = ligo.apply(target, [source], [small.state_dict()], ["a"], learned=maps)
        generator = torch.Generator().manual_seed(0)
        sum(
            (v * torch.randn(v.shape, generator=generator)).sum() for v in state.values()
        ).backward()
    trace.check()
    assert trace.total_flops == materialisation_flops(target, source)
    assert all(v.grad is not None and bool((v.grad != 0).all()) for v in maps.values())
    resolve(target, {k: v.shape for k, v in state.items()}, "ligo")


def test_depth_mixes_layers_by_module():
    target, source = (arch_of(vit_model(**size)) for size in (dict(SMALL, num_layers=3), SMALL))
    state = randomise(build_classifier(vit_model(**SMALL)), 1).state_dict()
    maps = ligo_maps(target, source, noise=0)
    assert torch.equal(maps["depth.ffn_layers_0_0"], torch.eye(2)[[0, 1, 0]])
    maps["depth.attn_qkv_1"] = torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.0, 1.0]])
    grown = ligo.apply(target, [source], [state], ["a"], learned=maps)
    key = "backbone.layers.{}.attn.qkv.weight"
    (q0, k0, v0), (q1, k1, v1) = (state[key.format(n)].chunk(3) for n in range(2))
    wanted = torch.cat([q1, 0.25 * k0 + 0.75 * k1, v1])
    torch.testing.assert_close(grown[key.format(1)], wanted)
    torch.testing.assert_close(grown[key.format(2)], torch.cat([q0, k1, v0]))


def test_noise_lets_copies_part():
    target, source = (arch_of(vit_model(**size)) for size in (WIDE, SMALL))
    maps, other = (ligo_maps(target, source, seed=seed) for seed in (0, 1))
    for name, b in maps.items():
        if name.startswith("width."):
            num = b.shape[1]
            assert torch.equal(b[:num], torch.eye(num)) and not torch.equal(b, other[name])
            off = (b[num:] - b[num:].round()).norm(dim=1)
            assert 0.005 < float(off.mean()) < 0.02
    again = ligo_maps(target, source, seed=0)
    assert all(torch.equal(maps[k], again[k]) for k in maps)


def test_model_holds_the_maps_alone(source, tmp_path):
    model = LiGOClassifier(source, vit_model(**WIDE), seed=3).eval()
    model.init_weights()
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}
    assert set(model.state_dict()) == set(
        ligo_maps(arch_of(vit_model(**WIDE)), arch_of(vit_model(**SMALL)))
    )
    plain = build_classifier(vit_model(**WIDE)).eval()
    plain.load_state_dict(model.grown(), strict=True)
    averaged = deepcopy(model)  # as EMAHook does
    with torch.no_grad():
        assert torch.equal(model(images()), logits(plain, images()))
        assert torch.equal(averaged(images()), logits(plain, images()))
        averaged.width["heads_0"].mul_(2)
        assert torch.equal(model(images()), logits(plain, images()))
    assert model.train().flops_per_iteration > 0 and model._network[0].training is False
    with torch.autocast("cpu", torch.bfloat16):
        assert all(v.dtype == torch.float32 for v in model.grown().values())
        assert model(images()).dtype == torch.bfloat16


def test_model_trains_as_the_target_would(source):
    """Its batch augments, its preprocessing, its training mode."""
    target = vit_model(**WIDE) | dict(train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8)]))
    means = dict(type="ClsDataPreprocessor", mean=[1.0] * 3, std=[2.0] * 3, num_classes=10)
    model = LiGOClassifier(source, target, data_preprocessor=means)
    assert model.data_preprocessor.batch_augments is not None
    assert model.data_preprocessor.mean.flatten().tolist() == [1.0] * 3
    model.train()(images())
    assert model._network[0].training


def test_build_on_meta_reads_nothing():
    cfg = dict(
        type="rbdc_mm.LiGOClassifier", source="nowhere.pth", source_model=vit_model(**SMALL),
        target=vit_model(**WIDE),
    )  # fmt: skip
    model = build_on_meta(cfg, "mmpretrain")
    assert all(p.is_meta for p in model.parameters())


def test_bad_input_is_one_error(source, tmp_path):
    small, wide = vit_model(**SMALL), vit_model(**WIDE)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        LiGOClassifier("nowhere.pth", wide)
    with pytest.raises(ValueError, match="is wider in residual"):
        LiGOClassifier(source, vit_model(embed_dims=8, num_heads=1, num_layers=2))
    with pytest.raises(ValueError, match="'FeatureDistillationClassifier': LiGO grows a plain"):
        LiGOClassifier(source, wide | dict(type="rbdc_mm.FeatureDistillationClassifier"))
    with pytest.raises(ValueError, match="noise=-1: wanted 0 or more"):
        LiGOClassifier(source, wide, noise=-1)
    other = LiGOClassifier(source, vit_model(**DEEP), source_model=vit_model(**DEEP))
    with pytest.raises(ValueError, match=r"source\.pth does not fit ViTArch\(embed_dims=24"):
        other.init_weights()
    maps = ligo_maps(arch_of(vit_model(**DEEP)), arch_of(small))
    state = build_classifier(small).state_dict()
    with pytest.raises(
        ValueError, match=r"depth.ffn_layers_0_0: \(5, 2\) \(wanted \(2, 2\)\).*learn them with"
    ):
        ligo.apply(arch_of(wide), [arch_of(small)], [state], ["a.pth"], learned=maps)
    with pytest.raises(ValueError, match=r"backbone.pos_embed: .* \(wanted none\)"):
        ligo.apply(arch_of(wide), [arch_of(small)], [state], ["a.pth"], learned=state)


def widened(model: Any) -> dict:
    """Twice as wide a target as tiny_config's."""
    model = deepcopy(model.to_dict())
    model["backbone"]["arch"].update(embed_dims=32, num_heads=8, feedforward_channels=64)
    model["head"]["in_channels"] = 32
    return model


def learning_config(digits: Path, work_dir: Path, source: Path, steps: int) -> Config:
    """Learns how to grow ``source`` from 576 digits, 18 steps an epoch."""
    cfg = tiny_config(digits, work_dir)
    target = widened(cfg.model)
    cfg._cfg_dict.pop("model")
    cfg.model = dict(type="rbdc_mm.LiGOClassifier", source=str(source), target=target)
    cfg.train_dataloader.dataset.indices = list(range(576))
    cfg.train_cfg = dict(by_epoch=False, max_iters=steps)
    for name in ("val", "test"):
        for part in ("cfg", "dataloader", "evaluator"):
            cfg[f"{name}_{part}"] = None
    cfg.optim_wrapper = dict(optimizer=dict(type="AdamW", lr=2e-2))
    cfg.param_scheduler, cfg.custom_hooks = None, []
    cfg.default_hooks.checkpoint = dict(type="CheckpointHook", by_epoch=False, interval=steps)
    cfg.log_processor = dict(by_epoch=False, window_size=1)
    cfg.default_hooks.logger.interval = 1
    return cfg


def test_learns_in_a_runner(digits, tmp_path):
    """A source is trained, maps are learned on the task loss, a target is made by them."""
    first = tiny_config(digits, tmp_path / "source", epochs=1)
    first.param_scheduler = None
    train(first)
    source, learned = (tmp_path / name / "final.pth" for name in ("source", "learn"))
    before, steps = source.read_bytes(), 18
    cfg = learning_config(digits, tmp_path / "learn", source, steps)
    train(cfg)
    assert source.read_bytes() == before
    (log,) = (tmp_path / "learn").glob("*/vis_data/scalars.json")
    losses = [json.loads(line)["loss"] for line in log.read_text().splitlines()]
    assert len(losses) == steps and sum(losses[-5:]) < sum(losses[:5]) - 0.5, losses

    final, target = load_file(learned), widened(first.model)
    model = LiGOClassifier(str(source), target)
    model.load_state_dict(final["state_dict"], strict=True)
    out = tmp_path / "grown.pth"
    done = grow_checkpoint("ligo", [source], out, target_model=target, learned=learned)
    assert done["exactness"] == "not exact: the maps are learned"
    grown = load_file(out)
    assert all(torch.equal(grown["state_dict"][k], v) for k, v in model.grown().items())

    alone = Config(dict(cfg._cfg_dict.to_dict(), model=target))
    flops = steps * (32 * model_cost(alone).train_flops + model.flops_per_iteration)
    ledger = Ledger.from_dict(final["meta"]["ledger"])
    assert ledger.own.operator_flops == ledger.own.all_flops == flops
    of_source = Ledger.from_dict(load_file(source)["meta"]["ledger"]).total
    assert Ledger.from_dict(grown["meta"]["ledger"]).total == flops + of_source


def test_protocol(digits, tmp_path, monkeypatch):
    """Source, learning, target; interrupted while it learns, it goes on as if it never was."""
    cfg = tiny_config(digits, tmp_path / "work")
    small = cfg.model.backbone.arch.to_dict()
    cfg.model = widened(cfg.model)
    cfg.method, cfg.runner_type = "ligo", "rbdc_mm.ProtocolRunner"
    cfg.protocol = dict(
        type="Grow", sources=[small], operator="ligo",
        operator_options=dict(steps=3, lr=1e-2), policy=dict(type="epochs", epochs=(1, 1)),
    )  # fmt: skip
    plan = make_plan(cfg)
    assert [s.name for s in plan.stages] == ["source-0", "operator-1", "target"]
    with monkeypatch.context() as patch:
        calls, grown = [], LiGOClassifier.grown

        def stops_at_the_third(model):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return grown(model)

        patch.setattr(LiGOClassifier, "grown", stops_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            run_protocol(deepcopy(cfg))
    run_protocol(deepcopy(cfg))
    final = {s.name: load_file(tmp_path / "work" / s.name / "final.pth") for s in plan.stages}
    ledger = Ledger.from_dict(final["target"]["meta"]["ledger"])
    assert ledger.total == plan.flops and not ledger.is_lower_bound
    assert ledger.with_teachers == plan.flops - plan.stages[0].flops

    whole = prepare(cfg, plan)[1].cfg
    whole.work_dir = str(tmp_path / "whole")
    train(whole)
    maps = load_file(tmp_path / "whole" / "final.pth")["state_dict"]
    learned = final["operator-1"]["state_dict"]
    assert all(torch.equal(learned[k], v) for k, v in maps.items())
    arches = arch_of(cfg.model), plan.stages[0].arch
    wanted = ligo.apply(
        *arches[:1], arches[1:], [final["source-0"]["state_dict"]], ["a"], learned=maps
    )
    grown = load_file(tmp_path / "work" / "target" / "grown.pth")["state_dict"]
    assert all(torch.equal(grown[k], v) for k, v in wanted.items())


def test_a_resnet_is_one_error_before_anything(digits, tmp_path):
    cfg = tiny_config(digits, tmp_path, twin="resnet18")
    cfg.protocol = dict(type="Grow", sources=[dict(base_channels=4)], operator="ligo")
    with pytest.raises(ValueError, match="ligo wants stages whose blocks are all alike"):
        make_plan(cfg)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(steps=0), "operator_options.steps=0: 'ligo' learns its maps, wanted a whole number"),
        (dict(steps=2.5), r"operator_options.steps=2\.5"),
        (dict(lr=0), "operator_options.lr=0: wanted a number above 0"),
        (
            dict(colour=1),
            r"'ligo' has no option .'colour'.: the known ones are .'lr', 'noise', 'start', 'steps'",
        ),
    ],
)
def test_bad_options_of_the_protocol(options, message):
    with pytest.raises(ValueError, match=message):
        learning_of("ligo", options)
