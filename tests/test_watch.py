"""Watching runs: what makes it refresh, what it says of runs under way, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from helpers import load_tool
from rbdc_mm.cost import Ledger
from rbdc_mm.report.collect import collect
from rbdc_mm.report.watch import progress_line, watch

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    module = load_tool("bench_aggregate")
    return module


class Clock:
    """Stands in for waiting: does one thing at each look, then presses Ctrl-C."""

    def __init__(self, *steps) -> None:
        self.steps = list(steps)

    def __call__(self, seconds: float) -> None:
        assert seconds == 2.5
        if not self.steps:
            raise KeyboardInterrupt
        self.steps.pop(0)()


def nothing() -> None:
    pass


def change(path: Path, **fields) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def run_watch(make, path: Path, *steps) -> int:
    return watch(make, [path], interval_s=2.5, sleep=Clock(*steps))


def count(path: Path):
    """Stands in for the tables: how many runs have finished."""
    return lambda: f"{len(collect([path]).rows)} rows"


def test_a_watch_refreshes_after_changes_only(bench, tmp_path, capsys):
    root, other = tmp_path / "runs", tmp_path / "other"
    bench.generate(root, 2)
    bench.generate(other, 3)
    leaf = root / "rbdc-0/leaf0/run.json"
    code = run_watch(
        count(root),
        root,
        nothing,
        lambda: change(leaf, wall_s=1.0),
        nothing,
        lambda: (other / "rbdc-0/leaf2").rename(root / "rbdc-0/leaf2"),
        lambda: (leaf.parent / "epoch_3.pth").write_bytes(b""),  # not a run file
        leaf.unlink,
    )
    assert code == 130
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[::2] == ["2 rows", "2 rows", "3 rows", "2 rows"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d refreshed", x) for x in lines[1::2])
    assert err.endswith("stopped watching\n")


def test_a_watch_waits_for_the_first_run(bench, tmp_path, capsys):
    root = tmp_path / "runs"
    run_watch(count(root), root, nothing, root.mkdir, nothing, lambda: bench.generate(root, 1))
    out, err = capsys.readouterr()
    assert out.startswith("1 rows\n") and out.count("refreshed") == 1
    waiting = [line for line in err.splitlines() if "waiting" in line]
    assert len(waiting) == 2
    assert f"{root} does not exist" in waiting[0] and "no run.json under" in waiting[1]


def test_unfinished_runs_are_shown_while_they_run(bench, tmp_path, capsys):
    bench.generate(tmp_path, 2)
    leaves = [tmp_path / f"rbdc-0/leaf{n}/run.json" for n in range(2)]
    history = {"2": {"accuracy/top1": 9.0}, "10": {"accuracy/top1": 31.257}}
    for leaf in leaves:
        change(leaf, finished=False, progress=10, history=history)
    steps = (
        lambda: change(leaves[0], progress=12),
        lambda: change(leaves[0], finished=True, progress=300),
    )
    run_watch(count(tmp_path), tmp_path, *steps)
    out = capsys.readouterr().out
    spent = "40.549 EFLOPs in all"
    running = [line for line in out.splitlines() if "running" in line]
    assert running == [
        f"  running: rbdc-0/leaf{leaf} ({leaves[leaf].parent}): epoch {epoch} of 300, "
        f"top1 31.26, {spent}"
        for leaf, epoch in ((0, 10), (1, 10), (0, 12))
    ]
    assert "not refreshed: no finished run under" in out
    assert out.splitlines()[-2] == "1 rows"


def test_what_cannot_be_made_yet_is_said_and_waited_for(bench, tmp_path, capsys):
    bench.generate(tmp_path, 1)
    made = iter([ValueError("no run of the baseline 'scratch'"), "the tables"])

    def make():
        found = next(made)
        if isinstance(found, ValueError):
            raise found
        return found

    run_watch(make, tmp_path, lambda: change(tmp_path / "rbdc-0/leaf0/run.json", wall_s=2.0))
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.endswith("not refreshed: no run of the baseline 'scratch'")
    assert (second, third[-9:]) == ("the tables", "refreshed")


def test_errors_that_are_not_the_users_end_a_watch(bench, tmp_path):
    bench.generate(tmp_path, 1)

    def make():
        raise AssertionError("a bug")

    with pytest.raises(AssertionError, match="a bug"):
        run_watch(make, tmp_path)
    with pytest.raises(ValueError, match=r"--watch wants seconds .* more than 0, got 0"):
        watch(make, [tmp_path], interval_s=0)


def test_progress_of_other_kinds_of_runs(bench, tmp_path):
    bench.generate(tmp_path, 1)
    path = tmp_path / "rbdc-0/leaf0/run.json"
    assert progress_line(path) is None, "it has finished"
    ledger = Ledger.new("d", "detector", [Ledger.unknown("zoo", "zoo")])
    ledger.add_iteration(1, 2 * 10**12)
    change(
        path,
        finished=False,
        planned=None,
        progress=500,
        unit="iteration",
        history={"500": {"coco/bbox_mAP": 0.4123, "coco/segm_mAP": 0.39}},
        ledger=ledger.to_dict(),
    )
    assert progress_line(path).endswith(": iteration 500, bbox_mAP 41.23, >= 2.000 TFLOPs in all")
    change(path, history={})
    assert ": iteration 500, >= 2.000" in progress_line(path)
    path.write_text("{")
    assert progress_line(path) is None, "a broken one is named by collect"


def test_written_rows_are_watched_too(tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    rows.write_text("a\n")
    run_watch(lambda: "made", tmp_path, lambda: rows.write_text("a\n1\n"), nothing)
    assert capsys.readouterr().out.count("made") == 2


def test_ctrl_c(bench, tmp_path):
    """The real clock and the real signal."""
    bench.generate(tmp_path, 1)
    code = (
        "import signal, sys; from rbdc_mm.report.watch import watch; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # were it ignored here
        "sys.exit(watch(lambda: 'made', sys.argv[1:], interval_s=0.05))"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with subprocess.Popen(command, env=env, **pipes) as process:
        assert process.stdout.readline() == "made\n"
        assert process.stdout.readline().endswith("refreshed\n")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == "" and err.endswith("stopped watching\n")


def test_the_benchmark(bench, capsys):
    """Ten runs, one of them of an unfinished protocol; their ancestors are in their ledgers."""
    assert bench.main(["--runs", "10"]) == 0
    out = capsys.readouterr().out
    # two ledgers of 7 entries' worth: 4 leaves, 2 nodes of 3, a target of 7; and three leaves
    assert re.search(r"10 run files, .* \(10 rows, 200 points, 20 ledger entries\)", out)
    assert "cores of" in out
