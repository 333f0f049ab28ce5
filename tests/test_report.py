"""Run files -> rows -> arms -> everything that an aggregate writes, on made run files."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pytest

from helpers import load_tool
from rbdc_mm.cost import Ledger
from rbdc_mm.records import RECORD
from rbdc_mm.report import aggregate, aggregate_each, arms_of, collect
from rbdc_mm.report.curve_plot import curves_figure
from rbdc_mm.report.frames import downstream_frame, savings_frame
from rbdc_mm.report.outputs import data_sets, tables_of
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
            "schema": 2, "finished": True, "name": name, "config": "vit_scratch_digits.py",
            "config_hash": "h", "operator": None, "architecture": "ViT", "num_classes": 10,
            "commit": "abc", "dirty": False, "planned": 60, "spent": {}, "gpu_hours": 0.0,
            "energy_j": None, "peak_memory_bytes": 10**9, "peak_memory_of": "host",
            "method": "scratch", "stage": None, "dataset": "CustomDataset:digits", "seed": 0,
            "num_params": 314186, "macs_per_sample": 5432704, "train_flops_per_sample": 32203008,
            "progress": 60, "unit": "epoch", "history": history, "ledger": ledger.to_dict(),
            "wall_s": 100.0, "device": "CPU", "versions": {"torch": "2", "mmdet": "3"},
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
    runs.write("old", text.replace('"schema": 2', '"schema": 0', 1))
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
                      ("never", "no evaluation")):  # fmt: skip
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
    assert "91.00 ± 1.41" in made.tables[0].to_markdown()


def test_a_repeated_seed_is_said(runs, capsys):
    runs.add("a", 90.0, seed=3)
    runs.add("b", 91.0, seed=3)
    assert arms_of(collect([runs.root]).rows)["n"][0] == 2
    assert "seeds 3 3 repeat" in capsys.readouterr().err


# --- what comes out -----------------------------------------------------------------------------


def test_backbones_cost_what_their_protocol_did_and_random_ones_nothing(runs):
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
    costs = ["pretraining_pflops", "finetuning_pflops", "total_pflops", "total_is_lower_bound"]
    rows = collect([runs.root]).rows
    table = downstream_frame(rows, arms_of(rows)).set_index("method")[costs]
    assert table.loc["rbdc"].tolist() == pytest.approx([0.0021, 0.005, 0.0071, False])
    assert table.loc["com_pt"].tolist() == pytest.approx([0.0046, 0.005, 0.0096, False])
    assert table.loc["random"].tolist() == [0, 0.005, 0.005, False]
    assert table.loc["zoo"].tolist() == [0, 0.005, 0.005, True]


PLAIN = ("rows.csv", "curves.csv", "stages.csv")
CLASSIFIERS = ("classification", "classification_savings")
DETECTORS = ("detection", "downstream", "detection_savings", "detection_full")


def test_same_runs_same_bytes_and_nothing_out_of_date(runs, tmp_path):
    fill(runs)
    out, formats = tmp_path / "out", ("md", "csv", "png", "tex")
    first = {p.name: p.read_bytes() for p in aggregate([runs.root], out, formats=formats).files}
    slugs = (*CLASSIFIERS, "summary", *DETECTORS)
    names = [f"{slug}.{kind}" for slug in slugs for kind in ("csv", "md", "tex")]
    plots = ("accuracy_vs_flops", "top1", "downstream")
    names += [f"{plot}.{kind}" for plot in plots for kind in ("png", "svg", "pdf")]
    assert sorted(first) == sorted([*PLAIN, *names])
    with matplotlib.rc_context(
        {"font.size": 20, "axes.facecolor": "black"}
    ):  # somebody's own settings
        aggregate([out], out, formats=formats)  # from what it wrote itself
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    aggregate([runs.root / "det-rbdc"], out, formats=("csv",))
    left = [*PLAIN, *(f"{slug}.csv" for slug in DETECTORS)]
    assert sorted(path.name for path in out.iterdir()) == sorted(left)


def test_rows_curves_and_stages_are_read_back_as_they_were(runs, tmp_path):
    fill(runs)
    made = collect([runs.root])
    aggregate([runs.root], tmp_path, formats=("csv",))
    again = collect([tmp_path])
    for name in ("rows", "curves", "stages"):
        before, after = getattr(made, name), getattr(again, name)
        pd.testing.assert_frame_equal(before, after[before.columns], check_dtype=False)
    runs.add("more", 90.0, seed=7)  # rows and run files together
    assert len(collect([tmp_path, runs.root]).rows) == len(made.rows) + 1
    (tmp_path / "rows.csv").write_text("run,kind\na,b\n")
    with pytest.raises(ValueError, match=r"rows\.csv lacks the columns method, .*tools/aggregate"):
        collect([tmp_path])


def test_curves_have_the_flops_spent_until_each_evaluation(runs):
    scratch = runs.add("long", 98.0, tflops=3.0, spent={"30": 2 * TERA, "60": 3 * TERA})
    runs.add("old", 97.0, seed=1, spent={})
    curves = collect([runs.root]).curves
    mine = curves[curves["run_id"] == scratch.run_id]
    assert mine[["step", "metric", "value", "total_pflops"]].values.tolist() == [
        [30, "top1", 50.0, 0.002], [60, "top1", 98.0, 0.003]]  # fmt: skip
    assert curves[curves["run_id"] != scratch.run_id]["total_pflops"].isna().all()


def test_records_of_the_first_schema_can_be_read(runs):
    runs.add("old", 90.0, schema=1)
    path = runs.root / "old" / RECORD
    record = json.loads(path.read_text())
    for key in ("config_hash", "spent", "energy_j", "peak_memory_bytes", "commit"):
        del record[key]
    path.write_text(json.dumps(record))
    row = collect([runs.root]).rows.iloc[0]
    assert row["top1"] == 90.0 and row["config_hash"] == "" and row["commit"] == ""


def test_what_a_run_took_and_on_what(runs):
    runs.add("a", 90.0, gpu_hours=2.5, peak_memory_bytes=3 * 2**30, energy_j=7.2e6)
    row = collect([runs.root]).rows.iloc[0]
    assert (row["gpu_hours"], row["peak_memory_gib"], row["energy_kwh"]) == (2.5, 3.0, 2.0)
    assert row["versions"] == "torch 2, mmdet 3" and row["commit"] == "abc" and not row["dirty"]


def test_any_evaluators_metrics_get_a_table(runs, tmp_path):
    """Segmentation, say: nothing here knows of mIoU."""
    for seed, miou in enumerate((40.0, 42.0)):
        history = {"60": {"mIoU": miou, "retrieval/R@1": 0.3}}
        runs.add(f"seg-{seed}", history=history, seed=seed, dataset="ADE20K:ade", method="rbdc")
    runs.add("undefined", history={"60": {"mIoU": math.nan}}, seed=5, dataset="ADE20K:ade")
    runs.add("a", 97.0)
    out = tmp_path / "out"
    made = aggregate([runs.root], out)
    text = (out / "other.md").read_text()
    head, _, row = text.splitlines()[2:5]
    assert "mIoU" in head and "retrieval/R@1" in head and "total (TFLOPs)" in head
    assert "RBDC" in row and "41.00 ± 1.4" in row and "0.3000 ± 0" in row and "97" not in text
    assert "undefined" in list(made.runs.rows.loc[made.runs.rows["left_out"] != "", "run"])
    assert (out / "index.html").is_file()
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    aggregate([out], out)
    assert files == {path.name: path.read_bytes() for path in out.iterdir()}


def test_hours_are_charged_as_flops_are(runs):
    """A shared ancestor once, GPU-hours or core-hours, unknown where a source or a machine is."""
    leaf = runs.add("leaf", 80.0, core_hours=0.25, stage=stage("leaf-0", 0))
    more = dict(stage=stage("target", 1), method="rbdc")
    runs.add("target", 90.0, core_hours=1.0, parents=[leaf, leaf], **more)
    on_gpu = dict(gpu_hours=3.0, core_hours=9.0, peak_memory_of="device", device="8 x H100")
    runs.add("gpu", 91.0, **on_gpu)
    runs.add("mixed", 92.0, parents=[leaf], **more, **on_gpu)
    runs.add("elsewhere", 93.0, core_hours=1.0, parents=[Ledger.new("far", "far")], **more)
    runs.add("old", 94.0)
    rows = collect([runs.root]).rows.set_index("run")
    hours = rows["total_hours"].to_dict()
    assert (hours["target"], hours["gpu"], hours["leaf"]) == (1.25, 3.0, 0.25)
    assert all(map(math.isnan, (hours[name] for name in ("mixed", "elsewhere", "old"))))
    assert rows["hours_on"].to_dict() == {
        "leaf": "CPU", "target": "CPU", "gpu": "H100", "mixed": "", "elsewhere": "", "old": "",
    }  # fmt: skip


def test_what_was_saved_in_hours(runs, tmp_path):
    """As in FLOPs: half of scratch's FLOPs, but only a fifth of its hours saved."""
    for seed in (0, 1):
        for name, top1, tflops, hours in (("short", 96.0, 1.0, 0.5), ("long", 98.0, 2.0, 1.0)):
            runs.add(f"{name}-{seed}", top1 + 0.2 * seed, tflops=tflops, seed=seed,
                     core_hours=hours, device="1 of 2 cores of A")  # fmt: skip
        runs.add(f"stack-{seed}", 98.0 + 0.2 * seed, tflops=1.0, seed=seed, core_hours=0.8,
                 method="stack", config="s.py", device="2 of 2 cores of A")  # fmt: skip
        runs.add(f"other-{seed}", 98.0 + 0.2 * seed, tflops=1.0, seed=seed, core_hours=0.1,
                 method="ligo", config="l.py", device="1 of 2 cores of B")  # fmt: skip
    made = aggregate([runs.root], tmp_path / "out")
    frame = savings_frame(made.runs.rows, made.arms).set_index("method")
    assert frame.loc["stack", "saving_total_percent"] == pytest.approx(50)
    assert frame.loc["stack", "saving_hours_percent"] == pytest.approx(20)
    assert math.isnan(frame.loc["ligo", "saving_hours_percent"]), "of another machine"
    text = (tmp_path / "out/classification_savings.md").read_text()
    assert "saving (hours) (%)" in text and "95% interval (hours) (%)" in text
    assert "hours of (c)" in (tmp_path / "out/classification.md").read_text()
    assert not (tmp_path / "out/curves.png").exists(), "one method alone has several budgets"


