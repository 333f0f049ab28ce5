"""Killed runs go on from their newest whole checkpoint, as the same run, or say why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from mmengine.runner import Runner

from rbdc_mm.checkpoint.files import load_file, read_checkpoint, write_checkpoint
from rbdc_mm.checkpoint.resumable import newest_resumable
from rbdc_mm.hooks import EpochSeedHook
from rbdc_mm.protocol.launch import train
from tiny_runs import record, tiny_config


class Killed(BaseException):
    """Stands in for SIGKILL: nobody catches it, nothing is tidied up."""


def train_until(monkeypatch, epoch: int, cfg, **options) -> None:
    """Trains and dies at the start of an epoch, counted from 1."""
    original = EpochSeedHook.before_train_epoch

    def before_train_epoch(hook, runner):
        if runner.epoch == epoch - 1:
            raise Killed
        original(hook, runner)

    with monkeypatch.context() as patch:
        patch.setattr(EpochSeedHook, "before_train_epoch", before_train_epoch)
        with pytest.raises(Killed):
            train(cfg, **options)


@pytest.fixture(scope="module")
def killed(digits, tmp_path_factory) -> Path:
    """A run of 4 epochs with a checkpoint and an evaluation of each, killed in the fourth."""
    root = tmp_path_factory.mktemp("killed") / "run"
    cfg = config(digits, root)
    cfg.default_hooks.checkpoint.update(save_best="auto", max_keep_ckpts=3)
    with pytest.MonkeyPatch.context() as patch:
        train_until(patch, 4, cfg)
    return root


def config(digits, work_dir, epochs: int = 4, **train_cfg):
    cfg = tiny_config(digits, work_dir, epochs=epochs)
    cfg.train_cfg.update(val_interval=1, **train_cfg)
    return cfg


@pytest.fixture
def copy(killed, tmp_path) -> Path:
    """A copy of it, in another place."""
    return Path(shutil.copytree(killed, tmp_path / "moved" / "run"))


def break_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# Where the newest one lies


def test_a_moved_run_goes_on_in_its_new_place(copy, digits, killed):
    """MMEngine's last_checkpoint still names the old folder."""
    assert str(killed) in (copy / "last_checkpoint").read_text()
    assert newest_resumable(config(digits, copy)) == copy / "epoch_3.pth"


@pytest.mark.parametrize(
    "pointer", [None, "", "nowhere/epoch_9.pth", "work_dirs/run/epoch_2.pth", "epoch_1.pth"]
)
def test_the_files_count_and_not_what_names_them(copy, digits, pointer):
    (copy / "last_checkpoint").unlink()
    if pointer is not None:
        (copy / "last_checkpoint").write_text(pointer)
    assert newest_resumable(config(digits, copy)) == copy / "epoch_3.pth"


def test_a_truncated_one_is_passed_over_and_named(copy, digits):
    break_in_half(copy / "epoch_3.pth")
    said: list[str] = []
    assert newest_resumable(config(digits, copy), said.append) == copy / "epoch_2.pth"
    assert any("epoch_3.pth" in line and "truncated" in line for line in said)


def test_a_flipped_bit_is_found(copy, digits, tmp_path):
    """By the checksums that torch writes: passed over, refused by name, and no parent."""
    content = bytearray((copy / "epoch_3.pth").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "epoch_3.pth").write_bytes(content)
    said: list[str] = []
    assert newest_resumable(config(digits, copy), said.append) == copy / "epoch_2.pth"
    assert any("epoch_3.pth is damaged: the checksum of" in line for line in said)
    with pytest.raises(ValueError, match=r"epoch_3\.pth is damaged.*Resume from an earlier"):
        train(config(digits, tmp_path / "new"), resume=str(copy / "epoch_3.pth"))
    with pytest.raises(ValueError, match=r"epoch_3\.pth is damaged.*Bring an undamaged copy"):
        read_checkpoint(copy / "epoch_3.pth")


