"""tools/plan.py: the plan in words and as a picture in which nothing overlaps."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import pytest
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from helpers import vit_model
from rbdc_mm.arch import ResNetArch, ViTArch
from rbdc_mm.protocol.plan import Plan, Stage
from rbdc_mm.report.plan_picture import draw_plan, save_plan_picture
from rbdc_mm.report.plan_text import tree_text

ROOT = Path(__file__).parents[1]


def vit(width: int) -> ViTArch:
    return ViTArch(width, 12, max(1, width // 64), 4 * width, num_classes=1000)


def plan_of(depth: int, target: int = 768, arch=vit, branching: int = 2) -> Plan:
    """A tree with the costs of a DeiT-B, 1e11 FLOPs a sample at the top."""
    names: list[list[str]] = []
    stages = []
    for level in range(depth + 1):
        num = branching ** (depth - level)
        kind = "target" if level == depth else f"node{level}" if level else "leaf"
        names.append([kind if level == depth else f"{kind}-{n}" for n in range(num)])
        for n, name in enumerate(names[-1]):
            parents = tuple(names[-2][n * branching : (n + 1) * branching]) if level else ()
            stages.append(
                Stage(name, level, arch(target // num), 116, 10**11 // num**2, 1281167, 10**6,
                      len(stages), parents)
            )  # fmt: skip
    return Plan("RBDC", stages, 300 * 1281167 * 10**11, 300, None)


PLANS = {
    "4 → 2 → 1": plan_of(2),
    "8 → 4 → 2 → 1": plan_of(3),
    "2 → 1": plan_of(1),
    "4 → 1": plan_of(1, branching=4),
    "the target alone": plan_of(0),
    "8 → 4 → 2 → 1, ResNet": plan_of(3, 2048, lambda width: ResNetArch(101, width)),
}


@pytest.mark.parametrize("name", PLANS)
def test_no_text_of_the_picture_overlaps_or_leaves_its_box(name):
    plan = PLANS[name]
    figure = draw_plan(plan)
    figure.canvas.draw()
    axes = figure.axes[0]
    texts = [text for text in axes.texts if text.get_text()]
    extents = [text.get_window_extent() for text in texts]
    for n, (text, extent) in enumerate(zip(texts, extents, strict=True)):
        for other, there in list(zip(texts, extents, strict=True))[n + 1 :]:
            assert not extent.overlaps(there), (text.get_text(), other.get_text())
        assert figure.bbox.x0 <= extent.x0 and extent.x1 <= figure.bbox.x1, text.get_text()
    boxes = [patch.get_window_extent() for patch in axes.patches if is_box(patch)]
    assert len(boxes) == len(plan.stages)
    for extent, text in zip(extents, texts, strict=True):
        touched = [box for box in boxes if box.overlaps(extent)]
        inside = [box for box in touched if box.x0 < extent.x0 and extent.x1 < box.x1]
        assert touched == inside, text.get_text()
    assert name.removesuffix(", ResNet") in "\n".join(text.get_text() for text in texts)


def is_box(patch) -> bool:
    return isinstance(patch, FancyBboxPatch)


def test_boxes_are_to_scale_and_say_everything():
    figure = draw_plan(PLANS["4 → 2 → 1"])
    widths = [patch.get_width() for patch in figure.axes[0].patches if is_box(patch)]
    assert [w / widths[0] for w in widths] == pytest.approx([1, 1, 1, 1, 2, 2, 4])
    words = {text.get_text() for text in figure.axes[0].texts}
    # 4 * 1/16 + 2 * 1/4 + 1 = 1.75 of the target's own cost, at 116 of 300 epochs
    assert {"DeiT-Ti 192 wide", "3 heads", "116 epochs", "3.6% of FLOPs", "57.1% of FLOPs"} < words
    assert any("= 67.67% of scratch (38.435 EFLOPs, 300 epochs)" in word for word in words)


def test_tree_in_words():
    assert tree_text(PLANS["4 → 2 → 1"]).splitlines()[1:] == [
        "target: DeiT-B 768 wide, 12 heads, 116 epochs",
        "├── node1-0: DeiT-S 384 wide, 6 heads, 116 epochs",
        "│   ├── leaf-0: DeiT-Ti 192 wide, 3 heads, 116 epochs",
        "│   └── leaf-1: DeiT-Ti 192 wide, 3 heads, 116 epochs",
        "└── node1-1: DeiT-S 384 wide, 6 heads, 116 epochs",
        "    ├── leaf-2: DeiT-Ti 192 wide, 3 heads, 116 epochs",
        "    └── leaf-3: DeiT-Ti 192 wide, 3 heads, 116 epochs",
    ]
    resnet = plan_of(1, 64, lambda width: ResNetArch(50, width))
    assert "├── leaf-0: ResNet-50, 32 base channels, 116 epochs" in tree_text(resnet)


def test_pictures_do_not_vary_and_bad_names_are_said(tmp_path):
    plan = PLANS["2 → 1"]
    for kind in ("png", "svg"):
        first = save_plan_picture(plan, tmp_path / f"a/plan.{kind}").read_bytes()
        assert save_plan_picture(plan, tmp_path / f"b/plan.{kind}").read_bytes() == first
    with pytest.raises(ValueError, match=r"wanted a name ending in \.png"):
        save_plan_picture(plan, tmp_path / "plan.jpeg2000")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot write .*plan\.png"):
        save_plan_picture(plan, tmp_path / "file/plan.png")


# --- the tool -----------------------------------------------------------------------------------

PROTOCOL = "dict(type='RBDC', depth=2, branching=2)"
CONFIG = """
model = {model!r}
image_size = [32, 32]
num_train_samples = 1000
train_cfg = dict(by_epoch=True, max_epochs=60)
default_scope = 'mmpretrain'
"""


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("plan_tool", ROOT / "tools" / "plan.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    logging.disable(logging.NOTSET)  # which the tool raises, for its own process


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "config.py"
    path.write_text(CONFIG.format(model=vit_model(embed_dims=64, num_heads=4)))
    return path


def test_the_tool_prints_table_and_tree_and_draws(tool, config, tmp_path, capsys):
    config.write_text(config.read_text() + f"protocol = {PROTOCOL}\n")
    png = tmp_path / "new" / "plan.png"
    assert tool.main([str(config), "--png", str(png), "--cfg-options", "protocol.depth=1"]) == 0
    said = capsys.readouterr()
    assert "rounding to whole epochs" in said.out and "of scratch" in said.out
    assert "target: ViT 64 wide, 4 heads" in said.out and "└── leaf-1: ViT 32 wide" in said.out
    assert "leaf-2" not in said.out and "INFO" not in said.out + said.err  # depth 1, not 2
    with Image.open(png) as picture:
        assert picture.width > 800


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "has no protocol, thus nothing to plan"),
        ("protocol = dict(type='RBCD')", "unknown protocol 'RBCD'"),
        ("protocol = dict(type='RBDC', branching=3)", "cannot be cut into 3 equal parents"),
    ],
)
def test_the_tool_says_errors_in_one_line(tool, config, capsys, line, message):
    config.write_text(config.read_text() + line)
    assert tool.main([str(config)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("error: ") and message in said[-1]


def test_a_missing_config_is_one_error(tool, capsys):
    assert tool.main(["nowhere.py"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
