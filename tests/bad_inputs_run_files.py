"""A run.json that is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bad_inputs import BadInput
from rbdc_mm.records import RECORD
from rbdc_mm.report import collect
from rbdc_mm.report.read import read_record
from whole_record import whole_record


def read(text: str) -> Callable[[Path], str]:
    def provoke(folder: Path) -> str:
        path = folder / RECORD
        path.write_text(text, encoding="utf-8")
        try:
            read_record(path)
        except ValueError as error:
            return str(error)
        raise AssertionError("it was read")

    return provoke


def of(**changes) -> str:
    """A whole record but for these fields."""
    return json.dumps(whole_record() | changes)


def nothing(folder: Path) -> str:
    try:
        collect([folder])
    except ValueError as error:
        return str(error)
    raise AssertionError("there was something")


CASES = [
    BadInput("a folder without runs", nothing, r"no run.json under .*RunRecordHook leaves one"),
    BadInput("a file that was cut off", read(of()[:200]), r"Unterminated|Expecting|delimiter"),
    BadInput("another kind of JSON", read("[1]"), r"wanted a JSON object, got list"),
    BadInput("a later version's record", read(of(schema=9)), r"schema 9, this version reads 1"),
    BadInput("a text for a number", read(of(num_params="9")), r"wrong type: num_params"),
    BadInput("a stage without a name", read(of(stage={})), r"stage has no name"),
    BadInput("a metric that is a text", read(of(history={"1": {"a": "b"}})), r"that is no number"),
    BadInput("FLOPs with a point", read(of(spent={"1": 0.5})), r"no whole numbers"),
    BadInput("no ledger", read(of(ledger={})), r"ledger: missing keys"),
]
