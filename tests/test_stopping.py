"""Asked to stop anywhere, a run saves everything and goes on bit for bit, within an epoch too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine import Config
from mmengine.runner import Runner

from rbdc_mm import stopping
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.hooks import StopHook
from rbdc_mm.hooks.epoch_seed import SeededBatches
from rbdc_mm.protocol.launch import train
from rbdc_mm.protocol.run import ProtocolRunner, run_protocol
from rbdc_mm.registry import HOOKS
from tiny_runs import NUM_SAMPLES, record, tiny_config, tiny_protocol

EPOCHS, EPOCH = 3, NUM_SAMPLES // 32  # of three iterations each


def config(digits, work_dir, **train_cfg) -> Config:
    """Three epochs with an evaluation each, averaged weights and a by-epoch schedule.

    Draws from Python's, NumPy's and torch's generators, in the loader and in the step.
    """
    cfg = tiny_config(digits, work_dir, epochs=EPOCHS)
    cfg.train_cfg.update(val_interval=1, **train_cfg)
    cfg.param_scheduler[1].convert_to_iter_based = False
    cfg.custom_hooks = [dict(type="mmpretrain.EMAHook", momentum=0.1)]
    cfg.train_dataloader.dataset.pipeline[1:1] = [
        dict(type="RandomCrop", crop_size=32, padding=4),
        dict(type="RandAugment", policies="timm_increasing", num_policies=2, total_level=10,
             magnitude_level=9, magnitude_std=0.5),
        dict(type="NumpyToPIL"),
        dict(type="torchvision/RandomHorizontalFlip"),
        dict(type="PILToNumpy"),
    ]  # fmt: skip
    cfg.model.train_cfg = dict(augments=[dict(type="Mixup", alpha=0.8)])
    cfg.model.backbone.drop_path_rate = 0.2
    return cfg


def states(work_dir: Path, name: str = f"epoch_{EPOCHS}.pth") -> dict:
    """All that a checkpoint holds to go on from, flat."""
    content = load_file(work_dir / name)
    flat: dict = {}

    def walk(value, prefix) -> None:
        if isinstance(value, dict):
            for key, one in value.items():
                walk(one, f"{prefix}.{key}")
        elif isinstance(value, list | tuple):
            for n, one in enumerate(value):
                walk(one, f"{prefix}.{n}")
        else:
            flat[prefix] = value

    for key in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        walk(content[key], key)
    entry = content["meta"]["ledger"]["entries"][content["meta"]["ledger"]["run_id"]]
    flat |= {k: entry[k] for k in ("num_iters", "num_samples_seen", "train_flops", "eval_flops")}
    return flat


def assert_equal(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        same = torch.equal(value, other[key]) if torch.is_tensor(value) else value == other[key]
        assert same, key


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory) -> Path:
    """The undisturbed run."""
    root = tmp_path_factory.mktemp("whole") / "run"
    train(config(digits, root))
    return root


@pytest.fixture
def ask(monkeypatch) -> Callable:
    """Sends this process a signal when a method of StopHook is called for the n-th time."""

    def ask(method: str, number: int, signal_number: int = signal.SIGUSR1) -> None:
        original, calls = getattr(StopHook, method), []

        def asked(hook, runner, *args, **kwargs):
            calls.append(1)
            if len(calls) == number:
                os.kill(os.getpid(), signal_number)
            return original(hook, runner, *args, **kwargs)

        monkeypatch.setattr(StopHook, method, asked)

    return ask


def stop_and_go_on(cfg: Config) -> None:
    with pytest.raises(stopping.Stopped):
        train(cfg)
    assert not record(Path(cfg.work_dir))["finished"]
    assert train(cfg, resume=True)
    assert not (Path(cfg.work_dir) / "stopped.pth").exists()


# Where it is stopped


@pytest.mark.parametrize(
    ("method", "number"),
    [
        ("after_train_iter", 1),  # the first iteration
        ("after_train_iter", EPOCH + 2),  # within an epoch
        ("after_train_iter", 2 * EPOCH),  # an epoch's last, which is not counted yet
        ("after_train_iter", 3 * EPOCH),  # the run's last
        ("after_val_iter", 1),  # the first evaluation, with averaged weights in the model's place
        ("after_val_iter", 6),  # the last one (each has two batches)
    ],
)
def test_it_goes_on_bit_for_bit(whole, digits, tmp_path, ask, method, number):
    ask(method, number)
    stop_and_go_on(config(digits, tmp_path))
    assert_equal(states(tmp_path), states(whole))
    one, other = record(tmp_path), record(whole)
    assert one["history"] == other["history"] and one["spent"] == other["spent"]
    final = [load_file(folder / "final.pth")["state_dict"] for folder in (tmp_path, whole)]
    assert_equal(*final)


def test_what_was_seen_is_not_loaded_again(digits, tmp_path, ask, monkeypatch):
    from mmpretrain.datasets import CustomDataset

    loaded: list[int] = []
    original = CustomDataset.prepare_data
    monkeypatch.setattr(
        CustomDataset, "prepare_data", lambda self, n: loaded.append(n) or original(self, n)
    )
    cfg = config(digits, tmp_path)
    cfg.train_cfg.val_begin = EPOCHS + 1
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    ask("after_train_iter", EPOCH + 2)
    with pytest.raises(stopping.Stopped):
        train(cfg)
    first = len(loaded)
    assert first == 32 * (EPOCH + 2)
    assert train(cfg, resume=True)
    assert len(loaded) == EPOCHS * NUM_SAMPLES


def test_any_number_of_workers_sees_the_same(whole, digits, tmp_path, ask):
    """Also workers that outlive an epoch, and across a stop."""
    cfg = config(digits, tmp_path)
    cfg.train_dataloader.update(num_workers=2, persistent_workers=True)
    ask("after_train_iter", EPOCH + 1)
    stop_and_go_on(cfg)
    assert_equal(states(tmp_path), states(whole))


def test_draws_differ_between_epochs_batches_and_seeds(digits, tmp_path):
    """Equal draws would make every test here pass."""
    seen: dict[str, list[torch.Tensor]] = {}

    @HOOKS.register_module(force=True)
    class Inputs(StopHook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen.setdefault(runner.work_dir, []).append(torch.stack(data_batch["inputs"]).float())

    for seed in (0, 1):
        cfg = config(digits, tmp_path / str(seed))
        cfg.train_dataloader.sampler = dict(type="DefaultSampler", shuffle=False)
        cfg.randomness = dict(seed=seed)
        cfg.custom_hooks.append(dict(type="rbdc_mm.Inputs"))
        train(cfg)
    batches = [batch for run in seen.values() for batch in run]
    first = batches[::EPOCH]  # the same images, as augmented in each epoch of each run
    assert len(batches) == 2 * EPOCHS * EPOCH and len(first) == 2 * EPOCHS
    assert all(not torch.equal(a, b) for n, a in enumerate(first) for b in first[:n])


def test_numbers_of_batches_go_on_in_a_run_of_iterations():
    """Else a second pass over the data would draw what the first did."""
    batches = SeededBatches([[7, 8], [9]])
    batches.words = (3,)
    places = [[index.words for batch in batches for index in batch] for _ in range(2)]
    assert places[0] == places[1] == [(3, 0, 0, 0), (3, 0, 0, 1), (3, 0, 1, 0)]
    batches.counts_on = True
    places = [[index.words[2] for batch in batches for index in batch] for _ in range(2)]
    assert places == [[0, 0, 1], [2, 2, 3]]
    batches.counts_on, batches.first, batches.skip = False, 0, 1
    assert [[int(index) for index in batch] for batch in batches] == [[9]]


def test_checkpoints_by_iterations_are_gone_on_from(whole, digits, tmp_path, monkeypatch):
    """Killed without a word; the newest checkpoint lies within an epoch."""

    class Killed(BaseException):
        pass

    def after_train_iter(hook, runner, *args, **kwargs):
        if runner.iter + 1 == EPOCH + 3:
            raise Killed

    cfg = config(digits, tmp_path)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=EPOCH - 1, max_keep_ckpts=2)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(StopHook, "after_train_iter", after_train_iter)
        train(cfg)
    assert (tmp_path / "iter_4.pth").is_file()
    assert train(cfg, resume=True)
    last = f"iter_{EPOCH * EPOCHS}.pth"  # saved before the schedules' last step of an epoch
    by_iteration, by_epoch = (
        {k: v for k, v in one.items() if not k.startswith("param_schedulers")}
        for one in (states(tmp_path, last), states(whole))
    )
    assert_equal(by_iteration, by_epoch)
    assert record(tmp_path)["history"] == record(whole)["history"]


def test_gradients_that_are_being_accumulated_are_waited_for(digits, tmp_path, ask):
    cfg = config(digits, tmp_path)
    cfg.optim_wrapper.accumulative_counts = 3
    ask("after_train_iter", 1)
    with pytest.raises(stopping.Stopped):
        train(cfg)
    assert load_file(tmp_path / "stopped.pth")["meta"]["iter"] == 3


def test_a_budget_is_not_shortened_by_a_stop(digits, tmp_path, ask):
    whole = config(digits, tmp_path / "whole")
    train(whole)
    epoch = states(tmp_path / "whole")["train_flops"] // EPOCHS
    cfg = config(digits, tmp_path / "cut")
    budget = 2.1 * epoch / 1e15
    cfg.custom_hooks.append(dict(type="rbdc_mm.BudgetStopHook", max_pflops=budget))
    ask("after_train_iter", EPOCH + 2)
    stop_and_go_on(cfg)
    assert record(tmp_path / "cut")["progress"] == 2


# What cannot go on within an epoch


def test_data_that_cannot_be_seeded_repeat_the_epoch(digits, tmp_path, ask, monkeypatch):
    """It says so; and where no epoch is ever finished, that is an error."""
    monkeypatch.setattr("rbdc_mm.hooks.epoch_seed._can_be_seeded", lambda loader: False)
    cfg = config(digits, tmp_path)
    ask("after_train_iter", EPOCH + 2)
    with pytest.raises(stopping.Stopped, match="epoch 2 will be trained again as a whole"):
        train(cfg)
    assert not (tmp_path / "stopped.pth").exists()
    ask("after_train_iter", 1)
    with pytest.raises(ValueError, match="no epoch was finished since it was started: it would"):
        train(cfg, resume=True)


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT])  # tools/soak.py sends the others
def test_signals_through_the_command_line(digits, tmp_path, number):
    """Exit code 75 and one line; --resume goes on to the end."""
    cfg, config_file = config(digits, tmp_path / "run"), tmp_path / "config.py"
    cfg.train_cfg.max_epochs = 40
    cfg.default_hooks.checkpoint.interval = 50
    cfg.dump(config_file)
    command = [sys.executable, "tools/train.py", str(config_file), "--resume"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: "2" in record_or_nothing(tmp_path / "run").get("history", {}), process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == stopping.AGAIN, said
    name = signal.Signals(number).name
    assert f"stopped by {name}; all is saved in " in said and "add --resume to go on" in said
    assert load_file(tmp_path / "run" / "stopped.pth")["meta"]["iter"] >= 2 * EPOCH


def record_or_nothing(work_dir: Path) -> dict:
    return record(work_dir) if (work_dir / "run.json").is_file() else {}


def wait_for(happened: Callable[[], bool], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def test_before_training_there_is_nothing_to_save(digits, tmp_path, monkeypatch):
    """Wherever that is; and a second Ctrl-C is one."""

    def built(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("unreachable")

    monkeypatch.setattr(Runner, "from_cfg", built)
    with pytest.raises(stopping.Stopped, match="stopped by SIGTERM"):
        train(config(digits, tmp_path))


def test_a_library_may_make_an_error_of_it():
    """A bare except in it; an error of another cause stays one."""

    def formatter() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except:  # noqa: E722
            raise SyntaxError("cannot be formatted") from None

    with pytest.raises(stopping.Stopped, match="SIGTERM"), stopping.stoppable():
        formatter()
    with pytest.raises(SyntaxError), stopping.stoppable():
        stopping.defer(True)
        os.kill(os.getpid(), signal.SIGTERM)
        raise SyntaxError("of another cause")


def test_a_second_ctrl_c_ends_at_once(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])
    before = signal.getsignal(signal.SIGINT)
    with stopping.stoppable():
        stopping.defer(True)
        os.kill(os.getpid(), signal.SIGINT)
        now[0] += 0.5  # the same one, through the launcher of the ranks
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping.requested() == "SIGINT"
        now[0] += 1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stopping.previous_handler(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGINT) is before and stopping.requested() == "SIGINT"


def test_the_end_of_the_jobs_time(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 60))
    with pytest.raises(stopping.Stopped, match="stopped by the time limit; all is saved"):
        train(config(digits, tmp_path))
    monkeypatch.delenv("SLURM_JOB_END_TIME")
    assert train(config(digits, tmp_path), resume=True)


# Protocols and ranks


def test_a_protocol_between_and_within_stages(digits, tmp_path, ask):
    """Stopped in its first stage's last moments, and within the target: equal to undisturbed."""
    policy = dict(type="epochs", epochs=(1, 2))
    run_protocol(tiny_protocol(digits, tmp_path / "whole", policy=policy))
    cfg = tiny_protocol(digits, tmp_path / "torn", policy=policy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            StopHook, "after_train", lambda *_: os.kill(os.getpid(), signal.SIGTERM), raising=False
        )
        with pytest.raises(stopping.Stopped):
            run_protocol(cfg)
    assert record(tmp_path / "torn/leaf-0")["finished"]
    assert not (tmp_path / "torn/leaf-1").exists()
    ask("after_train_iter", 2 * EPOCH + 1)  # leaf-1 has but three
    with pytest.raises(stopping.Stopped):
        run_protocol(cfg)
    assert (tmp_path / "torn/target/stopped.pth").is_file()
    run_protocol(cfg)
    for name in ("leaf-0", "leaf-1", "target"):
        final = [load_file(tmp_path / r / name / "final.pth") for r in ("whole", "torn")]
        assert_equal(*(one["state_dict"] for one in final))


