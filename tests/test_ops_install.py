"""``mmcv/_ext.py`` is written, recognised and removed; a compiled extension comes first."""

from __future__ import annotations

import subprocess
import sys

from fake_mmcv import fake_mmcv, found, ops_command
from rbdc_mm.ops.install import LINE, ops_state


def test_installed_recognised_and_removed(tmp_path):
    mmcv = fake_mmcv(tmp_path)
    for _ in range(2):  # the second time there is nothing to do
        code, message = ops_command("install", mmcv)
        assert code == 0 and "_ext.py" in message
        assert (mmcv / "_ext.py").read_text() == LINE
    assert ops_command("status", mmcv)[1].startswith("mmcv's ops: torchvision 0.")
    assert sorted(path.name for path in mmcv.iterdir()) == ["__init__.py", "_ext.py", "ops"]
    for _ in range(2):
        assert ops_command("uninstall", mmcv)[0] == 0
        assert not (mmcv / "_ext.py").exists()


def test_the_line_of_another_version_is_renewed(tmp_path):
    mmcv = fake_mmcv(tmp_path)
    (mmcv / "_ext.py").write_text("from rbdc_mm.ops.elsewhere import nms\n")
    assert ops_command("install", mmcv)[0] == 0
    assert (mmcv / "_ext.py").read_text() == LINE


def test_a_compiled_extension_comes_first(tmp_path):
    mmcv = fake_mmcv(tmp_path)
    assert ops_command("install", mmcv)[0] == 0
    (mmcv / "_ext.abi3.so").write_bytes(b"compiled")
    (mmcv / "_ext.cpython-27-other.so").write_bytes(b"of another Python: not looked at")
    with found(mmcv):
        assert str(ops_state()) == "compiled"
    (mmcv / "_ext.abi3.so").unlink()
    with found(mmcv):
        assert ops_state().kind == "torchvision"


def test_stock_tools_get_the_ops_without_any_import_of_ours(tmp_path):
    """As mmdet's own tools/test.py does it: mmcv's ops before any config is read."""
    code = "import sys, mmcv.ops, mmdet.models; print(mmcv.ops.get_compiler_version())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert ops_state().kind == "compiled" or "torchvision's kernels" in done.stdout
