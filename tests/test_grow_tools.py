"""tools/grow.py, tools/inspect_growth.py and the benchmark, from files to what they print."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine import Config

from checkpoint_helpers import image_folder, save_checkpoint, save_config
from helpers import load_tool, resnet_model, vit_model
from rbdc_mm.arch import shapes_of
from rbdc_mm.checkpoint.classifiers import load_classifier
from rbdc_mm.checkpoint.files import load_file, read_checkpoint
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.show.inspect_growth import inspect_growth

ROOT = Path(__file__).parents[1]
VIT = vit_model(embed_dims=16, num_heads=2, num_layers=2)
RESNET = resnet_model(18, base_channels=4)


def run(name: str, *args: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Two ViT parents with data, two ResNet parents, and the couplings of each pair."""
    folder = tmp_path_factory.mktemp("zoo")
    more = image_folder(folder / "data")
    files = {}
    for family, model in (("vit", VIT), ("resnet", RESNET)):
        pair = [folder / f"{family}{n}.pth" for n in (1, 2)]
        for seed, path in enumerate(pair, 1):
            save_checkpoint(path, model, seed, **more)
        files[family] = pair
        files[f"{family}_grown"] = folder / f"{family}_grown.pth"
        grow_checkpoint("couple", pair, files[f"{family}_grown"])
    return files


# --- tools/grow.py -------------------------------------------------------------------------------