def test_a_protocol_under_the_stock_tool_ends_with_the_code_too(monkeypatch):
    def asked(cfg) -> None:
        raise stopping.Stopped("SIGTERM")

    monkeypatch.setattr("rbdc_mm.protocol.run.run_protocol", asked)
    with pytest.raises(SystemExit) as end:
        ProtocolRunner.from_cfg(Config()).train()
    assert end.value.code == stopping.AGAIN


def test_two_ranks_agree(digits, tmp_path):
    """One of two gets the signal; both stop after the same iteration, and go on as they were."""
    cfg = config(digits, tmp_path / "run")
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.batch_size = 16
    cfg.custom_hooks.append(dict(type="SignalAt", rank=1, iteration=EPOCH + 2))
    cfg.custom_imports.imports.append("signal_at")  # of tests/
    config_file = tmp_path / "config.py"
    cfg.dump(config_file)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": "tests", "PYTHON": sys.executable}
    command = ["bash", "tools/dist_train.sh", str(config_file), "2", "--resume"]
    first = subprocess.run(command, env=env, capture_output=True, text=True)
    assert first.returncode, first.stdout[-2000:]
    saved = load_file(tmp_path / "run/stopped.pth")
    assert saved["meta"]["iter"] == EPOCH + 2 and saved["meta"]["loop"]["num_ranks"] == 2
    again = subprocess.run(command, env=env, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr[-2000:]
    whole = Config.fromfile(config_file)
    whole.custom_hooks.pop()
    whole.work_dir = str(tmp_path / "whole")
    whole.dump(config_file)
    assert subprocess.run(command, env=env, capture_output=True).returncode == 0
    assert_equal(states(tmp_path / "run"), states(tmp_path / "whole"))
