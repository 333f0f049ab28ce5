"""Faults through the command line, one kind; all of them are for tools/soak.py itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import load_tool
from rbdc_mm.data import make_digits

soak = load_tool("soak").main


@pytest.fixture
def called(tmp_path, monkeypatch):
    """Calls the tool in this process, in a folder with digits."""
    monkeypatch.chdir(tmp_path)
    make_digits("data/digits")

    def call(*options: str) -> int:
        monkeypatch.setattr(sys, "argv", ["tools/soak.py", *options])
        return soak()

    return call


def test_a_kind_of_fault_is_counted_once_and_replaces_no_table(called, capsys):
    once = ("--times", "1", "--only", "SIGTERM, in training")
    root = Path(__file__).parent.parent
    command = [sys.executable, str(root / "tools/soak.py"), *once]  # forks: without other threads
    env = {**os.environ, "PYTHONPATH": str(root)}
    first = subprocess.run(command, env=env, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr[-2000:]
    assert "[1/1] SIGTERM, in training: equal" in first.stdout
    assert not Path("results").exists() and not Path("work_dirs/soak/ranks/undisturbed").exists()
    assert called(*once, "--out", "table.md") == 0
    assert "[1/1]" not in capsys.readouterr().out
    row = next(line for line in Path("table.md").read_text().splitlines() if "| all" in line)
    assert [cell.strip() for cell in row.split("|")[1:-1]] == ["all", "", "1", "1", "1", "0", "2"]


def test_kinds_and_times_that_are_none(called, capsys):
    assert called("--only", "flood") == 1
    assert "error: --only 'flood': no such kind, of SIG" in capsys.readouterr().err
    assert called("--times", "0") == 1
    assert "error: --times 0: wanted 1 or more" in capsys.readouterr().err
