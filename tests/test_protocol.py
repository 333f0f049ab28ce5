"""Whole protocols with real Runners: what is charged, what is skipped, what a kill costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.cost import Ledger
from rbdc_mm.protocol.launch import train
from rbdc_mm.protocol.run import StageError, make_plan, prepare, run_protocol
from tiny_runs import (
    record,
    run_killed_once,
    stop_in_third_epoch,
    tiny_config,
    tiny_protocol,
    totals,
)


def ledger(work_dir: Path) -> Ledger:
    return Ledger.from_dict(load_file(work_dir / "final.pth")["meta"]["ledger"])


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)["state_dict"]


@pytest.fixture(scope="module")
def finished(digits, tmp_path_factory) -> Path:
    """An uninterrupted protocol run."""
    root = tmp_path_factory.mktemp("work") / "proto"
    run_protocol(tiny_protocol(digits, root))
    return root


def test_every_stage_is_charged(finished, digits):
    plan = make_plan(tiny_protocol(digits, finished))
    own = {s.name: s.flops for s in plan.stages}
    leaves = own["leaf-0"] + own["leaf-1"]
    assert totals(finished) == {
        "leaf-0": (3, own["leaf-0"], own["leaf-0"], own["leaf-0"]),
        "leaf-1": (3, own["leaf-1"], own["leaf-1"], own["leaf-1"]),
        "target": (3, own["target"], own["target"], own["target"] + leaves),
    }
    assert ledger(finished / "target").total == plan.flops
    assert "accuracy/top1" in record(finished / "target")["history"]["3"]
    entries = ledger(finished / "target").entries
    assert sum(e.num_samples_seen for e in entries.values()) == 3 * 3 * 96


def test_leaves_differ_and_the_target_starts_from_their_coupling(finished):
    leaves = [weights(finished / f"leaf-{n}" / "final.pth") for n in (0, 1)]
    key = "backbone.layers.0.ffn.layers.1.weight"
    grown = load_file(finished / "target" / "grown.pth")
    block = grown["state_dict"][key]
    assert torch.equal(block[:8, :16], leaves[0][key]) and torch.equal(
        block[8:, 16:], leaves[1][key]
    )
    assert not torch.equal(leaves[0][key], leaves[1][key])
    assert not block[:8, 16:].any()
    assert [p["weights"] for p in grown["meta"]["grown"]["parents"]] == ["ema", "ema"]
    trained = weights(finished / "target" / "final.pth")[key]
    assert trained[:8, 16:].any()  # off-diagonal blocks train like all others


def test_finished_stages_are_not_run_again(finished, digits, capsys):
    before = {p: p.stat().st_mtime_ns for p in finished.glob("*/*.pth")}
    run_protocol(tiny_protocol(digits, finished))
    assert before == {p: p.stat().st_mtime_ns for p in finished.glob("*/*.pth")}
    assert "3 of 3 stages need no run" in capsys.readouterr().out


def test_a_moved_work_dir_is_still_recognised(finished, digits, tmp_path, capsys):
    import shutil

    shutil.copytree(finished, tmp_path / "moved")
    run_protocol(tiny_protocol(digits, tmp_path / "moved"))
    assert "3 of 3 stages need no run" in capsys.readouterr().out


def test_another_config_in_the_same_work_dir(finished, digits):
    cfg = tiny_protocol(digits, finished)
    cfg.optim_wrapper.optimizer.lr = 0.5
    wanted = (
        r"belongs to another config: optim_wrapper.optimizer.lr is 0.002 there, 0.5 here"
        r".*another --work-dir"
    )
    with pytest.raises(ValueError, match=wanted):
        run_protocol(cfg)
    leaf = prepare(cfg, make_plan(cfg))[0].cfg  # and a plain config, resumed or not
    for resume in (True, False):
        with pytest.raises(ValueError, match=wanted):
            train(leaf, resume=resume)


def test_a_killed_protocol_ends_like_an_uninterrupted_one(finished, digits, tmp_path):
    """SIGKILL in the middle of the target, then the same command again."""
    root = tmp_path / "killed"
    said = run_killed_once(tiny_protocol(digits, root), root, root / "target" / "epoch_1.pth")
    assert "2 of 3 stages need no run" in said
    assert totals(root) == totals(finished)


@pytest.mark.parametrize("twin", ["deit_b", "resnet18"])
def test_a_resumed_run_equals_an_uninterrupted_one(digits, tmp_path, monkeypatch, twin):
    """Bit for bit: weights, averaged weights, optimiser, ledger, metrics."""
    train(tiny_config(digits, tmp_path / "whole", twin=twin))
    with monkeypatch.context() as patch:
        stop_in_third_epoch(patch)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_config(digits, tmp_path / "parts", twin=twin), resume=True)
    assert train(tiny_config(digits, tmp_path / "parts", twin=twin), resume=True)
    whole, parts = (load_file(tmp_path / name / "epoch_4.pth") for name in ("whole", "parts"))
    for key in ("state_dict", "ema_state_dict"):
        assert (key in whole) == (key in parts)
        for name, tensor in whole.get(key, {}).items():
            assert torch.equal(tensor, parts[key][name]), name
    states = whole["optimizer"]["state"], parts["optimizer"]["state"]
    assert all(torch.equal(a["exp_avg"], b["exp_avg"]) for a, b in zip(*map(dict.values, states),
                                                                       strict=True))  # fmt: skip
    runs = record(tmp_path / "whole"), record(tmp_path / "parts")
    assert runs[0]["history"] == runs[1]["history"]
    ledgers = [next(iter(run["ledger"]["entries"].values())) for run in runs]
    for count in ("train_flops", "num_samples_seen", "num_iters", "eval_flops"):
        assert ledgers[0][count] == ledgers[1][count], count
    # and there is nothing left to do
    assert not train(tiny_config(digits, tmp_path / "parts", twin=twin), resume=True)


def test_the_same_run_anew(digits, tmp_path):
    """Without --resume a finished run is trained again, and killed early it is not finished."""
    train(tiny_config(digits, tmp_path, epochs=2))
    first = record(tmp_path)["ledger"]["run_id"]
    train(tiny_config(digits, tmp_path, epochs=2))
    assert record(tmp_path)["ledger"]["run_id"] != first
    assert ledger(tmp_path).own.num_iters == 6


def test_leftovers_of_a_killed_run(digits, tmp_path, capsys):
    """A truncated newest checkpoint, a pointer to nothing, temporary files: gone on from before."""
    train(tiny_config(digits, tmp_path, epochs=3))
    (tmp_path / "final.pth").unlink()
    newest = tmp_path / "epoch_3.pth"
    newest.write_bytes(newest.read_bytes()[:1000])
    (tmp_path / ".final.pth.1.tmp").write_bytes(b"half")
    assert train(tiny_config(digits, tmp_path, epochs=3), resume=True)
    assert "passing over a broken checkpoint" in capsys.readouterr().out
    assert record(tmp_path)["finished"] and (tmp_path / "final.pth").exists()
    assert ledger(tmp_path).own.num_iters == 9


def test_killed_between_last_checkpoint_and_last_evaluation(digits, tmp_path):
    train(tiny_config(digits, tmp_path, epochs=2))
    whole = record(tmp_path)
    cut = {**whole, "finished": False, "history": {}}
    (tmp_path / "run.json").write_text(json.dumps(cut))
    (tmp_path / "final.pth").unlink()
    assert train(tiny_config(digits, tmp_path, epochs=2), resume=True)
    assert record(tmp_path)["history"]["2"] == whole["history"]["2"]


def test_only_and_failing_stages(digits, tmp_path):
    cfg = tiny_protocol(digits, tmp_path / "only")
    with pytest.raises(ValueError, match=r"--only target: its parents \['leaf-0', 'leaf-1'\]"):
        run_protocol(cfg, only="target")
    run_protocol(tiny_protocol(digits, tmp_path / "only"), only="leaf-1")
    assert [p.parent.name for p in (tmp_path / "only").glob("*/final.pth")] == ["leaf-1"]
    cfg = tiny_protocol(digits, tmp_path / "fails")
    cfg.custom_hooks.append(dict(type="NoSuchHook"))
    with pytest.raises(StageError, match=r"stage leaf-0 of .*fails failed: KeyError.*NoSuchHook"):
        run_protocol(cfg)


def test_a_plan_for_another_number_of_samples(digits, tmp_path):
    cfg = tiny_protocol(digits, tmp_path)
    cfg.num_train_samples = 1200
    with pytest.raises(ValueError, match=r"num_train_samples=1200, the training data set has 96"):
        run_protocol(cfg)
    assert not list(tmp_path.iterdir())  # before anything is trained


@pytest.mark.parametrize(
    ("twin", "options", "message"),
    [
        ("deit_b", dict(coupling=dict(calibrate=2)), "mode='paper' couples plainly"),
        ("deit_b", dict(coupling=dict(mode="papr")), "unknown mode 'papr'"),
        (
            "deit_b",
            dict(coupling=dict(mode="corrected", calibrate=2), norm="block"),
            "center is for LayerNorm|calibrate corrects LayerNorm",
        ),
        ("resnet18", dict(coupling=dict(mode="corrected", calibrate=2)), "ResNetArch has none"),
        ("resnet18", dict(norm="block"), "norm='block' is for families whose LayerNorm"),
    ],
)
def test_couplings_are_checked_before_the_leaves_train(digits, tmp_path, twin, options, message):
    cfg = tiny_protocol(digits, tmp_path / "work", twin=twin, **options)
    with pytest.raises(ValueError, match=message):
        run_protocol(cfg)
    assert not (tmp_path / "work").exists()


def test_missing_data_is_one_error_before_anything(tmp_path):
    cfg = tiny_protocol(tmp_path / "nowhere", tmp_path / "work")
    with pytest.raises(ValueError, match="nowhere"):
        run_protocol(cfg)
    assert not (tmp_path / "work").exists()


def test_corrections_and_block_norm_run(digits, tmp_path):
    """The other couplings train too, and calibration is charged."""
    policy = dict(type="epochs", epochs=(1, 1))
    coupling = dict(mode="corrected", calibrate=1)
    run_protocol(tiny_protocol(digits, tmp_path / "cal", coupling=coupling, policy=policy))
    run_protocol(tiny_protocol(digits, tmp_path / "block", norm="block", policy=policy))
    assert (
        ledger(tmp_path / "cal" / "target").total
        > make_plan(tiny_protocol(digits, tmp_path / "cal", policy=policy)).flops
    )
    model = weights(tmp_path / "block" / "target" / "grown.pth")
    assert model["backbone.ln1.weight"].shape == (16,)
    stages = prepare(
        cfg := tiny_protocol(digits, tmp_path / "block", norm="block", policy=policy),
        make_plan(cfg),
    )
    assert stages[-1].finished
    assert stages[-1].cfg.model.backbone.norm_cfg["blocks"] == [8, 8]


def test_user_errors_of_the_command_line(digits, tmp_path):
    """One line on stderr, exit code 1."""

    def fails(*arguments: object) -> str:
        command = [sys.executable, "tools/train.py", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1
        return done.stderr.splitlines()[-1]

    assert "error: config nowhere.py does not exist" in fails("nowhere.py")
    plain = tmp_path / "plain.py"
    tiny_config(digits, tmp_path / "work").dump(plain)
    assert "has no protocol, thus no stages" in fails(plain, "--only", "leaf-0")
