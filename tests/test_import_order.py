"""Imports go one way only: a room may import the rooms before it, never one after it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "rbdc_mm"

# Folders or single modules of the package, in the order data flows.
ROOMS = (
    "names",
    "home",
    "whole_files",
    "stopping",
    "lease",
    "records",
    "arch",
    "growth",
    "cost",
    "report",
    "ops",
    "config",
    "registry",
    "ranks",
    "checkpoint",
    "models",
    "hooks",
    "data",
    "protocol",
    "evaluation",
    "launch",
    "show",
    "studies",
    "__main__",
)
# Although it comes later, data is made without any network being known.
NOT_ALLOWED = {"data": {"models", "hooks"}}
# Stand alone: import no room at all. ("" is the package's own __init__.)
ALONE = {"", "doctor"}
# Beside the standard library and the rooms before them.
STANDARD_LIBRARY_ALONE = ("", "names", "home", "records", "whole_files", "stopping", "lease")
STANDARD_LIBRARY_ALONE += ("__main__",)
THIRD_PARTY: dict[str, set[str]] = {room: set() for room in STANDARD_LIBRARY_ALONE}
THIRD_PARTY |= {"ops": {"torch", "torchvision", "numpy", "mmcv"}}
THIRD_PARTY |= {"arch": set(), "growth": {"torch"}, "cost": {"torch"}}


def room_of(module: str) -> str:
    """``rbdc_mm.arch.vit`` -> ``arch``; the package itself -> the empty string."""
    return module.partition(".")[2].partition(".")[0]


def imported_modules(path: Path, module: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every import of a file, those inside functions included."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            if base == PACKAGE:  # `from rbdc_mm import arch` names the room only here
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, base
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            name = getattr(node.args[0], "value", None)
            if called in ("import_module", "__import__") and isinstance(name, str):
                yield node.lineno, name


def complaint(room: str, target: str) -> str | None:
    """Why ``room`` may not import the module ``target``; None where it may."""
    top, other = target.split(".")[0], room_of(target)
    if top == "tools":
        return "nothing imports tools: move what is shared into a room of the package"
    if top != PACKAGE:
        allowed = THIRD_PARTY.get(room)
        if allowed is None or top in sys.stdlib_module_names or top in allowed:
            return None
        names = ", ".join(["the standard library", *sorted(allowed)])
        return f"{room or '__init__'} may import only {names} and rooms before it"
    if other == room or other not in ROOMS:
        return None  # inside one room, or a name of __init__ such as __version__
    if room in ALONE:
        return f"{room or '__init__'} stands alone and imports no room"
    if room == "tools":
        return None
    if ROOMS.index(other) > ROOMS.index(room):
        return f"{other} comes after {room} in the order {' -> '.join(ROOMS)}"
    if other in NOT_ALLOWED.get(room, set()):
        return f"{room} may not import {', '.join(sorted(NOT_ALLOWED[room]))}"
    return None


def violations(root: Path) -> list[str]:
    """One line for every import of the tree that goes the wrong way."""
    found = []
    for path in sorted([*(root / PACKAGE).rglob("*.py"), *(root / "tools").rglob("*.py")]):
        relative = path.relative_to(root)
        parts = [*relative.parent.parts, *([] if path.name == "__init__.py" else [path.stem])]
        room = "tools" if parts[0] == "tools" else room_of(".".join(parts))
        if room not in (*ROOMS, *ALONE, "tools"):
            found.append(
                f"{relative}: the room {room!r} is not in the list: give it its place in ROOMS "
                "in tests/test_import_order.py"
            )
            continue
        for line, target in imported_modules(path, ".".join(parts)):
            why = complaint(room, target)
            if why:
                found.append(f"{relative}:{line}: imports {target}, but {why}")
    return found


def test_imports_go_one_way():
    found = violations(ROOT)
    assert not found, "\n" + "\n".join(found)


GOOD = {
    "rbdc_mm/__init__.py": "__version__ = '1'",
    "rbdc_mm/names.py": "import re",
    "rbdc_mm/arch/__init__.py": "from .vit import VIT",
    "rbdc_mm/arch/vit.py": "import math\nfrom ..names import Catalog\nVIT = 1",
    "rbdc_mm/growth/engine.py": "import torch.nn as nn\nfrom rbdc_mm import arch",
    "rbdc_mm/hooks/grow.py": "import mmengine\nfrom ..models import x\nfrom .. import __version__",
    "rbdc_mm/data/digits.py": "import numpy\nfrom rbdc_mm.names import Catalog",
    "rbdc_mm/doctor.py": "import importlib\nimportlib.import_module('torch')",
    "tools/train.py": "from rbdc_mm.protocol import run\nimport mmengine",
}


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_checker_accepts_what_is_right(tmp_path):
    assert violations(write_tree(tmp_path, GOOD)) == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rbdc_mm/arch/vit.py", "from rbdc_mm.growth import couple", "growth comes after arch"),
        ("rbdc_mm/arch/vit.py", "from rbdc_mm import growth", "growth comes after arch"),
        ("rbdc_mm/arch/vit.py", "from ..growth.engine import W", "growth comes after arch"),
        ("rbdc_mm/arch/__init__.py", "from .. import growth", "growth comes after arch"),
        ("rbdc_mm/arch/deep/a.py", "from ... import cost", "cost comes after arch"),
        ("rbdc_mm/arch/vit.py", "def f():\n    import rbdc_mm.cost.x", ":2: imports rbdc_mm.cost"),
        ("rbdc_mm/growth/a.py", "import mmengine", "growth may import only the standard library"),
        ("rbdc_mm/cost/a.py", "def f():\n    from mmcv import ops", "cost may import only"),
        ("rbdc_mm/names.py", "import torch", "names may import only the standard library"),
        ("rbdc_mm/__init__.py", "import torch", "__init__ may import only the standard library"),
        ("rbdc_mm/__init__.py", "from . import arch", "__init__ stands alone"),
        ("rbdc_mm/doctor.py", "from .arch import VIT", "doctor stands alone"),
        ("rbdc_mm/models/a.py", "from ..hooks import h", "hooks comes after models"),
        ("rbdc_mm/data/a.py", "from ..models import m", "data may not import hooks, models"),
        ("rbdc_mm/report/a.py", "from tools.train import main", "nothing imports tools"),
        (
            "rbdc_mm/cost/a.py",
            "from importlib import import_module\nimport_module('rbdc_mm.models')",
            "models comes after cost",
        ),
        ("rbdc_mm/cellar/a.py", "", "'cellar' is not in the list"),
    ],
)
def test_checker_catches_a_violation(tmp_path, name, text, message):
    found = violations(write_tree(tmp_path, {**GOOD, name: text}))
    assert len(found) == 1, found
    assert message in found[0] and str(Path(name)) in found[0]


# What really gets loaded, whatever the source says.
LOADED = """
import importlib, sys
def loaded(*names):
    return sorted(set(names) & set(sys.modules))
