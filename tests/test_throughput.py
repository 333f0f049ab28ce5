"""Public throughputs as the GPU-hours of a tree."""

from __future__ import annotations

import pytest

from conftest import ROOT
from rbdc_mm.config import read_config
from rbdc_mm.protocol import make_plan
from rbdc_mm.report.throughput import read_throughput
from rbdc_mm.show.hours_text import throughput_table


@pytest.fixture(scope="module")
def tree():
    """That of DeiT-B at 0.70 of the FLOPs."""
    return make_plan(read_config("configs/rbdc/deit_b_rbdc_in1k.py"))


def test_the_committed_file_gives_the_known_hours(tree):
    """0.937 of scratch's GPU-hours by timm, 1.869 times by DeiT III's own pipeline."""
    rows = read_throughput(ROOT / "results/throughput.csv")
    table = throughput_table(rows, tree)
    by_head = [dict(zip(table.head, row, strict=True)) for row in table.rows]
    hours = [row["GPU-hours saved, inferred (%)"] for row in by_head]
    assert hours == ["6.3", "−86.9"]
    assert [row["utilisation DeiT-Ti"] for row in by_head] == ["0.42", "0.12"]
    assert [row["utilisation DeiT-B"] for row in by_head] == ["1.00", "1.00"]
    assert {row["FLOPs saved (%)"][:3] for row in by_head} == {"30."}


@pytest.mark.parametrize(
    "line, message",
    [
        ("a,b,c,images/min,1", "unit .*wanted one of"),
        ("a,b,c,images/s,0", "a number above 0 in each of DeiT-B"),
        ("a,b,c,images/s,fast", "a number above 0"),
    ],
)
def test_bad_files(tmp_path, line, message):
    path = tmp_path / "t.csv"
    path.write_text(f"source,where,device,unit,DeiT-B\n{line}\n")
    with pytest.raises(ValueError, match=message):
        read_throughput(path)


def test_files_that_lack_something(tmp_path, tree):
    path = tmp_path / "t.csv"
    with pytest.raises(ValueError, match="cannot read"):
        read_throughput(path)
    path.write_text("source,where,unit,DeiT-B\na,b,images/s,1\n")
    with pytest.raises(ValueError, match=r"missing columns .'device'"):
        read_throughput(path)
    path.write_text("source,where,device,unit,DeiT-B\na,b,c,images/s,1\n")
    with pytest.raises(ValueError, match="no throughput of DeiT-Ti, DeiT-S"):
        throughput_table(read_throughput(path), tree)
