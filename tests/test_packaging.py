"""A wheel works without the checkout, configs have addresses, and versions are said once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mmpretrain
import pytest
import yaml
from mmengine import Config

import rbdc_mm
from conftest import ROOT
from rbdc_mm.config import read_config
from rbdc_mm.home import names, path_of

FLOOR = re.compile(r"([\w-]+)>=([\w.]+)")


@pytest.fixture(scope="module")
def project() -> dict:
    """The table of that name in pyproject.toml."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 cannot read TOML")
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def away(tmp_path_factory) -> Path:
    """An empty folder, ``site`` beside it: there the wheel of this checkout is installed, alone."""
    base = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", base, ROOT]
    subprocess.run(build, capture_output=True, check=True, timeout=300)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", base / "site"]
    subprocess.run([*pip, *base.glob("*.whl")], check=True, timeout=300)
    (base / "empty").mkdir()
    return base / "empty"


def run(away: Path, *command: str | Path) -> str:
    """What Python prints in the folder ``away``, where only the wheel's package is found."""
    env = {**os.environ, "PYTHONPATH": str(away.parent / "site"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(command, cwd=away, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_configs_and_tools_come_along(away):
    mim = away.parent / "site/rbdc_mm/.mim"
    assert run(away, "-m", "rbdc_mm", "configs").split() == names("configs")
    assert run(away, "-m", "rbdc_mm", "configs", "deit_b_rbdc_in1k").split() == [
        str(mim / "configs/rbdc/deit_b_rbdc_in1k.py")
    ]
    tools = set(run(away, "-m", "rbdc_mm", "tools").split())
    assert {"train.py", "test.py", "dist_train.sh"} <= tools < set(names("tools"))
    assert os.access(mim / "tools/dist_train.sh", os.X_OK)
    assert not any(path.is_symlink() for path in mim.rglob("*"))


def small(config: str, digits: Path, **more: object) -> str:
    """The text of a config that trains on a few digits for one epoch."""
    settings = dict(
        param_scheduler=None,
        train_cfg=dict(max_epochs=1, val_interval=1),
        train_dataloader=dict(dataset=dict(data_root=str(digits), indices=[*range(0, 597, 12)])),
        val_dataloader=dict(dataset=dict(data_root=str(digits), indices=[*range(0, 597, 40)])),
    )
    lines = [f"{key} = {value!r}" for key, value in {"_base_": config, **settings, **more}.items()]
    return "\n".join([*lines, "test_dataloader = val_dataloader"])


def test_the_wheel_trains_and_reports_without_the_checkout(away, digits):
    """A user's config over one of ours, by our tools; no file of the checkout is touched."""
    (away / "mine.py").write_text(small("rbdc_mm::tiny/deit_b_scratch_digits.py", digits))
    tool = [run(away, "-m", "rbdc_mm", "tools", name).strip() for name in ("train", "aggregate")]
    assert "mine" in run(away, tool[0], "mine.py")
    record = json.loads((away / "work_dirs/mine/run.json").read_text())
    assert record["finished"] and record["config"] == "mine.py" and record["commit"] is None
    run(away, tool[1], "work_dirs", "--out", "tables", "--formats", "html")
    page = (away / "tables/index.html").read_text()
    assert "2303.00980" in page  # what papers say came along
    assert str(ROOT) not in page


def test_mmpretrains_own_tool_trains_from_the_wheel(away, digits):
    """As ``mim train mmpretrain PATH`` does it."""
    path = run(away, "-m", "rbdc_mm", "configs", "tiny/deit_b_scratch_digits.py").strip()
    (away / "stock.py").write_text(small(path, digits))
    run(away, Path(mmpretrain.__file__).parent / ".mim/tools/train.py", "stock.py")
    assert (away / "work_dirs/stock/final.pth").is_file()


def test_an_address_is_the_file_it_names(tmp_path):
    plain = Config.fromfile("configs/tiny/deit_b_rbdc_digits.py")
    assert read_config("rbdc_mm::tiny/deit_b_rbdc_digits.py").to_dict() == plain.to_dict()
    (tmp_path / "mine.py").write_text("_base_ = ['rbdc_mm::tiny/deit_b_rbdc_digits.py']\n")
    mine = read_config(tmp_path / "mine.py")
    assert mine.to_dict() == plain.to_dict()  # no scope of ours, which knows no ImageClassifier
    zoo = read_config("mmpretrain::deit/deit-base_16xb64_in1k.py")
    assert zoo.model.type == "ImageClassifier"
    assert path_of("configs", "deit_b_rbdc_digits") == ROOT / plain.filename


def test_what_is_known_of_the_project(project):
    assert project["version"] == rbdc_mm.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == project["license"] == "Apache-2.0"
    assert citation["version"] == project["version"]
    papers = {reference["url"] for reference in citation["references"]}
    assert papers == set(project["urls"].values())
    readme = (ROOT / "README.md").read_text()
    assert all(f"arXiv {url.rpartition('/')[2]}" in readme for url in papers)


def test_the_least_versions_are_the_ones_that_were_tested(project):
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "tests/floors.txt").read_text(), re.M))
    named = [*project["dependencies"], *project["optional-dependencies"]["openmmlab"]]
    floors = dict(match.groups() for item in named if (match := FLOOR.fullmatch(item)))
    assert len(floors) == len(named), "every dependency says from which version on"
    untested = [k for k, least in floors.items() if not f"{pins.get(k)}.".startswith(f"{least}.")]
    assert not untested, "tests/floors.txt has other versions than the least allowed"
    readme = (ROOT / "README.md").read_text()
    assert f"torch {floors['torch']}" in readme and f"numpy {floors['numpy']}" in readme
    assert f"Python {project['requires-python'].removeprefix('>=')}" in readme