def test_names_and_folders_of_the_checkpoint_hook(copy, digits, tmp_path):
    """out_dir, filename_tmpl; and what only last_checkpoint knows of."""
    cfg = config(digits, copy)
    cfg.default_hooks.checkpoint.update(out_dir=str(tmp_path / "out"), filename_tmpl="e{}.ckpt")
    there = tmp_path / "out" / "run"
    there.mkdir(parents=True)
    for n in (1, 2, 3):
        (copy / f"epoch_{n}.pth").rename(there / f"e{n}.ckpt")
    assert newest_resumable(cfg) == there / "e3.ckpt"
    with pytest.raises(ValueError, match="nothing to go on from"):  # best_*.pth is all that is left
        (copy / "last_checkpoint").unlink()
        newest_resumable(config(digits, copy))
    (copy / "last_checkpoint").write_text(str(there / "e2.ckpt"))
    assert newest_resumable(config(digits, copy)) == there / "e2.ckpt"


def test_checkpoints_of_an_earlier_attempt_do_not_count(copy, digits):
    """The same run begun anew in its folder and killed before its first checkpoint."""
    (copy / "last_checkpoint").unlink()
    there = record(copy)
    run_id, other = there["ledger"]["run_id"], "another-run"
    text = json.dumps(there | {"progress": 0}).replace(run_id, other)
    (copy / "run.json").write_text(text)
    assert newest_resumable(config(digits, copy)) is None


def test_what_was_saved_within_an_epoch_is_passed_over(copy, digits):
    content = load_file(copy / "epoch_3.pth")
    content["meta"]["iter"] -= 1
    content["meta"]["loop"]["seeded"] = False  # its data were a stream
    write_checkpoint(content, copy / "epoch_3.pth")
    said: list[str] = []
    assert newest_resumable(config(digits, copy), said.append) == copy / "epoch_2.pth"
    assert "epoch_3.pth, which was saved in the middle of an epoch" in said[-1]


def test_it_never_begins_again(copy, digits):
    """Best only, deleted, or never kept: an error; what is left stays as it is."""
    for path in copy.glob("epoch_*.pth"):
        path.unlink()
    (copy / "last_checkpoint").write_text("gone/run/epoch_3.pth")
    with pytest.raises(ValueError, match=r"best_.*\.pth, which lacks the optimiser's state"):
        train(config(digits, copy), resume=True)
    next(copy.glob("best_*.pth")).unlink()
    with pytest.raises(ValueError, match=r"gone/run/epoch_3\.pth does not exist\. Bring"):
        train(config(digits, copy), resume=True)
    (copy / "last_checkpoint").unlink()
    with pytest.raises(ValueError, match=r"epoch 3 was evaluated\), but there is nothing"):
        train(config(digits, copy), resume=True)
    assert record(copy)["progress"] == 3


def test_nothing_there_yet_is_a_beginning(digits, tmp_path, monkeypatch, capsys):
    """Killed before the first checkpoint and evaluation: begins at the start, and says so."""
    train_until(monkeypatch, 1, config(digits, tmp_path, epochs=2), resume=True)
    assert record(tmp_path)["progress"] == 0 and not record(tmp_path)["finished"]
    assert train(config(digits, tmp_path, epochs=2), resume=True)
    assert "no checkpoint was saved yet, the run begins at the start" in capsys.readouterr().out
    assert record(tmp_path)["finished"]


def test_checkpoints_by_iteration_in_a_run_of_epochs(digits, tmp_path, monkeypatch):
    """From the newest, within an epoch, of which MMEngine would train the first batches again."""

    def by_iteration():
        cfg = config(digits, tmp_path)
        cfg.default_hooks.checkpoint = dict(type="CheckpointHook", by_epoch=False, interval=2)
        return cfg

    train_until(monkeypatch, 4, by_iteration())
    assert newest_resumable(by_iteration()) == tmp_path / "iter_8.pth"
    train(by_iteration(), resume=True)
    last = record(tmp_path)
    assert set(last["history"]) == {"1", "2", "3", "4"}
    assert last["ledger"]["entries"][last["ledger"]["run_id"]]["num_iters"] == 12


