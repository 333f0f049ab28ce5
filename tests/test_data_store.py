"""Made data sets on disk: reuse, damage, other parameters, interruption, the command line."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rbdc_mm.data import make_digit_scenes, make_digits, make_fractals
from rbdc_mm.data.store import ensure, verify

REPO = Path(__file__).parents[1]
SMALL = {
    "digits": (make_digits, dict(size=8)),
    "digit_scenes": (make_digit_scenes, dict(num_train=4, num_val=2)),
    "fractals": (make_fractals, dict(num_classes=2, num_train=2, num_val=1, size=16)),
}


def write_two(root: Path) -> dict[str, int]:
    (root / "train").mkdir()
    (root / "train" / "a.png").write_bytes(b"first")
    (root / "train" / "b.png").write_bytes(b"second")
    return {"train": 2}


@pytest.fixture
def made(tmp_path):
    return ensure(tmp_path / "toy", "toy", {"seed": 0}, write_two, libraries=["numpy", "no-such"])


@pytest.mark.parametrize("name", SMALL)
def test_same_seed_same_bytes(name, tmp_path):
    make, options = SMALL[name]
    first, second, other = (
        make(tmp_path / place, seed=seed, **options)
        for place, seed in (("one", 3), ("two", 3), ("three", 4))
    )
    assert first.sha256 == second.sha256 != other.sha256
    assert (first.root / "manifest.json").read_bytes() == (
        second.root / "manifest.json"
    ).read_bytes()
    assert make(tmp_path / "one", seed=3, **options).status == "reused"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "three", "two"]  # no leftovers


def test_manifest(made):
    manifest = json.loads((made.root / "manifest.json").read_text())
    assert manifest["parameters"] == {"seed": 0}
    assert manifest["num_files"] == 2
    assert set(manifest["libraries"]) == {"numpy"}
    assert manifest["sha256"] == made.sha256


def test_other_parameters_refused_and_forced(made):
    with pytest.raises(ValueError, match=r"seed is 0, wanted 1.*--out.*--force"):
        ensure(made.root, "toy", {"seed": 1}, write_two)
    with pytest.raises(ValueError, match="data set is 'toy', wanted 'digits'"):
        make_digits(made.root)
    forced = ensure(made.root, "toy", {"seed": 1}, write_two, force=True)
    assert forced.status == "made"
    assert verify(made.root)["parameters"] == {"seed": 1}


def damage_content(root):
    (root / "train" / "b.png").write_bytes(b"sEcond")


def damage_size(root):
    (root / "train" / "b.png").write_bytes(b"sec")


def damage_missing(root):
    (root / "train" / "b.png").unlink()


def damage_extra(root):
    (root / "train" / "c.png").write_bytes(b"")


def damage_manifest(root):
    (root / "manifest.json").write_text('{"name": "toy", "fil')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_content, r"b\.png is damaged: same size"),
        (damage_size, r"b\.png is damaged: it has 3 bytes, wanted 6"),
        (damage_missing, r"b\.png is missing"),
        (damage_extra, r"c\.png does not belong"),
        (damage_manifest, r"manifest\.json is damaged"),
    ],
)
def test_damage_is_named_with_its_remedy(made, damage, message):
    damage(made.root)
    with pytest.raises(ValueError, match=message + r".*make_data\.py .* --force"):
        ensure(made.root, "toy", {"seed": 0}, write_two)
    assert ensure(made.root, "toy", {"seed": 0}, write_two, force=True).status == "made"


def test_foreign_files_are_never_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    for force in (False, True):
        with pytest.raises(ValueError, match=r"holds no manifest\.json"):
            ensure(tmp_path / "mine", "toy", {}, write_two, force=force)
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_interrupted_making_leaves_nothing(tmp_path):
    def interrupted(root):
        write_two(root)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure(tmp_path / "toy", "toy", {}, interrupted)
    assert list(tmp_path.iterdir()) == []
    # A killed run could not clean up: its leftovers must not get into the next.
    (tmp_path / ".toy.making").mkdir()
    (tmp_path / ".toy.making" / "half.png").touch()
    (tmp_path / ".toy.lock").touch()
    ensure(tmp_path / "toy", "toy", {}, write_two)
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]
    assert verify(tmp_path / "toy")["num_files"] == 2


def test_two_at_once_make_it_once(tmp_path):
    calls = []

    def slow(root):
        calls.append(root)
        time.sleep(0.3)
        return write_two(root)

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(ensure, tmp_path / "toy", "toy", {}, slow) for _ in range(3)]
    assert sorted(job.result().status for job in jobs) == ["made", "reused", "reused"]
    assert len(calls) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


def test_fractals_do_not_depend_on_workers(tmp_path):
    _, options = SMALL["fractals"]
    one = make_fractals(tmp_path / "one", **options)
    two = make_fractals(tmp_path / "two", workers=2, **options)
    assert one.sha256 == two.sha256


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digits", dict(size=4), "size must be at least 8 pixels, got 4"),
        ("digit_scenes", dict(num_val=0), "num_val must be at least 1, got 0"),
        ("fractals", dict(min_filling_rate=0.9), "got 0.9 and 0.8"),
        ("fractals", dict(num_classes=0), "num_classes must be at least 1, got 0"),
    ],
)
def test_bad_parameters(name, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        SMALL[name][0](tmp_path / "x", **options)
    assert not (tmp_path / "x").exists()


def test_command_line(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(REPO)}

    def run(*arguments):
        command = [sys.executable, REPO / "tools/make_data.py", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    scenes = ("digit_scenes", "--num-train", "3", "--num-val", "1", "--preview", "look/sheet.png")
    made = run(*scenes)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("digit_scenes: made")
    assert "3 train, 1 val images" in made.stdout
    assert (tmp_path / "data/digit_scenes/train2017/000000000001.jpg").is_file()
    assert (tmp_path / "look/sheet.png").stat().st_size > 10_000
    sha256 = json.loads((tmp_path / "data/digit_scenes/manifest.json").read_text())["sha256"]
    assert sha256 in made.stdout

    other = run("digit_scenes", "--num-train", "4", "--num-val", "1")
    assert other.returncode == 1
    assert "num_train is 3, wanted 4" in other.stderr
    assert "Traceback" not in other.stderr
