"""Committed tables and plots are what their rows give, byte for byte."""

from __future__ import annotations

import runpy
import shutil
import tempfile
from pathlib import Path

import pytest

from conftest import ROOT

MAKE = runpy.run_path(str(ROOT / "tools" / "results.py"))["main"]
RESULTS = ROOT / "results"
STUDIES = sorted(path.parent.relative_to(RESULTS) for path in RESULTS.rglob("rows.csv"))


@pytest.fixture(scope="module")
def made():
    """The results made again, in a folder as deep as theirs: links to configs are relative."""
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".results-") as folder:
        root = Path(folder)
        shutil.copytree(RESULTS, root, dirs_exist_ok=True)
        for path in root.rglob("*"):
            if path.suffix in (".md", ".csv", ".png", ".svg") and not _is_source(path):
                path.unlink()
        assert MAKE(["--root", str(root)]) == 0
        yield root


def _is_source(path: Path) -> bool:
    """What is not made of rows."""
    names = ("README.md", "rows.csv", "curves.csv", "stages.csv", "published.csv", "models.md",
             "throughput.csv")  # fmt: skip
    return path.name in names


def test_there_are_studies():
    assert {
        *map(Path, ("cifar10", "recipes", "tiny_cpu/classifiers", "tiny_cpu/detectors"))
    } == set(STUDIES)


@pytest.mark.parametrize("study", STUDIES, ids=str)
def test_every_committed_file_is_made_again_bit_for_bit(made, study):
    committed = {path.name for path in (RESULTS / study).iterdir() if path.is_file()}
    again = {path.name for path in (made / study).iterdir() if path.is_file()}
    assert committed == again
    for name in sorted(committed):
        assert (RESULTS / study / name).read_bytes() == (made / study / name).read_bytes(), name


def test_published_rows_are_their_tables(made):
    assert (made / "published.md").read_bytes() == (RESULTS / "published.md").read_bytes()


def test_every_study_says_what_a_reader_asks():
    for study in STUDIES:
        text = (RESULTS / study / "README.md").read_text()
        for word in ("Question.", "Command.", "Machine.", "What came out.", "Limits."):
            assert f"**{word}**" in text, (study, word)


def test_a_folder_without_studies_is_said(tmp_path, capsys):
    assert MAKE(["--root", str(tmp_path)]) == 1
    assert "no rows.csv under" in capsys.readouterr().err
