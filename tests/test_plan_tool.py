"""tools/plan.py: the plan in words and as a picture in which nothing overlaps."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from helpers import load_tool, vit_model
from rbdc_mm.arch import ResNetArch, ViTArch
from rbdc_mm.protocol.plan import Plan, SourceFile, Stage
from rbdc_mm.show.plan_picture import draw_plan, save_plan_picture
from rbdc_mm.show.plan_text import tree_text

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
                      len(stages), parents, operator="couple" if parents else None)
            )  # fmt: skip
    return Plan("RBDC", stages, 300 * 1281167 * 10**11, 300, None)


def chain_of(operator: str | None, *arches, file: bool = False, **each) -> Plan:
    """A chain whose models teach the next unless told otherwise."""
    stages: list[Stage] = []
    names = [*(f"chain-{n}" for n in range(len(arches) - 1)), "target"]
    files = [SourceFile("chain-0", "a/file.pth", arches[0], 10**6, None, True)] if file else []
    for n, (name, arch) in enumerate(zip(names, arches, strict=True)):
        if n == 0 and file:
            continue
        grown = dict(parents=(names[n - 1],), operator=operator, teachers=(names[n - 1],)) | each
        if operator == "couple":
            grown["parents"] *= 2
        stages.append(Stage(name, n, arch, 100, 10**11, 1281167, 10**6, n, **(grown if n else {})))
    return Plan("CoMPT", stages, 300 * 1281167 * 10**11, 300, None, files)


def ligo_plan() -> Plan:
    """A source, the maps, the target."""
    small, large = vit(384), vit(768)
    stages = [
        Stage("source-0", 0, small, 100, 10**10, 1281167, 10**6, 0),
        Stage("operator-1", 1, large, 0, 10**11, 1281167, 10**6, 1, ("source-0",), operator="ligo",
              kind="operator", num_iters=100, batch_size=1024),
        Stage("target", 2, large, 100, 10**11, 1281167, 10**6, 1, ("source-0",), operator="ligo",
              learned="operator-1"),
    ]  # fmt: skip
    return Plan("Grow", stages, 300 * 1281167 * 10**11, 300, None)


LARGE = ViTArch(1024, 24, 16, 4096, num_classes=1000)
PLANS = {
    "4 → 2 → 1": plan_of(2),
    "8 → 4 → 2 → 1": plan_of(3),
    "2 → 1": plan_of(1),
    "4 → 1": plan_of(1, branching=4),
    "the target alone": plan_of(0),
    "8 → 4 → 2 → 1, ResNet": plan_of(3, 2048, lambda width: ResNetArch(101, width)),
    "DeiT-Ti → DeiT-S → DeiT-B → ViT-L": chain_of("embed", vit(192), vit(384), vit(768), LARGE),
    "ResNet-50 x 32 → ResNet-50 x 64": chain_of("embed", ResNetArch(50, 32), ResNetArch(50)),
    "DeiT-S → DeiT-B": chain_of("couple", vit(384), vit(768)),
    "ViT 768x6 → DeiT-B": chain_of(
        "interpolate", ViTArch(768, 6, 12, 3072), vit(768), file=True, teachers=()
    ),
    "DeiT-Ti → DeiT-S": chain_of(None, vit(192), vit(384), parents=()),
    "DeiT-S → DeiT-B, maps": ligo_plan(),
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
    assert len(boxes) == len(plan.stages) + len(plan.files)
    for extent, text in zip(extents, texts, strict=True):
        touched = [box for box in boxes if box.overlaps(extent)]
        inside = [box for box in touched if box.x0 < extent.x0 and extent.x1 < box.x1]
        assert touched == inside, text.get_text()
    assert name.removesuffix(", ResNet").removesuffix(", maps") in "\n".join(
        text.get_text() for text in texts
    )


def is_box(patch) -> bool:
    return isinstance(patch, FancyBboxPatch)


def test_boxes_are_to_scale_and_say_everything():
    figure = draw_plan(PLANS["4 → 2 → 1"])
    widths = [patch.get_width() for patch in figure.axes[0].patches if is_box(patch)]
    assert [w / widths[0] for w in widths] == pytest.approx([1, 1, 1, 1, 2, 2, 4])
    words = {text.get_text() for text in figure.axes[0].texts}
    # 4 * 1/16 + 2 * 1/4 + 1 = 1.75 of the target's own cost, at 116 of 300 epochs
    assert {"192 wide, 3 heads", "116 epochs", "3.6% of FLOPs", "57.1% of FLOPs"} < words
    assert any("= 67.67% of scratch (38.435 EFLOPs, 300 epochs)" in word for word in words)


def test_tree_in_words():
    assert tree_text(PLANS["4 → 2 → 1"]).splitlines()[1:] == [
        "target: DeiT-B, 768 wide, 12 heads, 116 epochs",
        "├── node1-0: DeiT-S, 384 wide, 6 heads, 116 epochs",
        "│   ├── leaf-0: DeiT-Ti, 192 wide, 3 heads, 116 epochs",
        "│   └── leaf-1: DeiT-Ti, 192 wide, 3 heads, 116 epochs",
        "└── node1-1: DeiT-S, 384 wide, 6 heads, 116 epochs",
        "    ├── leaf-2: DeiT-Ti, 192 wide, 3 heads, 116 epochs",
        "    └── leaf-3: DeiT-Ti, 192 wide, 3 heads, 116 epochs",
    ]
    resnet = plan_of(1, 64, lambda width: ResNetArch(50, width))
    assert "├── leaf-0: ResNet-50, 32 base channels, 116 epochs" in tree_text(resnet)


def test_leaves_of_an_uneven_tree_weigh_unequally():
    """couple(couple(a, b), c): a coupling averages its parents."""
    widths = {"a": 192, "b": 192, "ab": 384, "c": 384, "target": 768}
    grown = {"ab": ("a", "b"), "target": ("ab", "c")}
    stages = [
        Stage(name, level, vit(width), 100, 10**10, 1281167, 10**6, level, grown.get(name, ()),
              operator="couple" if name in grown else None)
        for level, (name, width) in enumerate(widths.items())
    ]  # fmt: skip
    plan = Plan("RBDC", stages, 300 * 1281167 * 10**11, 300, None)
    assert tree_text(plan).splitlines()[-1] == (
        "a coupling averages its parents, so that leaves weigh a 1/4, b 1/4, c 1/2"
    )
    assert "weigh" not in tree_text(PLANS["4 → 2 → 1"])


def test_chains_in_words():
    chain = PLANS["DeiT-Ti → DeiT-S → DeiT-B → ViT-L"]
    assert tree_text(chain).splitlines()[1:3] == [
        "target: ViT-L, 1024 wide, 16 heads, 100 epochs",
        "└── chain-2 (embedded, teacher): DeiT-B, 768 wide, 12 heads, 100 epochs",
    ]
    assert tree_text(PLANS["DeiT-S → DeiT-B, maps"]).splitlines()[1:] == [
        "target: DeiT-B, 768 wide, 12 heads, 100 epochs",
        "├── source-0 (grown by ligo): DeiT-S, 384 wide, 6 heads, 100 epochs",
        "└── operator-1 (how it grows): maps of ligo, 100 steps",
        "    └── source-0 (source): see above",
    ]
    given = PLANS["ViT 768x6 → DeiT-B"]
    assert "└── chain-0 (grown by interpolate): ViT 768x6, 768 wide, 12 heads, given" in (
        tree_text(given)
    )
    assert any("unknown cost" in text.get_text() for text in draw_plan(given).axes[0].texts)


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
    module = load_tool("plan")
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
    assert "target: ViT 64x3, 64 wide, 4 heads" in said.out and "└── leaf-1: ViT 32x3" in said.out
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


def test_the_tool_suggests_a_chain(tool, config, capsys):
    heads = ["--cfg-options", "model.backbone.arch.num_heads=8"]
    assert tool.main([str(config), "--suggest", "--budget", "0.5", *heads]) == 0
    said = capsys.readouterr().out
    for part in ("sizes: ViT 32x3", "rounding to whole epochs", "└── chain-0 (embedded, teacher)",
                 'policy=dict(type="proportional", budget=0.5, epochs=(60, 12))'):  # fmt: skip
        assert part in said
    assert tool.main([str(config), "--budget", "0.5"]) == 1
    assert "--budget 0.5 is for --suggest" in capsys.readouterr().err


def test_a_missing_config_is_one_error(tool, capsys):
    assert tool.main(["nowhere.py"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
