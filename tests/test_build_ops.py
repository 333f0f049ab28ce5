"""The logic of building mmcv's compiled ops, without compiling: see tools/build_ops.sh."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import ROOT

SCRIPT = "tools/build_ops.sh"


def call(function: str, **env: str) -> subprocess.CompletedProcess:
    """Runs one function of the script."""
    return subprocess.run(
        ["bash", "-c", f"source {SCRIPT}; {function}"],
        cwd=ROOT,
        env={**os.environ, "PIP_NO_INDEX": "1", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def fake_wheel(folder: Path, member: str) -> Path:
    path = folder / "onedl_mmcv-2.3.6.whl"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("mmcv/__init__.py", "")
        wheel.writestr(member, "compiled")
    return path


def test_only_a_sound_wheel_with_ops_counts(tmp_path):
    cache = tmp_path / "cache"
    good = fake_wheel(cache / "wheels/good", "mmcv/_ext.cpython-311-x86_64-linux-gnu.so")
    fake_wheel(cache / "wheels/no_ops", "mmcv/ops/info.py")
    cut = fake_wheel(cache / "wheels/cut", "mmcv/_ext.cpython-311-x86_64-linux-gnu.so")
    cut.write_bytes(cut.read_bytes()[:-30])
    for key, wanted in (("good", str(good)), ("no_ops", ""), ("cut", ""), ("absent", "")):
        done = call(f"PY={sys.executable}; cached_wheel {key}", RBDC_MM_CACHE=str(cache))
        assert (done.returncode, done.stdout.strip()) == (0, wanted), done.stderr


@pytest.mark.parametrize(("release", "fits"), [("13.2", True), ("12.8", False), (None, False)])
def test_nvcc_must_fit_torch(tmp_path, release, fits):
    nvcc = tmp_path / "nvcc"
    if release:
        nvcc.write_text(
            f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}'\n"
        )
        nvcc.chmod(0o755)
    done = call(f"require_nvcc 13.0 {nvcc}")
    assert (done.returncode == 0) == fits, done.stderr
    if not fits:
        assert f"found {release or 'none'}, wanted 13.x" in done.stderr
        assert "RBDC_MM_CPU_OPS=1 make ops" in done.stderr
