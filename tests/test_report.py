"""Runs -> rows -> arms -> tables and plots, on made run files and hand-worked savings."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pytest

from rbdc_mm.cost import Ledger
from rbdc_mm.records import RECORD
from rbdc_mm.report import (
    ScratchCurve,
    aggregate,
    arms_of,
    collect,
    saving_at_equal_accuracy,
)
from rbdc_mm.report.runs import COCO_NUMBERS
from rbdc_mm.report.savings import isotonic
from rbdc_mm.report.words import digits, flops_unit, spread

ROOT = Path(__file__).parents[1]
TERA = 10**12


class Runs:
    """Makes run files as RunRecordHook writes them, with real ledgers."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, name, top1=None, *, tflops=1.0, parents=(), save=True, **more) -> Ledger:
        ledger = Ledger.new(f"{name}-id", name, parents)
        ledger.add_iteration(1, round(tflops * TERA))
        history = {"30": {"accuracy/top1": 50.0}, "60": {"accuracy/top1": top1}}
        record = {
            "schema": 1, "finished": True, "name": name, "config": "vit_scratch_digits.py",
            "method": "scratch", "stage": None, "dataset": "CustomDataset:digits", "seed": 0,
            "num_params": 314186, "macs_per_sample": 5432704, "train_flops_per_sample": 32203008,
            "progress": 60, "unit": "epoch", "history": history, "ledger": ledger.to_dict(),
            "wall_s": 100.0, "device": "CPU", "versions": {"torch": "2"},
        } | more  # fmt: skip
        if save:
            self.write(name, json.dumps(record))
        return ledger

    def rbdc(self, name, top1, *, tflops=1.0, leaf_tflops=0.25, num_leaves=2, **more) -> Ledger:
        leaves = [f"leaf-{n}" for n in range(num_leaves)]
        parents = [
            self.add(f"{name}/{leaf}", top1 - 5, tflops=leaf_tflops, num_params=90000,
                     macs_per_sample=1500000, method="rbdc", stage=stage(leaf, 0), progress=42)
            for leaf in leaves
        ]  # fmt: skip
        more = dict(config="vit_rbdc_digits.py", method="rbdc", progress=42) | more
        target = dict(stage=stage("target", 1, leaves), parents=parents)
        return self.add(f"{name}/target", top1, tflops=tflops, **target, **more)

    def detector(self, name, box, mask, *, tflops=5.0, **more) -> Ledger:
        metrics = {"coco/bbox_mAP": box, "coco/bbox_mAP_50": box + 0.3, "coco/bbox_mAP_s": -1.0}
        metrics |= {"coco/segm_mAP": mask, "coco/segm_mAP_50": mask + 0.3}
        more = dict(dataset="CocoDataset:digit_scenes", history={"12": metrics}, progress=12,
                    num_params=2000000, macs_per_sample=900000000) | more  # fmt: skip
        return self.add(name, tflops=tflops, **more)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name / RECORD
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


def stage(name: str, level: int, parents=()) -> dict:
    return {"protocol": "RBDC", "name": name, "level": level, "parents": list(parents)}


@pytest.fixture
def runs(tmp_path) -> Runs:
    return Runs(tmp_path / "work_dirs")


def fill(runs: Runs) -> None:
    """Scratch at two budgets and RBDC, two seeds each; two detectors on top."""
    for seed, (short, long, grown) in enumerate([(96.0, 98.0, 97.2), (96.4, 98.4, 97.6)]):
        runs.add(f"short-{seed}", short, tflops=1.5, seed=seed, progress=40)
        scratch = runs.add(f"long-{seed}", long, tflops=3, seed=seed)
        rbdc = runs.rbdc(f"rbdc-{seed}", grown, tflops=1.6, seed=1000 * seed + 2)
        if seed == 0:
            for method, parent, ap in (("scratch", scratch, 0.40), ("rbdc", rbdc, 0.39)):
                config = f"mask_rcnn_{method}.py"
                runs.detector(f"det-{method}", ap, ap - 0.05, parents=[parent], method=method,
                              config=config)  # fmt: skip


