"""Growing checkpoint files: what comes out, what it says of itself, and every kind of bad input."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.runner import Runner

from checkpoint_helpers import image_folder, save_checkpoint, save_config
from helpers import resnet_model, vit_model
from rbdc_mm.checkpoint import files
from rbdc_mm.checkpoint.arch_of import arch_of, model_with_arch
from rbdc_mm.checkpoint.classifiers import image_batches
from rbdc_mm.checkpoint.files import load_file, read_checkpoint
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.cost import Ledger
from rbdc_mm.models.cost_of import classifier_cost
from rbdc_mm.whole_files import write_text

MODELS = {
    "vit": vit_model(embed_dims=16, num_heads=2, num_layers=2),
    "resnet": resnet_model(18, base_channels=4),
}
VIT = MODELS["vit"]


@pytest.fixture
def pair(tmp_path):
    """Paths of two tiny ViT parents."""
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for seed, path in enumerate(paths, 1):
        save_checkpoint(path, VIT, seed)
    return paths


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_grown_checkpoint_loads_as_any_other(name, tmp_path):
    from mmpretrain.apis import get_model

    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    parents = [save_checkpoint(path, MODELS[name], seed) for seed, path in enumerate(paths, 1)]
    out = tmp_path / "sub" / "grown.pth"
    grow_checkpoint("couple", paths, out)
    content = torch.load(out, weights_only=True)  # nothing but plain types and tensors
    cfg = Config.fromstring(content["meta"]["cfg"], ".py")

    model = get_model(cfg, pretrained=str(out)).eval()
    assert set(model.state_dict()) == set(content["state_dict"])
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, content["state_dict"][key]), key

    runner = Runner(
        model=cfg.model,
        work_dir=str(tmp_path / "run"),
        load_from=str(out),
        default_scope="mmpretrain",
        experiment_name=f"loads_{name}",
        log_level="WARNING",
    )
    runner.load_or_resume()
    for key, tensor in runner.model.state_dict().items():
        assert torch.equal(tensor.cpu(), content["state_dict"][key]), key

    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    gap = (model(x) - (parents[0](x) + parents[1](x)) / 2).abs().max()
    assert (gap < 1e-4) == (name == "resnet")  # exact, but for LayerNorm


def test_block_norm_file_imports_our_classes(pair, tmp_path):
    out = tmp_path / "grown.pth"
    grow_checkpoint("couple", pair, out, norm="block")
    cfg = read_checkpoint(out).cfg
    assert cfg.custom_imports.imports == ["rbdc_mm.models"]
    assert cfg.model.backbone.norm_cfg == dict(
        type="rbdc_mm.BlockLayerNorm", blocks=[16, 16], eps=1e-6
    )
    grow_checkpoint("couple", pair, out)
    assert "custom_imports" not in read_checkpoint(out).cfg


def ledgers_with_a_common_source():
    source = Ledger.new("source", "source")
    source.add_iteration(10, 100)
    parents = [Ledger.new(name, name, [source]) for name in ("first", "second")]
    for parent in parents:
        parent.add_iteration(1, 10)
    return parents


def test_ledger_sums_parents_and_counts_a_common_source_once(tmp_path):
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for seed, (path, ledger) in enumerate(zip(paths, ledgers_with_a_common_source(), strict=True)):
        save_checkpoint(path, VIT, seed, ledger=ledger)
    grow_checkpoint("couple", paths, tmp_path / "c.pth")
    ledger = Ledger.from_dict(load_file(tmp_path / "c.pth")["meta"]["ledger"])
    assert (ledger.target_only, ledger.with_teachers, ledger.total) == (0, 0, 1000 + 10 + 10)
    assert not ledger.is_lower_bound
    assert ledger.own.parents == ("first", "second")


def test_parent_without_ledger_makes_the_total_a_lower_bound(tmp_path):
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    save_checkpoint(paths[0], VIT, 1, ledger=ledgers_with_a_common_source()[0])
    save_checkpoint(paths[1], VIT, 2)
    grow_checkpoint("couple", paths, tmp_path / "c.pth")
    ledger = Ledger.from_dict(load_file(tmp_path / "c.pth")["meta"]["ledger"])
    assert ledger.is_lower_bound
    assert ledger.total == 1010
    assert ledger.summary()["unknown_parents"] == [str(paths[1])]
    # the same weights are the same unknown source, wherever they lie
    paths[1].rename(tmp_path / "moved.pth")
    grow_checkpoint("couple", [paths[0], tmp_path / "moved.pth"], tmp_path / "c.pth")
    moved = Ledger.from_dict(load_file(tmp_path / "c.pth")["meta"]["ledger"])
    assert moved.unknown_parents == ledger.unknown_parents


def test_record_says_what_was_grown_and_ema_weights_are_used(tmp_path):
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    averaged = save_checkpoint(paths[0], VIT, 1, ema=True)
    save_checkpoint(paths[1], VIT, 2)
    returned = grow_checkpoint("couple", paths, tmp_path / "c.pth", mode="corrected", center=False)
    content = load_file(tmp_path / "c.pth")
    assert content["meta"]["grown"] == returned
    assert [(p["path"], p["weights"]) for p in returned["parents"]] == [
        (str(paths[0]), "ema"),
        (str(paths[1]), "raw"),
    ]
    assert returned["operator"] == "couple"
    assert returned["options"] == dict(mode="corrected", center=False, norm="layer")
    assert returned["widths"] == "embed_dims=32, num_heads=4, feedforward_channels=64"
    assert "not exact: LayerNorm" in returned["exactness"]
    position = content["state_dict"]["backbone.pos_embed"]
    assert torch.equal(position[..., :16], averaged.state_dict()["backbone.pos_embed"])


@pytest.mark.parametrize("existing", [True, False])
def test_failed_write_leaves_nothing_behind(existing, pair, tmp_path, monkeypatch):
    out = tmp_path / "out" / "grown.pth"
    out.parent.mkdir()
    if existing:
        out.write_bytes(b"what was there")

    def breaks_off(content, path):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(files.torch, "save", breaks_off)
    with pytest.raises(ValueError, match="no space left"):
        grow_checkpoint("couple", pair, out)
    assert [p.name for p in out.parent.iterdir()] == ["grown.pth"] * existing
    assert not existing or out.read_bytes() == b"what was there"


def test_grown_may_replace_a_parent(pair):
    before = load_file(pair[1])["state_dict"]["backbone.cls_token"].clone()
    grow_checkpoint("couple", pair, pair[1])
    assert torch.equal(load_file(pair[1])["state_dict"]["backbone.cls_token"][..., 16:], before)


def test_text_is_written_whole_or_not_at_all(tmp_path):
    write_text("one", tmp_path / "t.txt")
    with pytest.raises(UnicodeEncodeError):
        write_text("\ud800", tmp_path / "t.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["t.txt"]
    assert (tmp_path / "t.txt").read_text() == "one"


def test_configs_given_beside_the_checkpoints(tmp_path):
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for seed, path in enumerate(paths, 1):
        save_checkpoint(path, VIT, seed, with_cfg=False)
    with pytest.raises(ValueError, match=r"a.pth carries no config in its meta: .*--config"):
        grow_checkpoint("couple", paths, tmp_path / "c.pth")
    config = save_config(tmp_path / "vit.py", VIT)
    with pytest.raises(ValueError, match="got 1 configs for 2 parents"):
        grow_checkpoint("couple", paths, tmp_path / "c.pth", configs=[config])
    grow_checkpoint("couple", paths, tmp_path / "c.pth", configs=[config] * 2)
    assert read_checkpoint(tmp_path / "c.pth").arch.embed_dims == 32
    other = save_config(tmp_path / "wider.py", vit_model(embed_dims=32, num_heads=4, num_layers=2))
    with pytest.raises(ValueError, match=r"(?s)a.pth does not fit .*: got 16, wanted 32"):
        grow_checkpoint("couple", paths, tmp_path / "c.pth", configs=[other] * 2)
    empty = tmp_path / "empty.py"
    empty.write_text("a = 1\n")
    with pytest.raises(ValueError, match=r"a.pth: its config .*empty.py has no 'model'"):
        grow_checkpoint("couple", paths, tmp_path / "c.pth", configs=[empty] * 2)


def test_target_config_is_kept_or_refused(pair, tmp_path):
    out = tmp_path / "grown.pth"
    target = vit_model(embed_dims=32, num_heads=4, num_layers=2, drop_path_rate=0.3)
    grow_checkpoint("couple", pair, out, target_model=target)
    assert read_checkpoint(out).cfg.model.backbone.drop_path_rate == 0.3
    out.unlink()
    wrong = vit_model(embed_dims=48, num_heads=6, num_layers=2)
    with pytest.raises(
        ValueError, match=r"embed_dims=48 \(parents give 32\), num_heads=6 \(parents give 4\)"
    ):
        grow_checkpoint("couple", pair, out, target_model=wrong)
    with pytest.raises(ValueError, match=r"the target is a ResNetArch, its parents .* ViTArchs"):
        grow_checkpoint("couple", pair, out, target_model=MODELS["resnet"])
    assert not out.exists()


# --- calibration ---------------------------------------------------------------------------------


def random_states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_calibration_is_charged_and_leaves_random_numbers_alone(tmp_path):
    more = image_folder(tmp_path / "data")
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for seed, path in enumerate(paths, 1):
        save_checkpoint(path, VIT, seed, **more)
    before = random_states()
    out, plain = tmp_path / "calibrated.pth", tmp_path / "plain.pth"
    grow_checkpoint("couple", paths, out, mode="corrected", calibrate=3)
    assert random_states() == before
    grow_checkpoint("couple", paths, plain, mode="corrected")
    content = load_file(out)
    assert content["meta"]["grown"]["calibrate_batches"] == 3
    cost = classifier_cost(Config(dict(model=VIT)), 32)
    own = Ledger.from_dict(content["meta"]["ledger"]).own
    assert own.operator_flops == 2 * 3 * 4 * cost.forward_flops  # parents, batches, images each
    # gains are scaled, nothing else
    other = load_file(plain)["state_dict"]
    moved = {k for k, v in content["state_dict"].items() if not torch.equal(v, other[k])}
    assert moved == {k for k in other if re.search(r"\.ln[12]\.weight$", k)}
    # the same batches again give the same file
    grow_checkpoint("couple", paths, plain, mode="corrected", calibrate=3)
    assert all(
        torch.equal(v, content["state_dict"][k]) for k, v in load_file(plain)["state_dict"].items()
    )


def test_image_batches_are_preprocessed_and_seeded(tmp_path):
    cfg = Config(dict(model=VIT, **image_folder(tmp_path)))
    first, second, other = (
        list(image_batches(cfg, "train_dataloader", 2, seed)) for seed in (0, 0, 1)
    )
    assert [b.shape for b in first] == [(4, 3, 32, 32)] * 2
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], other[0])
    assert first[0].abs().max() < 2.5  # standardised, not 0 to 255
    assert len(list(image_batches(cfg, "val_dataloader", 99, 0))) == 5
    assert list(image_batches(cfg, "val_dataloader", 0, 0)) == []


def test_resizing_a_config_that_starts_from_parents():
    """The old parents gave the old widths: a child's config must not couple them again."""
    model = vit_model(embed_dims=32, num_heads=4)
    model["backbone"] |= dict(
        type="rbdc_mm.RBDCVisionTransformer", parents=["a.pth", "b.pth"], norm="block"
    )
    arch = arch_of(model)
    assert arch.norm_blocks == (16, 16)
    resized = model_with_arch(model, arch)
    assert resized["backbone"]["type"] == "mmpretrain.VisionTransformer"
    assert not {"parents", "norm", "coupling"} & set(resized["backbone"])
    assert arch_of(resized) == arch
    for norm_cfg, eps in ((None, 1e-6), (dict(type="LN"), 1e-5), (dict(type="LN", eps=1e-3), 1e-3)):
        model = vit_model(**({"norm_cfg": norm_cfg} if norm_cfg else {}))
        assert model_with_arch(model, arch_of(model))["backbone"]["norm_cfg"]["eps"] == eps