def test_the_stock_runner_finds_it_too(copy, digits):
    """Neither begins again without last_checkpoint, nor goes on without an optimiser."""
    (copy / "last_checkpoint").unlink()
    cfg = config(digits, copy)
    cfg.resume, cfg.load_from = True, str(next(copy.glob("best_*.pth")))
    with pytest.raises(ValueError, match="lacks the optimiser's state"):
        Runner.from_cfg(cfg).train()
    cfg.load_from = None
    Runner.from_cfg(cfg).train()
    last = record(copy)
    assert last["ledger"]["entries"][last["ledger"]["run_id"]]["num_iters"] == 12


# Whether it is the same run then


def test_the_same_run_in_another_folder(killed, digits, tmp_path):
    """Goes on under its own id, with what it took before."""
    before = record(killed)
    train(config(digits, tmp_path / "new"), resume=str(killed / "epoch_3.pth"))
    after = record(tmp_path / "new")
    assert after["finished"] and after["resumed"] is None
    assert after["ledger"]["run_id"] == before["ledger"]["run_id"]
    assert after["config_hash"] == before["config_hash"]
    assert set(after["history"]) == {"1", "2", "3", "4"}
    assert after["wall_s"] > before["wall_s"]


def test_a_longer_run_is_another_run(killed, digits, tmp_path, capsys):
    cfg = config(digits, tmp_path / "new", epochs=5)
    start = str(killed / "epoch_3.pth")
    with pytest.raises(ValueError, match=r"train_cfg.max_epochs is 4 there, 5 here.*load_from="):
        train(cfg, resume=start)
    assert not (tmp_path / "new").exists()
    with pytest.MonkeyPatch.context() as patch:
        train_until(patch, 5, cfg, resume=start, anyway=True)
    assert "resuming" in capsys.readouterr().out
    first = record(tmp_path / "new")
    assert first["resumed"]["checkpoint"] == start
    assert first["resumed"]["changes"] == ["train_cfg.max_epochs is 4 there, 5 here"]
    assert first["config_hash"] != record(killed)["config_hash"]
    assert first["ledger"]["run_id"] != record(killed)["ledger"]["run_id"]
    # killed and resumed, it is still what it was; and then there is nothing left to do
    assert train(config(digits, tmp_path / "new", epochs=5), resume=True)
    last = record(tmp_path / "new")
    for key in ("resumed", "config_hash"):
        assert last[key] == first[key]
    assert last["ledger"]["run_id"] == first["ledger"]["run_id"] and last["finished"]
    own = last["ledger"]["entries"][last["ledger"]["run_id"]]
    assert own["num_iters"] == 15
    assert not train(config(digits, tmp_path / "new", epochs=5), resume=True)


def test_a_config_that_says_resume_is_resumed(copy, digits, monkeypatch):
    cfg = config(digits, copy)
    cfg.resume = True
    train(cfg)
    assert record(copy)["ledger"]["entries"].popitem()[1]["num_iters"] == 12


def test_other_ranks_are_another_schedule(copy, digits, capsys):
    """Two trained it, each epoch in two iterations; on one rank an epoch has three."""
    content = load_file(copy / "epoch_3.pth")
    content["meta"].update(iter=6, loop=dict(num_ranks=2, epoch_length=2))
    write_checkpoint(content, copy / "epoch_3.pth")
    (copy / "epoch_2.pth").unlink()
    with pytest.raises(ValueError, match=r"it was trained on 2 ranks, here are 1\. Rates"):
        train(config(digits, copy), resume=True)
    train(config(digits, copy), resume=True, anyway=True)
    changes = record(copy)["resumed"]["changes"]
    assert changes[0] == "it was trained on 2 ranks, here are 1"
    assert "after 6 iterations in epoch 4, an epoch here has 3" in changes[1]
    first = record(copy)
    (copy / "final.pth").unlink()  # as if killed now: what it saved since can be gone on from
    train(config(digits, copy), resume=True)
    assert "going on from" not in capsys.readouterr().out
    assert record(copy)["resumed"]["changes"] == changes[:1]
    for key in ("finished", "config_hash", "history"):
        assert record(copy)[key] == first[key]
