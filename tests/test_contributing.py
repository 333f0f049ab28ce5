"""CONTRIBUTING.md's examples are run as they stand, each as a module of its own."""

from __future__ import annotations

import re
import sys
from importlib import import_module

import pytest
import torch
from mmengine import Config

from conftest import ROOT
from helpers import build_classifier, load_tool, randomise
from rbdc_mm import names
from rbdc_mm.arch import ARCHS, resolve
from rbdc_mm.checkpoint.arch_of import arch_of, model_with_arch
from rbdc_mm.checkpoint.classifiers import logits
from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.data import check_dataset_cfg
from rbdc_mm.growth import OPERATORS, coupled_arch
from rbdc_mm.protocol.catalog import PROTOCOLS
from rbdc_mm.protocol.run import run_protocol
from rbdc_mm.report import collect
from tiny_runs import record, tiny_config

BLOCKS = re.findall(
    r"```python\n# (\w+)\.py\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S
)
NAMES = ("mixer", "tiled", "half_first", "stripes")


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The modules by name; what they register is taken out again at the end."""
    folder = tmp_path_factory.mktemp("examples")
    assert tuple(name for name, _ in BLOCKS) == NAMES
    for name, text in BLOCKS:
        (folder / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    catalogs = [(catalog, dict(catalog)) for catalog in (ARCHS, OPERATORS, PROTOCOLS)]
    yield {name: import_module(name) for name in NAMES}
    sys.path.remove(str(folder))
    for catalog, before in catalogs:
        catalog.clear()
        catalog.update(before)
    for name in NAMES:
        del sys.modules[name]


def mixer(embed_dims=8, num_layers=2, tokens=6, channels=16) -> dict:
    arch = dict(embed_dims=embed_dims, num_layers=num_layers, tokens_mlp_dims=tokens,
                channels_mlp_dims=channels)  # fmt: skip
    return dict(
        type="ImageClassifier",
        backbone=dict(type="MlpMixer", arch=arch, img_size=32, patch_size=8),
        neck=dict(type="GlobalAveragePooling", dim=1),
        head=dict(type="LinearClsHead", num_classes=10, in_channels=embed_dims,
                  loss=dict(type="CrossEntropyLoss")),
    )  # fmt: skip


SMALL, LARGE = mixer(), mixer(16, 4, 9, 24)


def gap(parents, target, state) -> float:
    """Largest difference from the mean of the parents' logits, relative to the largest."""
    model = build_classifier(target).double().eval()
    model.load_state_dict(state, strict=True)
    x = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = sum(logits(parent, x) for parent in parents) / len(parents)
        return float((logits(model, x) - wanted).abs().max() / wanted.abs().max())


def made(model, seed=1):
    return randomise(build_classifier(model), seed).double().eval()


@pytest.mark.parametrize("operator", ["net2net", "lemon", "tiled", "embed", "stack", "bert2bert"])
def test_a_family_from_outside_is_as_exact_as_declared(examples, operator):
    target = mixer(8, 4) if operator == "stack" else LARGE
    source, chosen = made(SMALL), OPERATORS[operator]
    small, large = arch_of(SMALL), arch_of(target)
    resolve(small, {k: v.shape for k, v in source.state_dict().items()}, "the table")
    options = dict(noise=0) if operator == "net2net" else {}
    init = build_classifier(target).state_dict()
    declared = chosen.exactness(large, [small], ["a"], **options)
    state = chosen.apply(large, [small], [source.state_dict()], ["a"], init, **options)
    assert declared.exact == (gap([source], target, state) < 1e-9), declared
    assert declared.exact == (operator in ("net2net", "lemon", "tiled"))