# --- collecting ---------------------------------------------------------------------------------


def test_a_row_says_what_how_well_and_what_it_cost(runs):
    runs.rbdc("a", 97.5, tflops=2, leaf_tflops=0.5)
    rows = collect([runs.root]).rows.set_index("run")
    target = rows.loc["a/target"]
    assert (target["role"], target["stage"], target["method"]) == ("target", "target", "rbdc")
    assert list(rows["role"]) == ["leaf", "leaf", "target"]
    assert target["top1"] == 97.5 and target["best_top1"] == 97.5 and target["epochs"] == 42
    assert target["params_m"] == pytest.approx(0.314186)
    assert target["gmacs_per_sample"] == pytest.approx(0.005432704)
    assert target["own_pflops"] == pytest.approx(0.002)
    assert target["total_pflops"] == pytest.approx(0.003)
    assert target["parents"] == "a/leaf-0-id;a/leaf-1-id"
    assert math.isnan(target["pretraining_pflops"]) and not target["total_is_lower_bound"]


def test_headline_is_the_last_evaluation_not_the_best_nor_the_first_by_text(runs):
    history = {"60": {"accuracy/top1": 90.0}, "100": {"accuracy/top1": 85.0}}
    runs.add("a", history=history)
    row = collect([runs.root]).rows.iloc[0]
    assert (row["top1"], row["best_top1"]) == (85.0, 90.0)


def test_detector_costs_are_split_and_aps_are_in_percent(runs):
    runs.detector("det", 0.4, 0.35, parents=[runs.rbdc("a", 97.0)])
    row = collect([runs.root]).rows.set_index("run").loc["det"]
    assert row["kind"] == "detection" and math.isnan(row["top1"])
    aps = [row[k] for k in ("bbox_mAP", "bbox_mAP_50", "segm_mAP", "segm_mAP_50")]
    assert aps == pytest.approx([40, 70, 35, 65])
    costs = [row[f"{k}_pflops"] for k in ("pretraining", "own", "total")]
    assert costs == pytest.approx([0.0015, 0.005, 0.0065])


def test_shared_sources_and_unknown_ones(runs):
    unknown = Ledger.unknown("unknown-1", "somebody.pth")
    runs.add("a", 90.0, parents=[unknown])
    row = collect([runs.root]).rows.iloc[0]
    assert row["total_is_lower_bound"] and row["total_pflops"] == pytest.approx(0.001)


def test_unfinished_broken_and_copied_runs(runs, capsys):
    runs.add("good", 90.0)
    runs.add("copy", 90.0, save=False)
    text = (runs.root / "good" / RECORD).read_text()
    runs.write("copy", text)
    half = json.loads(text)
    half |= {"finished": False, "progress": 30}
    runs.write("half-of-good", json.dumps(half))
    runs.add("half", 80.0, finished=False)
    runs.write("cut", text[:300])
    runs.write("list", "[1, 2]")
    runs.write("old", text.replace('"schema": 1', '"schema": 0', 1))
    runs.write("short", json.dumps({"schema": 1, "finished": True}))
    rows = collect([runs.root, runs.root / "good", runs.root / "good" / RECORD]).rows
    said = capsys.readouterr().err
    assert list(rows["run"]) == ["good"]
    assert "copies of runs merged by run id: 2" in said and "unfinished runs left out: 1 " in said
    for name, why in (("cut", "Expecting|Unterminated|delimiter"), ("list", "JSON object"),
                      ("old", "schema 0"), ("short", "missing.*history")):  # fmt: skip
        line = next(li for li in said.splitlines() if f"{name}/{RECORD}" in li)
        assert pd.Series([line]).str.contains(why).all(), line


