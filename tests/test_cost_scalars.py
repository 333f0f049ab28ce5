"""The ledger in TensorBoard and in a local MLflow store, read back by their own readers."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from mmengine.logging import MessageHub

from rbdc_mm.cost import Ledger
from rbdc_mm.hooks.cost_scalars import note_spent
from rbdc_mm.protocol.launch import train
from tiny_runs import NUM_SAMPLES, record, stop_in_third_epoch, tiny_config

BATCH = 32


def scalars(work_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value) of all attempts at a run, in TensorBoard's own reading."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(work_dir.glob("*/vis_data/events*")):
        events = EventAccumulator(str(path)).Reload()
        for tag in events.Tags()["scalars"]:
            found.setdefault(tag, []).extend((e.step, e.value) for e in events.Scalars(tag))
    return found


def same(found: list[tuple[int, float]], wanted: list[tuple[int, float]]) -> bool:
    """The same steps, in order and without repeats, and the same values (one may be float32)."""
    (steps, values), (wanted_steps, wanted_values) = (
        zip(*found, strict=True),
        zip(*wanted, strict=True),
    )
    return steps == wanted_steps and values == pytest.approx(wanted_values)


def by_epoch(of: dict) -> dict[int, float]:
    return {int(epoch): metrics["accuracy/top1"] for epoch, metrics in of["history"].items()}


@pytest.fixture(scope="module")
def stopped_and_resumed(digits, tmp_path_factory) -> Path:
    """A run of four epochs of three iterations, stopped in the third epoch, and resumed.

    It is evaluated after the second and the fourth, and writes mmengine's own log beside
    TensorBoard's.
    """
    cfg = tiny_config(digits, tmp_path_factory.mktemp("run"))
    backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
    cfg.visualizer.vis_backends = backends
    with pytest.MonkeyPatch.context() as patch:
        stop_in_third_epoch(patch)
        with pytest.raises(KeyboardInterrupt):
            train(copy.deepcopy(cfg))
    train(cfg, resume=True)
    return Path(cfg.work_dir)


def test_tensorboard(stopped_and_resumed):
    """By FLOPs and by iteration, each point once, whatever the number of attempts."""
    found, run = scalars(stopped_and_resumed), record(stopped_and_resumed)
    flops = run["train_flops_per_sample"]
    top1 = by_epoch(run)
    assert set(top1) == {2, 4}
    points = [(epoch * NUM_SAMPLES * flops // 10**6, top1[epoch]) for epoch in (2, 4)]
    assert same(found["by_mflops/accuracy/top1"], points)
    assert same(found["accuracy/top1"], list(top1.items()))  # mmengine's own
    spent = [(i, i * BATCH * flops / 1e12) for i in (3, 6, 9, 12)]
    for name in ("own_tflops", "total_tflops"):
        assert same(found[name], spent)
        assert same(found[f"{name}_at_eval"], [(2, spent[1][1]), (4, spent[3][1])])
    assert not {"teachers_tflops", "operator_tflops"} & set(found), "it had neither"


def test_mlflow(stopped_and_resumed, digits, tmp_path, monkeypatch):
    """A run that starts from another: the x-axis is what both cost."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = f"file://{tmp_path / 'mlruns'}"
    cfg = tiny_config(digits, tmp_path / "run")
    backend = dict(type="MLflowVisBackend", tracking_uri=store, exp_name="tiny")
    cfg.merge_from_dict({f"visualizer.vis_backends.0.{k}": v for k, v in backend.items()})
    cfg.load_from = str(stopped_and_resumed / "final.pth")
    train(cfg)
    run = record(tmp_path / "run")
    flops, top1 = run["train_flops_per_sample"], by_epoch(run)
    client = MlflowClient(store)
    tiny = client.get_experiment_by_name("tiny")
    (found,) = client.search_runs([tiny.experiment_id])
    assert found.info.status == "FINISHED"

    def history(name: str) -> list[tuple[int, float]]:
        return [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, name)]

    points = [((4 + epoch) * NUM_SAMPLES * flops // 10**6, top1[epoch]) for epoch in (2, 4)]
    assert same(history("by_mflops/accuracy/top1"), points)
    own = [(i, i * BATCH * flops / 1e12) for i in (3, 6, 9, 12)]
    assert same(history("own_tflops"), own)
    assert same(history("total_tflops"), [(i, spent + own[-1][1]) for i, spent in own])


def test_the_local_log_stays_readable_by_openmmlabs_tools(stopped_and_resumed):
    """Its lines are mmengine's own, and one of training has no name with a '/' in it."""
    paths = sorted(stopped_and_resumed.glob("*/vis_data/scalars.json"))
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    assert len(paths) == 2 and len(lines) == 6
    for *epochs, evaluation in (lines[:3], lines[3:]):
        for line in epochs:
            assert "total_tflops" in line and not any("/" in key for key in line)
        assert evaluation["total_tflops_at_eval"] == epochs[1]["total_tflops"]
        assert not any(key.startswith("by_mflops") for key in evaluation)


def test_teachers_and_operators_are_named_where_there_are_any():
    source = Ledger.new("s", "source")
    source.add_iteration(10, 3 * 10**12)
    ledger = Ledger.new("t", "target", [source])
    ledger.add_iteration(10, 5 * 10**11, teacher_flops_per_sample=10**11)
    ledger.add_operator(25 * 10**10)
    hub = MessageHub("test_teachers_and_operators")
    note_spent(hub, ledger)
    ledger.add_operator(25 * 10**10)
    note_spent(hub, ledger)
    wanted = {"own": 5.0, "teachers": 1.0, "operator": 0.5, "total": 36.5}
    found = {key: buffer.data[0].tolist() for key, buffer in hub.log_scalars.items()}
    assert found == {f"train/{name}_tflops": [value] for name, value in wanted.items()}