def test_what_its_parents_share_is_no_exact_coupling(examples):
    parents = [made(SMALL, seed) for seed in (1, 2)]
    arches, names = [arch_of(SMALL)] * 2, ["a", "b"]
    target = coupled_arch(arches, names)
    declared = OPERATORS["couple"].exactness(target, arches, names)
    assert "token_mix" in str(declared) and "LayerNorm" in str(declared)
    states = [parent.state_dict() for parent in parents]
    state = OPERATORS["couple"].apply(target, arches, states, names)
    assert gap(parents, model_with_arch(SMALL, target), state) > 1e-3


def test_an_operator_from_outside_acts_through_the_tool(examples, tmp_path, capsys):
    """Its module is imported by the target's config alone."""
    from checkpoint_helpers import save_checkpoint

    del OPERATORS["tiled"], sys.modules["tiled"]
    save_checkpoint(tmp_path / "small.pth", SMALL, 0)
    config = Config(dict(model=LARGE, custom_imports=dict(imports=["tiled"])))
    config.dump(tmp_path / "large.py")
    out = tmp_path / "large.pth"
    command = ["tiled", "--parents", str(tmp_path / "small.pth"), "--target-config",
               str(tmp_path / "large.py"), "--out", str(out)]  # fmt: skip
    assert load_tool("grow").main(command) == 0
    assert "exact: logits equal" in capsys.readouterr().out
    assert read_checkpoint(out).arch == arch_of(LARGE)


def test_a_protocol_from_outside_trains(examples, digits, tmp_path):
    cfg = tiny_config(digits, tmp_path / "work", twin="resnet18")
    cfg.method, cfg.runner_type = "half_first", "rbdc_mm.ProtocolRunner"
    cfg.protocol = dict(type="HalfFirst", policy=dict(type="epochs", epochs=(1, 1)))
    run_protocol(cfg)
    assert record(tmp_path / "work" / "target")["finished"]
    ledger = record(tmp_path / "work" / "target")["ledger"]
    assert len(ledger["entries"]) > 2  # half and its growth are charged


def test_a_family_from_outside_goes_through_rbdc_to_its_row(examples, digits, tmp_path):
    """2 -> 1 on digits: trained, coupled, trained on, charged, and called by its name in tables."""
    cfg = tiny_config(digits, tmp_path / "work", twin="resnet18")
    model = mixer(16, 2, 12, 32)
    cfg.model = model | dict(data_preprocessor=cfg.model.get("data_preprocessor"))
    cfg.method, cfg.runner_type = "rbdc", "rbdc_mm.ProtocolRunner"
    policy = dict(type="epochs", epochs=(1, 1))
    cfg.protocol = dict(type="RBDC", depth=1, branching=2, policy=policy)
    run_protocol(cfg)
    rows = collect([tmp_path / "work"]).rows
    target = rows[rows["role"] == "target"].iloc[0]
    assert target["architecture"] == "Mixer 16x2"
    assert set(rows[rows["role"] == "leaf"]["architecture"]) == {"Mixer 8x2"}
    assert target["total_pflops"] > target["own_pflops"] > 0


def test_an_entry_point_is_loaded_when_a_name_is_unknown(monkeypatch):
    """And its module may register that name."""
    catalog = names.Catalog("thing")
    loads = []

    class EntryPoint:
        def load(self):
            loads.append(True)
            catalog.register("theirs")("a thing")

    names.load_plugins.cache_clear()
    monkeypatch.setattr(
        names, "entry_points", lambda group: [EntryPoint()] * (group == names.PLUGINS)
    )
    assert catalog["theirs"] == "a thing"
    with pytest.raises(ValueError, match="unknown thing 'nobodys': the known ones are 'theirs'"):
        catalog["nobodys"]
    assert loads == [True]  # once
    names.load_plugins.cache_clear()


def test_a_data_set_from_outside(examples, tmp_path):
    make = examples["stripes"].make_stripes
    assert make(tmp_path / "stripes").status == "made"
    assert make(tmp_path / "stripes").status == "reused"
    data = dict(type="CustomDataset", data_root=str(tmp_path / "stripes"), data_prefix="train")
    check_dataset_cfg(data)