def test_no_runs_says_where_it_looked(runs, tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        collect([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no run\.json under .*empty.*RunRecordHook"):
        collect([tmp_path / "empty"])
    runs.add("half", 80.0, finished=False)
    with pytest.raises(ValueError, match=r"no finished run under .*1 unfinished, 0 broken"):
        collect([runs.root])


def test_nan_is_named_and_in_no_mean(runs, capsys):
    runs.add("good", 90.0, seed=0)
    runs.add("bad", math.nan, seed=1)
    runs.add("missing", history={"30": {"accuracy/top1": 50.0}, "60": {}}, seed=2)
    runs.add("never", history={}, seed=3)
    runs.detector("empty", -1.0, 0.3)
    rows = collect([runs.root]).rows
    said = capsys.readouterr().err
    assert len(rows) == 5
    for name, why in (("bad", "is nan"), ("missing", "is missing"), ("empty", "is -1.0"),
                      ("never", "no evaluation has accuracy/top1")):  # fmt: skip
        assert any(f"left out of all means: {name} " in li and why in li for li in said.split("\n"))
    arms = arms_of(rows)
    assert list(arms["n"]) == [1] and arms["top1_mean"][0] == 90.0
    assert arms["seeds"][0] == "0"


def test_flops_of_another_convention_are_not_mixed_in(runs, capsys):
    ledger = runs.add("other", 90.0, save=False)
    runs.add("other", 90.0, ledger=ledger.to_dict() | {"convention": "MACs"})
    runs.add("ours", 80.0)
    assert list(arms_of(collect([runs.root]).rows)["top1_mean"]) == [80.0]
    assert "another convention, 'MACs'" in capsys.readouterr().err


# --- arms ---------------------------------------------------------------------------------------


def test_arms_average_seeds_and_nothing_else(runs, capsys):
    fill(runs)
    arms = arms_of(collect([runs.root]).rows)
    targets = arms[(arms["kind"] == "classification") & arms["role"].isin(("run", "target"))]
    found = {
        (a.method, a.epochs): (a.n, a.top1_mean, a.top1_std, a.seeds) for a in targets.itertuples()
    }
    assert set(found) == {("rbdc", 42), ("scratch", 40), ("scratch", 60)}
    n, mean, std, seeds = found["rbdc", 42]
    assert (n, seeds) == (2, "2 1002") and mean == pytest.approx(97.4)
    assert std == pytest.approx(math.sqrt(2 * 0.2**2))  # n - 1
    assert "repeat" not in capsys.readouterr().err


def test_iteration_based_runs_have_no_epochs_but_an_arm(runs, tmp_path):
    runs.add("a", 90.0, unit="iteration", seed=0)
    runs.add("b", 92.0, unit="iteration", seed=1)
    made = aggregate([runs.root], tmp_path / "out")
    assert list(made.arms["n"]) == [2] and made.arms["epochs"].isna().all()
    assert "91.00 ± 1.41" in made.tables[0]


def test_a_repeated_seed_is_said(runs, capsys):
    runs.add("a", 90.0, seed=3)
    runs.add("b", 91.0, seed=3)
    assert arms_of(collect([runs.root]).rows)["n"][0] == 2
    assert "seeds 3 3 repeat" in capsys.readouterr().err


# --- savings ------------------------------------------------------------------------------------

CURVE = ScratchCurve((1.0, 4.0, 16.0), (60.0, 70.0, 74.0), (2, 2, 2))


@pytest.mark.parametrize(
    ("accuracy", "flops", "value", "bound"),
    [
        (70.0, 3.0, 0.25, ""),  # on a point: 1 - 3/4
        (65.0, 1.0, 0.5, ""),  # half-way between 1 and 4 in log FLOPs is 2
        (72.0, 2.0, 0.75, ""),  # half-way between 4 and 16 is 8
        (71.0, 4 * math.sqrt(2), 0.0, ""),  # a quarter of the way
        (65.0, 3.0, -0.5, ""),  # cost more: 3 against 2
        (74.0, 8.0, 0.5, ""),  # as good as the best: exact
        (60.0, 0.5, 0.5, ""),  # as good as the worst: exact
        (75.0, 8.0, 0.5, "≥"),  # better than the best: at least
        (75.0, 24.0, -0.5, "≥"),
    ],
)
def test_saving_by_hand(accuracy, flops, value, bound):
    saving = saving_at_equal_accuracy(CURVE, accuracy, flops)
    assert saving.value == pytest.approx(value, abs=1e-12) and saving.bound == bound
    assert saving.note == ("cost more" if value < 0 else "")


def test_saving_says_why_there_is_none():
    assert str(saving_at_equal_accuracy(CURVE, 59.9, 0.1)) == "below the curve"
    assert str(saving_at_equal_accuracy(None, 70.0, 1.0)) == "–"
    one = ScratchCurve((2.0,), (70.0,), (1,))
    assert str(saving_at_equal_accuracy(one, 69.0, 1.0)) == "below the curve"
    assert str(saving_at_equal_accuracy(one, 70.0, 1.4)) == "30.0%"
    assert str(saving_at_equal_accuracy(one, 71.0, 1.4)) == "≥ 30.0%"
    assert str(saving_at_equal_accuracy(one, 71.0, 2.2)) == "≥ −10.0% (cost more)"
    assert str(saving_at_equal_accuracy(one, 70.0, 1.0, flops_is_lower_bound=True)) == "≤ 50.0%"
    both = saving_at_equal_accuracy(one, 71.0, 1.0, flops_is_lower_bound=True)
    assert both.value is None and str(both) == "cost not fully known"


def test_a_noisy_curve_is_made_to_rise():
    assert isotonic([1, 3, 2, 4], [1, 1, 1, 1]) == [1, 2.5, 2.5, 4]
    assert isotonic([1, 3, 2, 4], [1, 1, 3, 1]) == [1, 2.25, 2.25, 4]
    assert isotonic([3, 2, 1], [1, 1, 1]) == [2, 2, 2]
    # 70 and 68 become a plateau of 69 from 4 to 16; beyond it the curve rises again
    curve = ScratchCurve((1.0, 4.0, 16.0, 64.0), (60.0, 70.0, 68.0, 74.0), (1, 1, 1, 1))
    assert curve.flops_at(69.0) == 4.0  # the least that reaches it
    assert curve.flops_at(71.5) == pytest.approx(32.0)
    assert curve.flops_at(64.5) == pytest.approx(2.0)
    # at the noisy top, 69.5 lies over the fit but below the best run: no lower bound is claimed
    top = ScratchCurve((1.0, 4.0, 16.0), (60.0, 70.0, 69.0), (1, 1, 1))
    between = saving_at_equal_accuracy(top, 69.8, 2.0)
    assert between.value == pytest.approx(0.5) and between.bound == ""
    assert saving_at_equal_accuracy(top, 70.5, 2.0).bound == "≥"


# --- what comes out -----------------------------------------------------------------------------


def test_tables_by_hand(runs, tmp_path):
    fill(runs)
    made = aggregate([runs.root], tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/classification.csv").set_index(["method", "epochs"])
    rbdc = table.loc["rbdc", 42]
    # 97.4 is 0.6 of the way from 96.2 at 1.5 TFLOPs to 98.2 at 3: 1.5 * 2**0.6 = 2.2736 TFLOPs
    assert rbdc["saving_percent"] == pytest.approx(100 * (1 - 2.1 / (1.5 * 2**0.6)))
    assert rbdc["percent_of_longest_scratch"] == pytest.approx(70.0)
    assert (rbdc["own_pflops"], rbdc["total_pflops"]) == pytest.approx((0.0016, 0.0021))
    assert table.loc[("scratch", 60), "saving_note"] == "baseline"
    words = (tmp_path / "out/classification.md").read_text()
    assert "97.40 ± 0.28" in words and " 7.6% |" in words and "(TFLOPs)" in words
    assert len([li for li in words.splitlines() if li.startswith("|")]) == 2 + 3  # no leaves
    boxes = (tmp_path / "out/detection.md").read_text()
    line = next(li for li in boxes.splitlines() if "| RBDC" in li)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[5:] == ["39.0", "69.0", "34.0", "64.0", "2.100", "5.000", "7.100", "1"]
    rows = pd.read_csv(tmp_path / "out/runs.csv")
    assert sorted(rows["role"].unique()) == ["leaf", "run", "target"] and len(rows) == 12
    assert made.tables[0] == words and all(path.is_file() for path in made.files)
    assert not list((tmp_path / "out").glob(".*"))


def test_a_lower_bound_is_marked_in_the_tables(runs, tmp_path):
    runs.add("scratch", 90.0, tflops=4)
    runs.add("grown", 90.0, tflops=1, parents=[Ledger.unknown("u", "u.pth")], method="grown")
    aggregate([runs.root], tmp_path / "out")
    words = (tmp_path / "out/classification.md").read_text()
    assert "≥ 1.000" in words and "≥ 25.0" in words and "≤ 75.0%" in words


def cells_of(path: Path, needle: str) -> list[str]:
    """The cells of the first line of a Markdown table that has ``needle``."""
    line = next(li for li in path.read_text().splitlines() if needle in li)
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_backbones_cost_what_their_protocol_did_and_random_ones_nothing(runs, tmp_path):
    """Pretraining is every ancestor's training; of a zoo's checkpoint nobody knows it."""
    zoo = Ledger.unknown("unknown-r50", "torchvision://resnet50")
    grown = runs.rbdc("rbdc", 97.0, tflops=1.6, leaf_tflops=0.25)
    chain = runs.add("com_pt", 97.0, tflops=2.0, parents=[grown], save=False)
    chain.add_iteration(1, 0, teacher_flops_per_sample=TERA // 2)
    for method, parents in (
        ("rbdc", [grown]),
        ("com_pt", [chain]),
        ("random", []),
        ("zoo", [zoo]),
    ):
        runs.detector(f"det-{method}", 0.4, 0.3, parents=parents, method=method, tflops=5)
    aggregate([runs.root], tmp_path / "out")
    costs = ["pretraining_pflops", "finetuning_pflops", "total_pflops", "total_is_lower_bound"]
    table = pd.read_csv(tmp_path / "out/detection.csv").set_index("method")[costs]
    assert table.loc["rbdc"].tolist() == pytest.approx([0.0021, 0.005, 0.0071, False])
    assert table.loc["com_pt"].tolist() == pytest.approx([0.0046, 0.005, 0.0096, False])
    assert table.loc["random"].tolist() == [0, 0.005, 0.005, False]
    assert table.loc["zoo"].tolist() == [0, 0.005, 0.005, True]
    words = {
        m: cells_of(tmp_path / "out/detection.md", f"| {m} ")[-4:-1] for m in ("random", "zoo")
    }
    assert words == {"random": ["0", "5.000", "5.000"], "zoo": ["≥ 0", "5.000", "≥ 5.000"]}


def test_cocos_twelve_numbers_of_boxes_and_masks(runs, tmp_path):
    """All that were measured; -1, COCO's word for no such objects, is no number."""
    numbers = {name: 0.1 + n / 100 for n, name in enumerate(COCO_NUMBERS)} | {"mAP_l": -1.0}
    for seed in (0, 1):
        metrics = {f"coco/bbox_{k}": v if v < 0 else v + seed / 50 for k, v in numbers.items()}
        metrics |= {"coco/segm_mAP": 0.2, "coco/segm_mAP_50": 0.3}
        runs.detector(f"det-{seed}", 0.1, 0.2, history={"12": metrics}, seed=seed)
    made = aggregate([runs.root], tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/detection_full.csv").set_index("task")
    assert list(table.index) == ["box", "mask"] and list(table["n"]) == [2, 2]
    for name, value in numbers.items():
        got = table.loc["box", f"{name}_mean"], table.loc["box", f"{name}_std"]
        wanted = (math.nan, math.nan) if value < 0 else (100 * value + 1, math.sqrt(2))
        assert got == pytest.approx(wanted, nan_ok=True), name
    assert table.loc["mask", "mAP_mean"] == 20 and math.isnan(table.loc["mask", "AR@100_mean"])
    box, mask = (cells_of(tmp_path / "out/detection_full.md", f"| {w} ") for w in ("box", "mask"))
    assert box[6] == "11.0 ± 1.4" and box[11:13] == ["–", "17.0 ± 1.4"] and len(box) == 19
    assert mask[6:9] == ["20.0 ± 0.0", "30.0 ± 0.0", "–"]
    rows = pd.read_csv(tmp_path / "out/runs.csv")
    assert rows["bbox_AR_s@1000"].tolist() == pytest.approx([19, 21])
    assert len(made.tables) == 1 and "box AP50" in made.tables[0]  # the short one is as it was


def test_same_runs_same_bytes_and_nothing_out_of_date(runs, tmp_path):
    fill(runs)
    out = tmp_path / "out"
    first = {path.name: path.read_bytes() for path in aggregate([runs.root], out).files}
    names = ["runs.csv", "accuracy_vs_flops.png", "accuracy_vs_flops.svg"]
    kinds = ("classification", "detection", "detection_full")
    names += [f"{kind}.{suffix}" for kind in kinds for suffix in ("csv", "md")]
    assert sorted(first) == sorted(names)
    with matplotlib.rc_context(
        {"font.size": 20, "axes.facecolor": "black"}
    ):  # somebody's own settings
        aggregate([runs.root], out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    aggregate([runs.root / "det-rbdc"], out)
    left = ["runs.csv", *(name for name in names if name.startswith("detection"))]
    assert sorted(path.name for path in out.iterdir()) == sorted(left)


def test_labels_of_the_plot_do_not_overlap(runs):
    from rbdc_mm.report.plots import accuracy_figure
    from rbdc_mm.report.style import paper_style

    fill(runs)
    rows = collect([runs.root]).rows
    with paper_style():
        figure = accuracy_figure(rows, arms_of(rows))
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"RBDC, 42 epochs", "scratch, 40 epochs", "scratch, 60 epochs"} < set(texts)
    for n, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[n + 1 :]), texts
        assert figure.bbox.containsx(box.x0) and figure.bbox.containsx(box.x1)
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata()[0] for line in hollow] == pytest.approx([1.6])  # TFLOPs, target alone


def test_numbers_in_words():
    assert [digits(x) for x in (28231.7, 2.31862, 0.0023186, 9.99996, 0, math.nan)] == [
        "28230", "2.319", "0.002319", "10.00", "0", "–"]  # fmt: skip
    assert flops_unit([0.09, 0.001]) == ("TFLOPs", 1e3)
    assert flops_unit([0.2, 0.001, math.nan]) == ("PFLOPs", 1.0)
    assert [spread(98.664, 0.118), spread(98.664, math.nan), spread(math.nan, 1)] == [
        "98.66 ± 0.12", "98.66", "–"]  # fmt: skip


# --- the tool -----------------------------------------------------------------------------------

TOOL = """
import runpy, sys
try:
    runpy.run_path(sys.argv.pop(1), run_name="__main__")
finally:
    heavy = {"mmengine", "mmcv", "mmpretrain", "mmdet"} & set(sys.modules)
    assert not heavy, f"loads {heavy}"
"""


def tool(*args) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", TOOL, str(ROOT / "tools/aggregate.py"), *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_the_tool_prints_tables_and_loads_no_openmmlab(runs, tmp_path):
    fill(runs)
    done = tool(runs.root, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "## Classification" in done.stdout and "## Detection" in done.stdout
    assert str(tmp_path / "out/accuracy_vs_flops.png") in done.stdout


def test_the_tool_says_errors_in_one_line(runs, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("aggregate_tool", ROOT / "tools/aggregate.py")
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    assert command.main([str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    runs.add("a", 90.0)
    (tmp_path / "file").write_text("")
    assert command.main([str(runs.root), "--out", str(tmp_path / "file/out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: cannot write ") and said.count("\n") == 1