def test_methods_with_several_budgets_are_drawn_as_curves(runs, tmp_path):
    for seed in (0, 1):
        for n, tflops in enumerate((1.0, 2.0, 3.0)):
            runs.add(f"s{n}-{seed}", 90.0 + n + 0.2 * seed, tflops=tflops, seed=seed)
            runs.rbdc(f"r{n}-{seed}", 91.0 + n + 0.2 * seed, tflops=tflops, leaf_tflops=0.02,
                      seed=seed)  # fmt: skip
    made = aggregate([runs.root], tmp_path / "out")
    figure = curves_figure(made.arms)
    (axes,) = figure.axes  # hours are not known
    assert {text.get_text() for text in axes.texts} >= {"scratch", "RBDC"}
    (table,) = (table for table in made.tables if table.slug == "budgets")
    assert table.head[1:] == [f"top-1 (%) at {n}% of scratch's FLOPs" for n in (33, 67, 100)]
    rbdc, scratch = table.rows
    assert rbdc == ["RBDC", "91.10 ± 0.14 [1]", "92.10 ± 0.14 [1]", "93.10 ± 0.14 [1]"]
    assert scratch == ["scratch", "90.10 ± 0.14 [2]", "91.10 ± 0.14 [2]", "92.10 ± 0.14 [2]"]
    assert (tmp_path / "out/curves.png").is_file()