def test_grow_from_the_command_line(zoo, tmp_path):
    out = tmp_path / "c.pth"
    done = run("grow", "couple", "--parents", *zoo["vit"], "--out", out)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    first, second = zoo["vit"]
    widths = "embed_dims=16, num_heads=2, feedforward_channels=32"
    assert lines[-5] == f"parent  {first} (raw weights): {widths}"
    assert lines[-4] == f"parent  {second} (raw weights): {widths}"
    assert lines[-3] == f"couple  {out}: embed_dims=32, num_heads=4, feedforward_channels=64"
    assert lines[-2].startswith("not exact: LayerNorm takes mean and variance over channels")
    assert lines[-1].startswith("took ")
    assert read_checkpoint(out).arch.embed_dims == 32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--options", "center=True"], "error: mode='paper' couples plainly"),
        (["--options", "calibrate=2"], "error: calibrate=2 needs mode='corrected'"),
        (["--config", "no/such.py"], "error: "),
        (["--config", "a.py", "b.py", "c.py"], "error: got 3 configs for 2 parents"),
    ],
)
def test_grow_reports_errors_in_one_line(options, message, zoo, tmp_path, capsys):
    args = ["couple", "--parents", *map(str, zoo["vit"]), "--out", str(tmp_path / "c.pth")]
    assert load_tool("grow").main([*args, *options]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_grow_names_what_it_does_not_know(zoo, tmp_path, capsys):
    main = load_tool("grow").main
    parents = list(map(str, zoo["vit"]))
    out = str(tmp_path / "c.pth")
    assert main(["copule", "--parents", *parents, "--out", out]) == 1
    assert (
        "unknown operator 'copule': the known ones are 'bert2bert', 'couple'"
        in capsys.readouterr().err
    )
    assert main(["couple", "--parents", parents[0], "gone.pth", "--out", out]) == 1
    assert capsys.readouterr().err == "error: checkpoint gone.pth does not exist\n"
    assert main(["couple", "--parents", *parents, "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    mixed = [parents[0], str(zoo["resnet"][0])]
    assert main(["couple", "--parents", *mixed, "--out", out]) == 1
    assert "are a ViTArch and a ResNetArch" in capsys.readouterr().err


def test_grow_takes_configs_and_a_target(zoo, tmp_path):
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    for seed, path in enumerate(paths, 1):
        save_checkpoint(path, VIT, seed, with_cfg=False)
    config = save_config(tmp_path / "vit.py", VIT)
    wide = vit_model(embed_dims=32, num_heads=4, num_layers=2, drop_path_rate=0.2)
    target = save_config(tmp_path / "wide.py", wide)
    out = tmp_path / "c.pth"
    args = ["couple", "--parents", *map(str, paths), "--out", str(out), "--config", str(config)]
    assert load_tool("grow").main([*args, "--target-config", str(target)]) == 0
    assert read_checkpoint(out).cfg.model.backbone.drop_path_rate == 0.2
    assert load_tool("grow").main([*args, "--options", "norm=block"]) == 0
    assert read_checkpoint(out).arch.norm_blocks == (16, 16)
    assert load_tool("grow").main([*args, "--options", "mode=corrected", "center=False"]) == 0
    options = load_file(out)["meta"]["grown"]["options"]
    assert options == dict(mode="corrected", center=False, norm="layer")


# --- tools/inspect_growth.py ---------------------------------------------------------------------


@torch.no_grad()
def test_inspection_from_the_command_line(zoo):
    done = run("inspect_growth", zoo["vit_grown"], "--num-images", 40, "--seed", 3, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout[done.stdout.index("{") :])

    x = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    a, b = (load_classifier(read_checkpoint(path))(x) for path in zoo["vit"])
    model = load_classifier(read_checkpoint(zoo["vit_grown"]))
    got, wanted = model(x), (a + b) / 2
    (row,) = found["rows"]
    assert row["max_abs"] == pytest.approx((got - wanted).abs().max().item(), rel=1e-3)
    assert row["mean_abs"] == pytest.approx((got - wanted).abs().mean().item(), rel=1e-3)
    assert row["top1"] == (got.argmax(-1) == wanted.argmax(-1)).double().mean().item()
    assert found["parents_top1"] == (a.argmax(-1) == b.argmax(-1)).double().mean().item()
    assert found["parents_top1"] < row["top1"]
    assert found["reference"] == "0.5 x {} + 0.5 x {}".format(*zoo["vit"])
    assert found["images"] == "40 random normal images of 32 x 32 px (no real data)"
    assert found["exact_met"] is None
    assert found["exact_gap"] > found["exact_bound"]


def test_zero_share_is_that_of_the_off_diagonal_blocks(zoo):
    found = inspect_growth(zoo["vit_grown"], num_images=2)
    shapes = shapes_of(read_checkpoint(zoo["vit_grown"]).arch)
    sizes = {key: torch.Size(shape).numel() for key, shape in shapes.items()}
    blocks = sum(n for k, n in sizes.items() if ".layers." in k and len(shapes[k]) == 2) - 32 * 10
    assert found.num_params == sum(sizes.values())
    assert found.zero_share == pytest.approx(blocks / 2 / found.num_params, abs=1e-9)


def test_exact_claims_are_verified(zoo, tmp_path, capsys):
    main = load_tool("inspect_growth").main
    block = tmp_path / "block.pth"
    grow_checkpoint("couple", zoo["vit"], block, norm="block")
    for path in (zoo["resnet_grown"], block):
        assert main([str(path), "--num-images", "4"]) == 0
        printed = capsys.readouterr().out
        assert "declared   exact: logits equal the reference" in printed
        assert printed.endswith(": met\n")
    # one weight off, and the claim is broken
    content = load_file(block)
    content["state_dict"]["backbone.layers.0.ffn.layers.1.weight"][0, 0] += 0.1
    torch.save(content, tmp_path / "broken.pth")
    assert main([str(tmp_path / "broken.pth"), "--num-images", "4"]) == 1
    assert capsys.readouterr().out.endswith(": NOT MET\n")


def test_three_parents_are_exact_up_to_what_float32_can_store(zoo, tmp_path):
    third = tmp_path / "third.pth"
    save_checkpoint(third, resnet_model(18, base_channels=8), 3)
    out = tmp_path / "c.pth"
    grow_checkpoint("couple", [*zoo["resnet"], third], out)
    found = inspect_growth(out, num_images=4)
    assert found.exact_met
    assert 1e-12 < found.exact_gap < 1e-6


def test_corrections_side_by_side(zoo, capsys):
    rows = inspect_growth(zoo["vit_grown"], num_images=64, compare_corrections=True).rows
    assert [row.name for row in rows] == ["as it is", "plain", "center", "center + calibrate"]
    as_it_is, plain, center, calibrated = (row.mean_abs for row in rows)
    assert as_it_is == pytest.approx(plain, rel=1e-6)
    assert center < plain
    assert calibrated not in (plain, center)
    assert load_tool("inspect_growth").main([str(zoo["resnet_grown"]), "--compare-corr"]) == 1
    assert "is about LayerNorm over all channels" in capsys.readouterr().err


def test_inspection_on_data(zoo, tmp_path):
    found = inspect_growth(zoo["vit_grown"], data="checkpoint", compare_corrections=True)
    assert found.images == f"20 images of the val_dataloader of {zoo['vit_grown']}"
    assert len(found.rows) == 4
    few = inspect_growth(zoo["vit_grown"], data="checkpoint", num_images=7)
    assert few.images.startswith("7 images of")
    again = inspect_growth(zoo["vit_grown"], data="checkpoint", num_images=7)
    other = inspect_growth(zoo["vit_grown"], data="checkpoint", num_images=7, seed=1)
    assert few.rows == again.rows != other.rows
    config = tmp_path / "data.py"
    cfg = read_checkpoint(zoo["vit"][0]).cfg
    config.write_text(Config({k: v for k, v in cfg.items() if k != "model"}).pretty_text)
    elsewhere = inspect_growth(zoo["vit_grown"], data=config, num_images=7)
    assert elsewhere.rows == few.rows
    config.write_text("a = 1\n")
    with pytest.raises(ValueError, match=r"data.py: no val_dataloader"):
        inspect_growth(zoo["vit_grown"], data=config)


def test_parents_are_found_or_asked_for(zoo, tmp_path):
    content = load_file(zoo["vit_grown"])
    del content["meta"]["grown"]
    trained = tmp_path / "trained.pth"
    torch.save(content, trained)
    with pytest.raises(ValueError, match=r"trained.pth does not say what .*give --parents"):
        inspect_growth(trained)
    found = inspect_growth(trained, parents=zoo["vit"], num_images=3)
    assert found.operator.startswith("couple (assumed")
    # parents in the other order are another coupling
    swapped = inspect_growth(zoo["vit_grown"], parents=zoo["vit"][::-1], num_images=3)
    assert swapped.rows[0].max_abs == pytest.approx(found.rows[0].max_abs, rel=1e-3)
    twins = inspect_growth(trained, parents=[zoo["vit"][0]] * 2, num_images=3)
    assert twins.parents_top1 == 1
    assert twins.rows[0].max_abs > 2 * found.rows[0].max_abs
    with pytest.raises(ValueError, match=r"do not grow to .*: it says .*embed_dims=32 \(parents"):
        inspect_growth(trained, parents=[*zoo["vit"], zoo["vit"][0]])
    content["meta"]["grown"] = {"operator": "couple", "parents": [{"path": "gone.pth"}] * 2}
    torch.save(content, trained)
    with pytest.raises(FileNotFoundError, match=r"grown from \['gone.pth', .*say with --parents"):
        inspect_growth(trained)


# --- tools/bench_coupling.py ---------------------------------------------------------------------


def test_benchmark_of_tiny_parents(tmp_path):
    bench = load_tool("bench_coupling")
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    sizes = [bench.write_parent(path, dict(bench.TINY), seed) for seed, path in enumerate(paths)]
    assert paths[0].stat().st_size > 3 * sizes[0]  # AdamW's two moments beside the weights
    found = bench.measure(list(map(str, paths)), str(tmp_path / "c.pth"))
    assert found["seconds"] > 0
    target = bench.weight_bytes(load_file(tmp_path / "c.pth")["state_dict"])
    assert target > sum(sizes)
    fits = bench.table(dict(seconds=1.0, anon=target, file=0), sum(sizes), 1, target)
    assert "held" in fits
    too_much = dict(seconds=1.0, anon=2**33, file=0)
    assert "EXCEEDED" in bench.table(too_much, sum(sizes), 1, target)
