"""Whatever stands in a run.json, it is read, or left out with one word: never a crash."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rbdc_mm.records import RECORD
from rbdc_mm.report import collect
from rbdc_mm.report.read import read_record
from whole_record import whole_record

BOUNDED = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Every place in a nested value, itself included."""
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


PLACES = places(whole_record())


@pytest.fixture
def folder(tmp_path) -> Path:
    """A work dir with one good run beside the one that is tried."""
    for name in ("good", "tried"):
        (tmp_path / name).mkdir()
    good = whole_record()
    text = json.dumps(good).replace("run-id", "good-id").replace("leaf-id", "other-id")
    (tmp_path / "good" / RECORD).write_text(text)
    return tmp_path


def read_or_refused(folder: Path, text: str) -> None:
    path = folder / "tried" / RECORD
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        read_record(path)
    except ValueError as error:
        assert str(error)
    rows = collect([folder]).rows  # the good run is there whatever the other is
    assert "good-id" in set(rows["run_id"])


@BOUNDED
@given(place=st.sampled_from(PLACES), value=VALUES, drop=st.booleans())
def test_a_record_with_one_odd_value(folder, place, value, drop):
    record = copy.deepcopy(whole_record())
    if not place:
        return read_or_refused(folder, json.dumps(value))
    inner = record
    for key in place[:-1]:
        inner = inner[key]
    if drop:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    read_or_refused(folder, json.dumps(record))


@BOUNDED
@given(cut=st.integers(0, 2000), junk=st.text(max_size=6))
def test_a_record_cut_off_or_overwritten(folder, cut, junk):
    text = json.dumps(whole_record())
    read_or_refused(folder, text[:cut] + junk)
    read_or_refused(folder, text[:cut] + junk + text[cut + len(junk) :])
