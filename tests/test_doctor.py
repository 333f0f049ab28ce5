"""tools/doctor.py reports what is there, and what to do about what is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rbdc_mm import doctor

ROOT = Path(__file__).resolve().parents[1]


def run_python(*arguments: str, pythonpath: Path | None = None) -> subprocess.CompletedProcess:
    # GPUs hidden: a CPU-only build of the ops is a choice one may make on a machine with a GPU
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    env.pop("PYTHONPATH", None)
    if pythonpath is not None:
        env["PYTHONPATH"] = str(pythonpath)
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)


def test_this_environment_is_well():
    done = run_python("tools/doctor.py")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in doctor.PACKAGES:
        assert f"ok    {name} " in done.stdout
    for line in (
        "Python",
        "mmcv's ops ",
        "mmcv.ops.nms on cpu",
        "mmcv.ops.roi_align on cpu",
        "GPUs",
        "cores",
    ):
        assert line in done.stdout
    assert "All well." in done.stdout


def test_mmcv_without_ops_fails_with_a_remedy(tmp_path):
    fake = tmp_path / "mmcv"
    fake.mkdir()
    (fake / "__init__.py").write_text("__version__ = '2.3.6'\n", encoding="utf-8")
    done = run_python("tools/doctor.py", pythonpath=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL  mmcv's ops" in done.stdout
    assert "FAIL  mmcv.ops.nms on cpu" in done.stdout
    assert "FAIL  mmcv.ops.roi_align on cpu" in done.stdout
    assert "ok    torchvision.ops.nms on cpu" in done.stdout
    assert f"{fake} hides the installed mmcv: take it off PYTHONPATH" in done.stdout
    assert "Traceback" not in done.stderr


def test_nothing_installed_is_reported_without_a_crash():
    done = run_python("-I", "-S", "tools/doctor.py")  # -S: no site-packages
    assert done.returncode == 1
    assert "FAIL  torch " in done.stdout and "FAIL  mmdet " in done.stdout
    assert "make setup" in done.stdout
    assert done.stderr == ""


def test_both_families_at_once_are_refused(tmp_path):
    for name in ("mmcv-2.1.0", "onedl_mmcv-2.3.6"):
        info = tmp_path / f"{name}.dist-info"
        info.mkdir()
        dist, _, number = name.rpartition("-")
        text = f"Metadata-Version: 2.1\nName: {dist.replace('_', '-')}\nVersion: {number}\n"
        (info / "METADATA").write_text(text, encoding="utf-8")
    code = "from rbdc_mm.doctor import check_families as c, format_table as f; print(f([c()]))"
    done = run_python("-c", code, pythonpath=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "FAIL  OpenMMLab family" in done.stdout
    assert "both the original (mmcv) and the maintained (" in done.stdout
    assert "pip uninstall mmcv " in done.stdout and "onedl-mmcv" in done.stdout


def test_mmcv_without_ops_is_told_of_the_stand_in(monkeypatch):
    monkeypatch.setitem(sys.modules, "mmcv._ext", None)  # importing it fails
    result = doctor.check_ops()
    assert not result.ok and "python -m rbdc_mm.ops install" in result.remedy


def test_a_wrong_answer_fails():
    result = doctor._run_op("an op", lambda: False, lambda: "mend it")
    assert not result.ok and "WRONG" in result.detail
    assert "an op: mend it" in doctor.format_table([result])


def test_ops_on_cuda():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    from mmcv.ops import get_compiling_cuda_version

    if get_compiling_cuda_version() == "not available":
        pytest.skip("mmcv was built for the CPU only")
    checks = (doctor.check_torchvision_nms, doctor.check_mmcv_nms, doctor.check_mmcv_roi_align)
    assert [check("cuda").detail for check in checks] == ["right answer"] * 3