def test_several_data_sets_are_refused_or_split(runs, tmp_path):
    fill(runs)
    runs.add("other", 55.0, dataset="CustomDataset:fractals")
    with pytest.raises(ValueError, match=r"2 data sets: digits, fractals\. .*--split"):
        aggregate([runs.root], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    aggregate_each([runs.root], tmp_path / "out", formats=("csv",))
    folders = {
        "digits": (*CLASSIFIERS, "summary"),
        "fractals": CLASSIFIERS,
        "digit_scenes": DETECTORS,
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(folders)
    for name, slugs in folders.items():
        found = {path.name for path in (tmp_path / "out" / name).iterdir()}
        assert found == {*PLAIN, *(f"{slug}.csv" for slug in slugs)}, name


def test_numbers_of_classes_are_not_mixed(runs):
    runs.add("ten", 90.0, num_classes=10)
    runs.add("two", 99.0, num_classes=2, seed=1)
    runs.add("unknown", 95.0, num_classes=None, seed=2)
    found = data_sets(collect([runs.root]).rows)["classification"]
    assert list(found) == ["digits-10-classes", "digits-2-classes", "digits"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"baseline": "rbbc"}, "no finished run of baseline 'rbbc'.*the methods here are rbdc, sc"),
        ({"formats": ("md", "doc")}, r"formats \['doc'\]: wanted some of md, csv"),
        ({"published": "nowhere.csv"}, "cannot read nowhere.csv"),
    ],
)
def test_bad_options_are_said_before_anything_is_written(runs, tmp_path, options, words):
    fill(runs)
    with pytest.raises(ValueError, match=words):
        aggregate([runs.root], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_what_is_malformed_deep_inside_is_named_and_left_out(runs, capsys):
    runs.add("good", 90.0)
    record = json.loads((runs.root / "good" / RECORD).read_text())
    entry = record["ledger"]["entries"]["good-id"]
    runs.write("parents", json.dumps(record | {"ledger": record["ledger"] | {
        "entries": {"good-id": entry | {"parents": 3}}}}))  # fmt: skip
    runs.write("run_id", json.dumps(record | {"ledger": record["ledger"] | {"run_id": [1]}}))
    runs.write("spent", json.dumps(record | {"spent": {"30": "much"}}))
    assert list(collect([runs.root]).rows["run"]) == ["good"]
    said = capsys.readouterr().err
    for words in ("parents must be a list of run ids", "no entry of its own run [1]", "spent has"):
        assert words in said


def test_committed_rows_and_a_run_that_has_only_begun(runs, tmp_path, capsys):
    runs.add("done", 90.0)
    aggregate([runs.root], tmp_path / "out", formats=("csv",))
    runs.add("begun/it", 10.0, finished=False)
    rows = collect([tmp_path / "out", runs.root / "begun"]).rows
    assert list(rows["run"]) == ["done"] and "1 unfinished" in capsys.readouterr().err


def test_a_source_of_unknown_cost_is_not_drawn_as_none(runs):
    from rbdc_mm.report.detection_plot import detection_figure

    unknown = Ledger.unknown("zoo", "a checkpoint of the zoo")
    scratch = runs.add("scratch", 95.0, tflops=3.0)
    runs.detector("det", 0.4, 0.3, parents=[scratch])
    runs.detector("det-random", 0.2, 0.1, method="random")
    runs.detector("det-zoo", 0.5, 0.4, parents=[unknown], method="checkpoint")
    rows = collect([runs.root]).rows
    pretraining, total = detection_figure(rows, arms_of(rows)).axes
    assert {text.get_text() for text in pretraining.texts} == {"scratch", "random init"}
    names = {text.get_text() for text in total.texts}
    assert names == {"scratch", "random init", "given checkpoint (FLOPs ≥)"}


def test_a_metric_that_nothing_has_is_refused(runs, tmp_path):
    runs.add("classifier", 90.0)
    with pytest.raises(ValueError, match="--metric segm_mAP: no finished run has it"):
        aggregate([runs.root], tmp_path / "out", metric="segm_mAP")
    assert not (tmp_path / "out").exists()


def test_the_runs_own_folder_is_no_place_for_results(runs):
    fill(runs)
    with pytest.raises(ValueError, match=r"is a folder of the runs themselves: give another"):
        aggregate([runs.root], runs.root)
    assert not (runs.root / "rows.csv").exists()


def test_tables_at_the_end_of_a_run(runs):
    fill(runs)
    text = tables_of(runs.root)
    assert "## Classification" in text and "97.40 ± 0.28" in text and "AP against FLOPs" in text


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
    done = tool(runs.root, "--out", tmp_path / "out", "--baseline", "scratch", "--metric", "top1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/index.html").stat().st_size > 10**6  # with the scripts it needs
    assert "## Classification" in done.stdout and "## Detection" in done.stdout
    assert str(tmp_path / "out/accuracy_vs_flops.png") in done.stdout


def test_the_tool_says_errors_in_one_line(runs, tmp_path, capsys):
    command = load_tool("aggregate")
    assert command.main([str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    runs.add("a", 90.0)
    (tmp_path / "file").write_text("")
    assert command.main([str(runs.root), "--out", str(tmp_path / "file/out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: cannot write ") and said.count("\n") == 1
    out = ["--out", str(tmp_path / "out"), "--formats", "csv"]
    assert command.main([str(runs.root), *out, "--watch", "0"]) == 1
    assert "--watch wants seconds" in capsys.readouterr().err
    assert command.main([str(runs.root), *out, "--split"]) == 0
    assert str(tmp_path / "out/digits/rows.csv") in capsys.readouterr().out