heavy = ("mmengine", "mmcv", "mmpretrain", "mmdet")
torch_needed = ("rbdc_mm.growth",)
for room in sys.argv[1:]:
    importlib.import_module(room)
    found = loaded(*heavy) + ([] if room in torch_needed else loaded("torch"))
    assert not found, f"importing {room} loads {', '.join(found)}"
"""


def test_light_rooms_load_torch_at_most():
    # in this order: once torch is loaded, who loads it can no longer be seen
    rooms = [PACKAGE] + [
        f"{PACKAGE}.{room}"
        for room in ("names", "home", "records", "whole_files", "arch", "cost", "growth")
        if list((ROOT / PACKAGE).glob(f"{room}.py")) or list((ROOT / PACKAGE / room).glob("*.py"))
    ]
    command = [sys.executable, "-c", LOADED, *rooms]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


BLOCKED = """
import sys
class Finder:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Finder())
"""


def test_tables_need_nothing_of_openmmlab():
    """Every module of report/ loads where neither OpenMMLab nor torch is installed."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / PACKAGE / "report").rglob("*.py"))
    ]
    blocked = ("mmengine", "mmcv", "mmpretrain", "mmdet", "torch")
    code = BLOCKED.format(blocked) + "".join(f"import {name}\n" for name in names)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-1000:]
