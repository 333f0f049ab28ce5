"""The set-up's own logic, without network: see tools/setup_env.sh."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = "tools/setup_env.sh"
FILES = (SCRIPT, "constraints.txt", "pyproject.toml")


def bash(code: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-c", code],
        cwd=cwd,
        env={**os.environ, "PIP_NO_INDEX": "1", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def call(function: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess:
    """Runs one function of the script."""
    return bash(f"source {SCRIPT}; {function}", cwd, **env)


@pytest.fixture
def finished_checkout(tmp_path: Path) -> Path:
    """A copy whose set-up is done, as far as the script can tell."""
    if sys.version_info < (3, 11):
        pytest.skip("set-up makes environments of Python 3.11 and newer")
    root = tmp_path / "checkout"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    command = [sys.executable, "-m", "venv", "--without-pip", str(root / ".venv")]
    subprocess.run(command, check=True, timeout=60)
    pip = root / ".venv/bin/pip"
    pip.write_text(f"#!{root}/.venv/bin/python\n", encoding="utf-8")
    done = call('stamp_hash >"$STAMP"', root)
    assert done.returncode == 0, done.stderr
    return root


def up_to_date(root: Path) -> bool:
    done = call("if up_to_date; then echo current; else echo outdated; fi", root)
    assert done.stdout.strip() in ("current", "outdated"), done.stderr
    return done.stdout.strip() == "current"


def test_scripts_parse():
    for script in (SCRIPT, "tools/build_ops.sh", ".ci/run"):
        done = bash(f"bash -n {script}")
        assert done.returncode == 0, done.stderr


def test_constraints_are_plain_pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    odd = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[0-9][\w.]*", line)]
    assert not odd, f"wanted only NAME==VERSION lines in constraints.txt, got {odd}"
    names = [re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines]
    assert len(set(names)) == len(names)
    wanted = {"torch", "torchvision", "onedl-mmengine", "onedl-mmcv", "onedl-mmpretrain"}
    assert {*wanted, "onedl-mmdetection", "setuptools", "ruff", "pytest"} <= set(names)


def test_set_up_names_no_host():
    files = (
        *FILES,
        "tools/build_ops.sh",
        "Makefile",
        ".ci/run",
        ".pre-commit-config.yaml",
        "tools/doctor.py",
    )
    for name in files:
        text = (ROOT / name).read_text(encoding="utf-8").replace("https://arxiv.org/abs/", "")
        text = re.sub(r"https://arxiv\.org/abs/[\d.]+", "", text)  # the papers
        assert not re.search(r"\w://|\bwww\.|--(extra-)?index-url|--find-links", text), name


def test_pre_commit_uses_the_pinned_ruff():
    pin = re.search(r"^ruff==.+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"ruff==[\d.]+", hooks)) == {pin.group()}


def test_openmmlab_is_no_hard_dependency():
    """Else ``pip install -e .`` would put the maintained packages over the originals."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert "torch" in dependencies.group(1)
    assert not re.search(r"mm(engine|cv|pretrain|det)", dependencies.group(1))


def test_finished_set_up_is_recognised_at_once(finished_checkout):
    start = time.monotonic()
    done = bash(f"bash {SCRIPT}", finished_checkout)
    assert (done.returncode, done.stdout, done.stderr) == (0, "setup: up to date\n", "")
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("name", FILES)
def test_changed_input_is_noticed(finished_checkout, name):
    with open(finished_checkout / name, "a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert not up_to_date(finished_checkout)


def test_moved_or_broken_environment_is_noticed(finished_checkout):
    assert up_to_date(finished_checkout)
    moved = finished_checkout.rename(finished_checkout.with_name("moved"))
    assert not up_to_date(moved)
    moved.rename(finished_checkout)
    assert up_to_date(finished_checkout)
    python = finished_checkout / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nonexistent/python3.11")
    assert not up_to_date(finished_checkout)


def test_folder_that_is_no_environment_is_left_alone(finished_checkout):
    (finished_checkout / ".venv/pyvenv.cfg").unlink()
    (finished_checkout / ".venv/bin/pip").unlink()
    done = bash(f"bash {SCRIPT}", finished_checkout)
    assert done.returncode == 1
    assert "is no virtual environment; move it away" in done.stderr
    assert (finished_checkout / ".venv/bin/python").exists()


def test_no_usable_python_is_one_clear_error():
    done = call("pick_python", PYTHON="python-that-is-not-there")
    assert done.returncode == 1
    assert "no Python 3.11 to 3.13 found (tried: python-that-is-not-there)" in done.stderr
