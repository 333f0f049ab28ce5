"""Two runs or methods side by side, through the command line, on made run files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import load_tool
from rbdc_mm.cost import Ledger
from rbdc_mm.records import RECORD
from rbdc_mm.report.compare import compare_methods, compare_runs
from rbdc_mm.report.config_diff import config_difference

ROOT = Path(__file__).parents[1]
TERA = 10**12
CONFIG = """
method = {method!r}
model = dict(backbone=dict(depth=12), head=dict(num_classes=10))
train_cfg = dict(max_epochs={epochs})
pipeline = [dict(type='Load'), dict(type='Crop', size={size})]
"""


def add(root, name, tops, *, tflops=1.0, parents=(), config=CONFIG, size=224, **more) -> Ledger:
    """A finished run with ``tops``: epoch -> top-1; every epoch costs ``tflops``."""
    ledger = Ledger.new(f"{name}-id", Path(name).name, parents)
    last = max(tops, default=1)
    before = ledger.total
    ledger.add_iteration(1, round(last * tflops * TERA))
    record = {
        "schema": 2, "finished": True, "name": Path(name).name, "method": "scratch",
        "config": "configs/tiny/a.py", "config_hash": "abc123", "operator": None,
        "architecture": "VisionTransformer", "stage": None, "dataset": "CustomDataset:digits",
        "num_classes": 10, "seed": 0, "num_params": 314186, "macs_per_sample": 5432704,
        "train_flops_per_sample": 32203008, "progress": last, "planned": last, "unit": "epoch",
        "history": {str(step): {"accuracy/top1": top} for step, top in tops.items()},
        "spent": {str(step): before + round(step * tflops * TERA) for step in tops},
        "ledger": ledger.to_dict(), "wall_s": 100.0, "gpu_hours": 0.5, "energy_j": 3.6e6,
        "peak_memory_bytes": 2**30, "peak_memory_of": "GPU", "commit": "0123abc", "dirty": True,
        "device": "1 x H200", "versions": {"torch": "2"},
    } | more  # fmt: skip
    path = root / name / RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    if config:
        text = config.format(method=record["method"], epochs=last, size=size)
        path.with_name(Path(record["config"]).name).write_text(text)
    return ledger


def rbdc(root, name, tops, **more) -> None:
    stage = {"protocol": "RBDC", "parents": []}
    leaf = add(root, f"{name}/leaf-0", {3: 50.0}, method="rbdc", num_params=9, macs_per_sample=9,
               stage=stage | {"name": "leaf-0", "level": 0})  # fmt: skip
    add(root, f"{name}/target", tops, method="rbdc", parents=[leaf],
        **{"config": CONFIG, "stage": stage | {"name": "target", "level": 1}} | more)  # fmt: skip


@pytest.fixture(scope="module")
def tool():
    command = load_tool("compare")
    return lambda *args: command.main([str(arg) for arg in args])


def table(text: str, title: str) -> dict[str, list[str]]:
    """First cell -> the others, of the first table below that title."""
    lines = text.split(f"## {title}\n", 1)[1].split("\n## ")[0].splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("| ")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_other_ops_are_a_difference(tool, tmp_path, capsys):
    add(tmp_path, "a", {2: 60.0}, ops="torchvision 0.26.0")
    add(tmp_path, "b", {2: 60.0}, ops="compiled")
    assert tool(tmp_path / "a", tmp_path / "b") == 0
    versions = table(capsys.readouterr().out, "What")["versions"]
    assert versions == ["torch 2, mmcv's ops: torchvision 0.26.0", "torch 2, mmcv's ops: compiled"]


def test_two_runs_through_the_command_line(tmp_path):
    add(tmp_path, "plain", {2: 60.0, 4: 82.0, 8: 81.0}, wall_s=200.0)
    rbdc(tmp_path, "grown", {1: 65.0, 2: 70.0, 4: 83.0}, size=192, device="1 x CPU", dirty=False)
    command = [sys.executable, "tools/compare.py", tmp_path / "plain" / RECORD, tmp_path / "grown",
               "--out", tmp_path / "out/ab.md"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out/ab.md").read_text(encoding="utf-8")
    assert done.stdout == text + "\n"
    assert text.startswith("# scratch, plain (A) against RBDC, target (B)\n")

    what = table(text, "What")
    assert what["device"] == ["1 x H200", "1 x CPU"]
    assert what["commit"] == ["0123abc (with changes not committed)", "0123abc"]
    accuracy = table(text, "Accuracy")
    assert accuracy["top-1, last (%)"] == ["81.00", "83.00", "+2.00", "–", "–", "single run"]
    assert accuracy["top-1, best (%)"] == ["82.00", "83.00", "+1.00", "–", "–", "–"]
    costs = table(text, "Costs")
    assert costs["(a) target alone (TFLOPs)"] == ["8.000", "4.000", "0.500"]
    assert costs["(c) + source models (TFLOPs)"] == ["8.000", "7.000", "0.875"]
    assert costs["wall time (s)"] == ["200.0", "100.0", "0.500"]
    assert costs["peak memory (GiB)"] == ["1.000 (GPU)", "1.000 (GPU)", "1.00"]
    assert costs["energy (kWh)"] == ["1.000", "1.000", "1.00"]
    # the target begins with its leaf's 3 TFLOPs spent
    steps = table(text, "Evaluation by evaluation")
    assert steps["1"] == ["–", "4.000", "–", "65.00", "–"]
    assert steps["2"] == ["2.000", "5.000", "60.00", "70.00", "+10.00"]
    assert steps["4"] == ["4.000", "7.000", "82.00", "83.00", "+1.00"]
    flops = table(text, "At equal total FLOPs")
    assert flops["2.000"] == ["60.00", "–", "–"]  # before the target's first evaluation
    assert flops["4.000"] == ["82.00", "65.00", "−17.00"]
    # log2(5 / 4) = 0.3219 of the way from 82 to 81
    assert flops["5.000"] == ["81.68 *", "70.00", "−11.68"]
    stages = table(text, "Stages of B")
    assert stages["leaf-0"] == ["3.000", "0", "0", "0", "42.9"]
    assert stages["target"] == ["4.000", "0", "0", "0", "57.1"]
    assert table(text, "Config") == {
        "key": ["A", "B"],
        "method": ["'scratch'", "'rbdc'"],
        "pipeline.1.size": ["224", "192"],
        "train_cfg.max_epochs": ["8", "4"],
    }
    assert "Keys that differ: 3.\n" in text


def test_two_methods_over_seeds(tmp_path, tool, capsys):
    for seed, (plain, grown) in enumerate([(80.0, 84.0), (81.0, 85.5), (82.0, 86.0)]):
        add(tmp_path, f"plain{seed}", {2: plain - 9, 4: plain}, seed=seed)
        rbdc(tmp_path, f"grown{seed}", {4: grown}, seed=seed)
    assert tool(tmp_path, "--methods", "scratch", "rbdc") == 0
    text = capsys.readouterr().out
    # seed by seed 4, 4.5 and 4: 4.303 * 0.2887 / sqrt(3) = 0.717
    assert table(text, "Accuracy")["top-1, last (%)"] == [
        "81.00 ± 1.00", "85.17 ± 1.04", "+4.17", "+3.45 to +4.88", "0.94", "B above A"]  # fmt: skip
    assert "Interval: Student's t, paired by seed;" in text
    assert table(text, "What")["seed"] == ["0, 1, 2", "0, 1, 2"]
    steps = table(text, "Evaluation by evaluation")
    assert steps["4"] == ["4.000", "7.000", "81.00 ± 1.00", "85.17 ± 1.04", "+4.17"]
    assert "Of target, the first of 3 runs." in text
    assert "between the first run of each" in text


def test_inside_the_noise_and_every_setting_against_every_other(tmp_path):
    for seed in (0, 1):
        add(tmp_path, f"short{seed}", {4: 80.0 + seed}, seed=seed)
        add(tmp_path, f"long{seed}", {8: 82.0 + seed}, seed=seed)
        rbdc(tmp_path, f"grown{seed}", {4: 81.3 + 0.4 * seed}, seed=seed)
    text = compare_methods([tmp_path], "rbdc", "scratch")
    assert text.count("# RBDC, a (A) against scratch, a (B)\n") == 2
    lines = [line.split("|") for line in text.splitlines() if "top-1, last" in line]
    assert [[cells[n].strip() for n in (3, 4, 7)] for cells in lines] == [
        ["80.50 ± 0.71", "−1.00", "inside the noise"],
        ["82.50 ± 0.71", "+1.00", "inside the noise"],
    ]


def test_aps_have_a_floor_of_their_own(tmp_path):
    for seed, off in enumerate((0.0, 0.0001, -0.0001)):
        for name, ap in (("scratch", 0.40), ("ligo", 0.402 + off), ("rbdc", 0.41 + off)):
            history = {"12": {"coco/bbox_mAP": ap, "coco/segm_mAP": ap}}
            add(tmp_path, f"{name}{seed}", {12: 0.0}, history=history, seed=seed, method=name,
                dataset="CocoDataset:coco")  # fmt: skip
    said = [table(compare_methods([tmp_path], "scratch", other), "Accuracy")["box AP, last (%)"]
            for other in ("ligo", "rbdc")]  # fmt: skip
    assert [x[2] for x in said] == ["+0.20", "+1.00"]
    assert [x[-2:] for x in said] == [["0.30", "inside the noise"], ["0.30", "B above A"]]
    alone = table(compare_runs(tmp_path / "scratch0", tmp_path / "rbdc0"), "Accuracy")
    assert alone["mask AP, last (%)"][2:] == ["+1.00", "–", "–", "single run"]


def test_what_is_not_known_is_said(tmp_path):
    lost = Ledger.unknown("lost-id", "lost")
    add(tmp_path, "a", {4: 80.0}, parents=[lost], peak_memory_of="process", config="")
    add(tmp_path, "b", {4: 81.0}, unit="iteration", peak_memory_of="GPU", energy_j=None)
    text = compare_runs(tmp_path / "a", tmp_path / "b")
    costs = table(text, "Costs")
    assert costs["(c) + source models (TFLOPs)"] == ["≥ 4.000", "4.000", "–"]
    assert costs["peak memory (GiB)"] == ["1.000 (process)", "1.000 (GPU)", "–"]
    assert costs["energy (kWh)"] == ["1.000", "–", "–"]
    assert "Not side by side: A counts by epoch, B by iteration." in text
    assert "Not known: A: of some source model nobody knows the cost." in text
    assert table(text, "Stages of A")["lost"][-1] == "–"
    assert f"Not compared, for not found: configs/tiny/a.py beside {tmp_path}/a/run.json." in text


def test_long_runs_are_thinned_and_that_is_said(tmp_path):
    for name in "ab":
        add(tmp_path, name, {n: 50 + n / 10 for n in range(1, 101)})
    text = compare_runs(tmp_path / "a", tmp_path / "b")
    steps = table(text, "Evaluation by evaluation")
    assert len(steps) == 20 + 1 and {"1", "100"} < set(steps)
    assert "included. 20 of 100 rows, evenly spread." in text
    assert "The same in every key." in text


def test_configs_differ_by_keys_that_one_lacks_and_long_values_are_cut(tmp_path):
    (tmp_path / "a.py").write_text("a = dict(b=[1, 2], c={})\nlong = 'x'\n")
    (tmp_path / "b.py").write_text(f"a = dict(b=[1, 3], c=dict(d=1))\nlong = {'y' * 200!r}\n")
    found = config_difference(tmp_path / "a.py", tmp_path / "b.py")
    assert found[:3] == [
        ("a.b", "[1, 2]", "[1, 3]"),
        ("a.c", "{}", "absent"),
        ("a.c.d", "absent", "1"),
    ]
    assert found[3][:2] == ("long", "'x'") and len(found[3][2]) == 80
    assert found[3][2].endswith("y…")
    (tmp_path / "b.py").write_text("a = (\n")
    with pytest.raises(ValueError, match=r"b\.py cannot be read as a config"):
        config_difference(tmp_path / "a.py", tmp_path / "b.py")


def test_runs_that_cannot_be_compared(tmp_path):
    add(tmp_path, "a", {4: 80.0})
    add(tmp_path, "photos", {4: 80.0}, dataset="CustomDataset:photos")
    add(tmp_path, "fewer", {4: 80.0}, num_classes=5)
    add(tmp_path, "two/x", {4: 80.0})
    add(tmp_path, "two/y", {4: 80.0})
    add(tmp_path, "running", {4: 80.0}, finished=False)
    for other, message in (
        ("photos", "different data sets: .* on CustomDataset:digits .*CustomDataset:photos"),
        ("fewer", "digits with 10 classes, .*digits with 5 classes"),
        ("two", r"two has 2 finished targets \(.*two/x/run.json, .*two/y/run.json\): wanted one"),
        ("running", "no finished run under .*running: 1 unfinished"),
        ("nowhere", "nowhere does not exist"),
    ):
        with pytest.raises(ValueError, match=message):
            compare_runs(tmp_path / "a", tmp_path / other)


def test_a_leaf_may_be_compared_alone_but_is_no_target(tmp_path):
    rbdc(tmp_path, "grown", {4: 81.0})
    leaf = tmp_path / "grown/leaf-0"
    assert "# RBDC, leaf-0 (A)" in compare_runs(leaf / RECORD, tmp_path / "grown")
    add(leaf.parent, "leaf-1", {4: 50.0}, stage={"name": "leaf-1", "level": 0})
    (tmp_path / "grown/target" / RECORD).unlink()
    with pytest.raises(ValueError, match=r"grown has 0 finished targets \(only .*leaf-1"):
        compare_runs(leaf, tmp_path / "grown")


def test_methods_that_cannot_be_compared(tmp_path):
    add(tmp_path, "a", {4: 80.0})
    rbdc(tmp_path, "b", {4: 80.0}, dataset="CustomDataset:photos")
    for methods, message in (
        (("scratch", "ligo"), "no target of method ligo: the methods here are rbdc, scratch"),
        (("rbdc", "rbdc"), "method rbdc against itself"),
        (("scratch", "rbdc"), "scratch on CustomDataset:digits .*, rbdc on CustomDataset:photos"),
    ):
        with pytest.raises(ValueError, match=message):
            compare_methods([tmp_path], *methods)


def test_errors_are_one_line_and_nothing_is_written(tmp_path, tool, capsys):
    assert tool(tmp_path, tmp_path / "nowhere", "--out", tmp_path / "out.md") == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: no run.json under ") and said.err.count("\n") == 1
    assert said.out == "" and not (tmp_path / "out.md").exists()
    with pytest.raises(SystemExit):
        tool(tmp_path)
    assert "got 1 paths: wanted two runs, or --methods A B" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    add(tmp_path, "a", {4: 80.0})
    assert tool(tmp_path / "a", tmp_path / "a", "--out", tmp_path / "file/out.md") == 1
    assert "error: cannot write" in capsys.readouterr().err
