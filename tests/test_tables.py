"""From rows to exact frames and tables: three totals, baselines, ranks, detectors, families."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from made_runs import MadeRuns
from rbdc_mm.report.all_tables import report_tables
from rbdc_mm.report.arms import arms_of
from rbdc_mm.report.curves import check_baseline
from rbdc_mm.report.frames import (
    classification_frame,
    curves_frame,
    detection_full_frame,
    downstream_frame,
    savings_frame,
)
from rbdc_mm.report.pretrain_tables import classification_table
from rbdc_mm.report.runs import COCO_NUMBERS, Runs
from rbdc_mm.report.runs_frames import WHOLE, along_runs, family_frame
from rbdc_mm.report.table import Table

TINY, SMALL = "deit-tiny", "deit-small"


def fill(num_seeds: int = 3, unknown: bool = False) -> MadeRuns:
    """Scratch at 1000 and 4000 PFLOPs has 70 and 74; RBDC has 72 for 500, 800 or 1000."""
    made = MadeRuns()
    for seed in range(num_seeds):
        off = 0.1 * (seed - (num_seeds - 1) / 2)
        for cost, top1 in ((1000.0, 70.0), (4000.0, 74.0)):
            made.add(f"s{cost}-{seed}", {"top1": top1 + off}, own=cost, seed=seed,
                     epochs=round(cost / 10), config="configs/scratch/deit.py")  # fmt: skip
        sources = {f"leaf-{seed}": math.nan if unknown else 200.0}
        made.add(f"r-{seed}", {"top1": 72.0 + off}, own=500.0, teachers=300.0, sources=sources,
                 method="rbdc", role="target", config="rbdc_deit.py", seed=seed)  # fmt: skip
    return made


def tables(runs: Runs, **more) -> dict[str, Table]:
    return {made.table.slug: made.table for made in report_tables(runs, arms_of(runs.rows), **more)}


def savings(made: MadeRuns, **more) -> pd.DataFrame:
    rows = made.runs().rows
    return savings_frame(rows, arms_of(rows), **more).set_index(["method", "epochs"])


def cells(table: Table, method: str) -> dict[str, str]:
    """The first row of a method, by head."""
    column = table.head.index("method")
    return dict(zip(table.head, next(r for r in table.rows if r[column] == method), strict=True))


# --- three totals -------------------------------------------------------------------------------


def test_what_a_saving_becomes_when_its_sources_are_charged():
    rbdc = savings(fill()).loc["rbdc", 300]
    # 72 is half-way between 1000 and 4000 in log FLOPs: 2000
    for cost, flops in (("own", 500), ("with_teachers", 800), ("total", 1000)):
        assert rbdc[f"{cost}_pflops"] == flops
        assert rbdc[f"saving_{cost}_percent"] == pytest.approx(100 * (1 - flops / 2000))
        assert rbdc[f"speedup_{cost}"] == pytest.approx(2000 / flops)
        low, high = (rbdc[f"saving_{cost}_{end}_percent"] for end in ("low", "high"))
        assert low < rbdc[f"saving_{cost}_percent"] < high
        assert rbdc[f"saving_{cost}_interval_note"] == ""
    assert (rbdc["gain_total_points"], rbdc["gain_total_bound"]) == (pytest.approx(2.0), "")
    assert (rbdc["gain_own_points"], rbdc["gain_own_bound"]) == (pytest.approx(2.0), "≥")
    words = cells(tables(fill().runs())["classification_savings"], "RBDC")
    assert [words[f"saving ({x}) (%)"] for x in "abc"] == ["75.0", "60.0", "50.0"]
    over = cells(tables(fill().runs())["classification"], "RBDC")
    assert (over["over scratch (points)"], over["could tell (points)"]) == ("+2.00", "0.00")
    assert words["speed-up (c) (×)"] == "2.00" and words["gain (c) (points)"] == "+2.00"
    assert " to " in words["95% interval (c) (%)"] and words["on the front (c)"] == "yes"


def test_the_baseline_has_no_saving_but_a_place_on_the_front():
    frame = savings(fill())
    assert frame.loc[("scratch", 100), "saving_total_note"] == "baseline"
    assert math.isnan(frame.loc[("scratch", 100), "saving_total_percent"])
    assert frame["on_front_total"].to_dict() == {
        ("rbdc", 300): True, ("scratch", 100): False, ("scratch", 400): True}  # fmt: skip


def test_too_few_seeds_give_no_interval_and_say_so():
    rbdc = savings(fill(num_seeds=1)).loc["rbdc", 300]
    assert rbdc["saving_total_interval_note"] == "single run"
    assert math.isnan(rbdc["saving_total_low_percent"])
    assert rbdc["saving_total_percent"] == pytest.approx(50)


def test_the_same_rows_give_the_same_numbers_whatever_is_beside_them():
    alone, more = fill(), fill()
    for seed in range(3):
        more.add(f"x-{seed}", {"top1": 71.0 + seed}, own=7000.0, method="ligo", seed=seed)
    wanted = savings(alone).loc["rbdc", 300]
    pd.testing.assert_series_equal(savings(alone).loc["rbdc", 300], wanted, check_exact=True)
    pd.testing.assert_series_equal(savings(more).loc["rbdc", 300], wanted, check_exact=True)


def test_unknown_sources_make_bounds_of_the_total_alone():
    made = fill(unknown=True)
    rbdc = savings(made).loc["rbdc", 300]
    assert (rbdc["saving_total_percent"], rbdc["saving_total_bound"]) == (pytest.approx(60), "≤")
    assert (rbdc["saving_own_bound"], rbdc["saving_with_teachers_bound"]) == ("", "")
    assert rbdc["saving_total_interval_note"] == "open below"
    # nobody knows whether it is: it is not on the front of the total, nor keeps others off it
    assert (rbdc["on_front_own"], rbdc["on_front_total"]) == (True, False)
    shown = tables(made.runs())
    words = cells(shown["classification"], "RBDC")
    assert words["(c) + source models (PFLOPs)"] == "≥ 800.0"
    assert words["(b) + teachers, operator (PFLOPs)"] == "800.0"
    assert words["(c) (% of longest scratch)"] == "≥ 20.0"
    assert cells(shown["classification_savings"], "RBDC")["saving (c) (%)"] == "≤ 60.0"


# --- baselines ----------------------------------------------------------------------------------


def test_any_method_may_be_the_baseline():
    against = savings(fill(), baseline="rbdc")
    assert against.loc[("rbdc", 300), "saving_own_note"] == "baseline"
    long = against.loc["scratch", 400]
    # better than RBDC's only budget: at least 1 - 4000/500 of (a), 1 - 4000/1000 of (c)
    assert (long["saving_own_percent"], long["saving_own_bound"]) == (pytest.approx(-700), "≥")
    assert long["saving_total_percent"] == pytest.approx(-300)
    assert against.loc[("scratch", 100), "saving_total_note"] == "below the curve"
    head = tables(fill().runs(), baseline="rbdc")["classification"].head
    assert "(c) (% of longest RBDC)" in head


def test_a_missing_baseline_is_said_and_one_architecture_may_lack_it():
    made = fill()
    arms = arms_of(made.runs().rows)
    check_baseline(arms, "rbdc")
    with pytest.raises(ValueError, match=r"baseline 'net2net'.*methods here are rbdc, scratch"):
        check_baseline(arms, "net2net")
    made.add("other", {"top1": 60.0}, own=9.0, method="rbdc", architecture=TINY, epochs=5)
    row = savings(made).loc["rbdc", 5]
    assert math.isnan(row["saving_total_percent"]) and row["saving_total_note"] == ""
    assert row["saving_total_interval_note"] == "no baseline"


def test_scratch_with_parents_is_no_baseline():
    made = MadeRuns()
    made.add("a", {"top1": 70.0}, own=100.0, sources={"b": 1.0})
    with pytest.raises(ValueError, match="no finished run of baseline 'scratch'"):
        check_baseline(arms_of(made.runs().rows), "scratch")


def test_curves_of_several_budgets():
    made = fill()
    for cost, top1 in ((1000.0, 72.0), (4000.0, 75.0)):
        made.add(f"l{cost}", {"top1": top1}, own=cost, method="ligo")
    frame = curves_frame(arms_of(made.runs().rows)).set_index("method")
    assert list(frame.index) == ["ligo"] and frame.loc["ligo", "num_budgets"] == 2
    assert frame.loc["ligo", "mean_gain_total_points"] == pytest.approx(1.5)  # (2 + 1) / 2
    words = cells(tables(made.runs())["classification_curves"], "LiGO")
    assert words["total (PFLOPs)"] == "1000 to 4000"
    assert words["mean gain, (c) + source models (points)"] == "+1.50"


# --- ranks and shares ---------------------------------------------------------------------------


def test_ranks_are_within_one_architecture_and_the_best_is_bold():
    made = fill()
    for seed in range(3):
        made.add(
            f"t-{seed}", {"top1": 60.0 + seed}, own=9.0, architecture=TINY, seed=seed, epochs=9
        )
    frame = classification_frame(made.runs().rows, arms_of(made.runs().rows))
    ranked = frame.set_index(["architecture", "method", "epochs"])["rank"]
    assert np.isnan(ranked.pop((TINY, "scratch", 9)))  # alone in its panel
    assert ranked.to_dict() == {(SMALL, "rbdc", 300): 2, (SMALL, "scratch", 100): 3,
                                (SMALL, "scratch", 400): 1}  # fmt: skip
    shares = frame.set_index("method").loc["rbdc", "percent_of_longest_baseline"]
    assert shares == pytest.approx(25.0)
    table = tables(made.runs())["classification"]
    column = table.head.index("top-1 (%)")
    assert {row for row, at in table.bold if at == column} == {1} and len(table.bold) == 1
    words = table.to_markdown("../..")
    assert "**74.00 ± 0.10**" in words and "72.00 ± 0.10" in words and "**72" not in words
    # a config of the repository is linked, a bare name is not
    assert "[scratch](../../configs/scratch/deit.py)" in words and "](../../rbdc" not in words
    assert "](" not in table.to_markdown()


def test_single_runs_are_not_ranked():
    table = tables(fill(num_seeds=1).runs())["classification"]
    assert not table.bold and cells(table, "RBDC")["rank"] == "–"
    assert cells(table, "RBDC")["top-1 (%)"] == "72.00"
    assert cells(table, "RBDC")["over scratch (points)"] == "+2.00 (1 run)"
    assert "Not ranked: single runs" in table.note and "1 run: a single run on" in table.note
    made = detectors(random=30.0, scratch=40.0)
    table = tables(made.runs())["downstream"]
    assert (
        cells(table, "random init")["box AP over scratch; could tell (points)"] == "−10.0 (1 run)"
    )
    assert not tables(made.runs())["detection"].bold


# --- detection ----------------------------------------------------------------------------------


def detectors(num_seeds: int = 1, **box: float) -> MadeRuns:
    made = MadeRuns()
    costs = {"random": {}, "scratch": {"s": 100.0}, "rbdc": {"r": 60.0}, "zoo": {"z": math.nan}}
    common = dict(kind="detection", dataset="CocoDataset", epochs=12, own=50.0)
    for seed in range(num_seeds):
        for method, ap in box.items():
            ap += made.noise(0.01) if num_seeds > 1 else 0
            aps = {"bbox_mAP": ap, "segm_mAP": ap - 3}
            name = f"{method}{seed}"
            made.add(name, aps, method=method, sources=costs[method], seed=seed, **common)
    return made


def test_ap_against_pretraining_and_total():
    made = detectors(3, random=30.0, scratch=40.0, rbdc=40.2, zoo=41.0)
    rows = made.runs().rows
    frame = downstream_frame(rows, arms_of(rows)).set_index("method")
    columns = ["pretraining_pflops", "finetuning_pflops", "total_pflops", "total_is_lower_bound"]
    assert frame[columns].T.to_dict("list") == {
        "random": [0, 50, 50, False], "scratch": [100, 50, 150, False],
        "rbdc": [60, 50, 110, False], "zoo": [0, 50, 50, True]}  # fmt: skip
    gain = "gain_over_{}_bbox_mAP_{}"
    assert frame.loc["rbdc", gain.format("random", "points")] == pytest.approx(10.2, abs=0.03)
    assert frame.loc["rbdc", gain.format("scratch", "points")] == pytest.approx(0.2, abs=0.03)
    said = frame[gain.format("scratch", "verdict")].to_dict()
    assert said == {"random": "below", "rbdc": "inside the noise", "scratch": "", "zoo": "above"}
    assert frame["rank_bbox_mAP"].to_dict() == {"zoo": 1, "rbdc": 2, "scratch": 2, "random": 3}
    table = tables(made.runs())["downstream"]
    words = cells(table, "RBDC")
    assert words["box AP over scratch; could tell (points)"] == "(+0.2); 0.3"
    assert words["mask AP over random init; could tell (points)"] == "+10.2; 0.3"
    assert "Over random init or scratch" in table.note and "Dunnett, paired by seed" in table.note
    zoo = cells(table, "zoo")
    assert [zoo[f"{x} (PFLOPs)"] for x in ("pretraining", "finetuning", "total")] == [
        "≥ 0", "50.00", "≥ 50.00"]  # fmt: skip


def test_detectors_save_pretraining_at_equal_ap():
    made = detectors(random=30.0, scratch=40.0, rbdc=40.0)
    frame = savings(made, metric="bbox_mAP")
    rbdc = frame.loc["rbdc", 12]
    assert rbdc["saving_pretraining_percent"] == pytest.approx(40)  # 60 for 100
    assert rbdc["saving_total_percent"] == pytest.approx(100 * (1 - 110 / 150))
    assert frame.loc[("random", 12), "saving_total_note"] == "below the curve"
    slugs = tables(made.runs(), metric="segm_mAP")
    assert slugs["detection_savings"].title.startswith("Detection: saved at equal mask AP, Coco")
    assert list(slugs) == ["detection", "downstream", "detection_savings", "detection_full"]


def test_detectors_of_other_schedules_are_other_panels():
    """At equal pretraining, a longer finetuning is no point of the same curve."""
    made = detectors(scratch=40.0, rbdc=40.0)
    aps = {"bbox_mAP": 44.0, "segm_mAP": 41.0}
    more = dict(kind="detection", dataset="CocoDataset", epochs=36, own=150.0)
    made.add("scratch-3x", aps, method="scratch", sources={"s": 100.0}, **more)
    frame = savings(made, metric="bbox_mAP")
    assert frame.loc[("rbdc", 12), "saving_pretraining_percent"] == pytest.approx(40)
    assert frame.loc[("rbdc", 12), "saving_pretraining_bound"] == ""


def test_cocos_twelve_numbers_of_boxes_and_masks():
    made = detectors(scratch=40.0)
    rows = made.runs().rows.assign(**{"bbox_AR_s@1000": 19.0, "bbox_mAP_75": math.nan})
    frame = detection_full_frame(arms_of(rows)).set_index("task")
    assert list(frame.index) == ["box", "mask"]
    assert (
        frame.loc["box", "AR_s@1000_mean_percent"] == 19
        and frame.loc["mask"][[f"{n}_mean_percent" for n in COCO_NUMBERS]].notna().tolist()
        == [True] + [False] * 11
    )
    runs = made.runs()
    words = tables(Runs(rows, runs.curves, runs.stages, runs.unfinished))["detection_full"]
    assert words.rows[0][3:6] == ["40.0", "–", "–"] and words.rows[1][2:4] == ["mask", "37.0"]


# --- families and runs --------------------------------------------------------------------------


def chain(*, alone: bool = True, unknown: bool = False) -> MadeRuns:
    """A chain of two models, two seeds: 100 and 300 PFLOPs; alone they take 200 and 1000."""
    made = MadeRuns()
    for seed in (0, 1):
        named = dict(method="com_pt", config="com_pt_deit.py", seed=seed)
        first = math.nan if unknown else 100.0
        if not unknown:
            made.add(f"c0-{seed}", {"top1": 70.0 + seed}, own=100.0, architecture=TINY, role="leaf",
                     stage="chain-0", **named)  # fmt: skip
        made.add(f"c1-{seed}", {"top1": 80.0 + seed}, own=250.0, teachers=50.0, role="target",
                 stage="target", sources={f"c0-{seed}": first}, **named)  # fmt: skip
        made.add(f"big-{seed}", {"top1": 81.0}, own=1000.0, seed=seed)
        if alone:
            made.add(f"small-{seed}", {"top1": 71.0}, own=200.0, architecture=TINY, seed=seed)
    made.add("short", {"top1": 75.0}, own=500.0, epochs=150)
    return made


def family(made: MadeRuns) -> pd.DataFrame:
    runs = made.runs()
    return family_frame(runs.rows, arms_of(runs.rows), runs.stages).set_index("stage")


def test_a_family_against_each_model_alone():
    frame = family(chain())
    assert list(frame.index) == ["chain-0", "target", WHOLE]
    assert frame["chain_pflops"].tolist() == [100, 300, 400]
    assert frame["scratch_pflops"].tolist() == [200, 1000, 1200]  # the longest
    assert frame["acceleration"].tolist() == pytest.approx([2, 1000 / 300, 3])
    assert frame["top1_mean_percent"][:2].tolist() == [70.5, 80.5]
    assert frame["scratch_top1_mean_percent"][:2].tolist() == [71, 81]
    assert frame["n"].tolist() == [2, 2, 2]
    rows = tables(chain().runs())["family"].rows
    assert [row[-2] for row in rows] == ["2.00", "3.33", "3.00"]


def test_a_family_that_was_not_measured_alone_has_no_ratio():
    frame = family(chain(alone=False))
    assert frame["acceleration"].isna().tolist() == [True, False, True]
    rows = tables(chain(alone=False).runs())["family"].rows
    assert [row[-3] for row in rows] == ["not measured", "1000", "not measured"]


def test_a_chain_of_unknown_cost_is_bounded():
    frame = family(chain(unknown=True))
    bounds = frame["chain_is_lower_bound"].to_dict()
    assert bounds.pop(WHOLE) and not bounds.pop("target") and all(bounds.values())
    words = tables(chain(unknown=True).runs())["family"].rows[-1]
    assert words[-4] == "≥ 300.0"


def test_accuracy_along_runs_is_averaged_step_by_step():
    runs = fill().runs()
    arms = arms_of(runs.rows)
    along = along_runs(runs.rows, arms, runs.curves)
    assert set(along["arm"]) == set(arms.index)
    rbdc = along[along["arm"] == arms.index[arms["method"] == "rbdc"][0]]
    assert rbdc["step"].is_monotonic_increasing and (rbdc["n"] == 3).all()
    curves = runs.curves.set_index("run_id")
    mine = curves.loc[[f"r-{seed}" for seed in range(3)]]
    last = mine[mine["step"] == mine["step"].max()]
    assert rbdc["mean"].iloc[-1] == pytest.approx(last["value"].mean())
    assert rbdc["std"].iloc[-1] == pytest.approx(last["value"].std())
    assert rbdc["total_pflops"].iloc[-1] == pytest.approx(1000)
    # one seed's cost unknown: the mean is unknown; one seed fewer: n says so
    short = runs.curves.drop(runs.curves.index[runs.curves["run_id"] == "r-0"][0])
    short.loc[short["run_id"] == "r-1", "total_pflops"] = math.nan
    rbdc = along_runs(runs.rows, arms, short).query("arm == @rbdc.arm.iloc[0]")
    assert rbdc["total_pflops"].isna().all() and rbdc["n"].tolist() == [2] + [3] * 9


def test_no_runs_no_tables():
    rows = fill().runs().rows.iloc[:0]
    nothing = MadeRuns().runs()
    assert report_tables(Runs(rows, nothing.curves, nothing.stages, nothing.unfinished),
                         arms_of(rows)) == []  # fmt: skip


def test_repeated_work_has_a_column_where_there_is_any():
    """Beside the totals, which stay those of the result; older files do not know it."""
    made = MadeRuns()
    made.add("one", {"top1": 70.0}, own=100.0, spent_pflops=112.5)
    made.add("two", {"top1": 71.0}, own=100.0, method="rbdc", config="rbdc.py", config_hash="1")
    runs = made.runs()
    frame = classification_frame(runs.rows, arms_of(runs.rows))
    table = classification_table(frame)
    (head,) = (head for head in table.head if head.startswith("spent"))
    assert head == "spent, with repeated work (PFLOPs)"
    cells = {row[table.head.index("method")]: row[table.head.index(head)] for row in table.rows}
    assert cells == {"scratch": "112.5", "RBDC": "–"}
    assert "100" in table.rows[0][table.head.index("(c) + source models (PFLOPs)")]
    frame["spent_pflops"] = frame["total_pflops"]
    assert not [head for head in classification_table(frame).head if head.startswith("spent")]
