"""The study on natural images and the search of its recipes: their jobs, what is kept of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rbdc_mm.config import read_config
from rbdc_mm.launch.local import Command
from rbdc_mm.protocol.run import make_plan
from rbdc_mm.records import RECORD
from rbdc_mm.studies import jobs as job_module
from rbdc_mm.studies import natural, recipe_search
from rbdc_mm.studies.jobs import DONE, Job, run_jobs
from whole_record import whole_record

CONFIG = "configs/tiny/deit_b_scratch_digits.py"


def planned(job: Job):
    cfg = read_config(job.config)
    cfg.merge_from_dict({"protocol.policy.budget": float(job.options[1].partition("=")[2])})
    return make_plan(cfg)


def test_every_arm_is_a_curve_and_its_budgets_are_met():
    """Three each, scratch also its whole schedule; whole epochs are within 8% of the least one."""
    jobs = [j for j in natural.natural_jobs(Path("root")) if j.name.endswith("seed0")]
    classifiers = [j for j in jobs if "mask_rcnn" not in j.name]
    arms = {(family, method) for family, others in natural.OTHERS.items()
            for method in (*natural.HEADLINE, *others)}  # fmt: skip
    assert len(classifiers) == 3 * len(arms) + 2
    targets: dict[str, set] = {}
    for job in (job for job in classifiers if "_0.35/" in job.name):
        plan, budget = planned(job), float(job.options[1].partition("=")[2])
        assert plan.flops / plan.scratch_flops == pytest.approx(budget, rel=0.08), job.name
        targets.setdefault(job.name.partition("_")[0], set()).add(plan.target.arch)
    assert {family: len(found) for family, found in targets.items()} == {"deit": 1, "resnet": 1}


def test_the_headline_comes_first_and_has_five_seeds():
    jobs = natural.natural_jobs(Path("root"))
    assert len({job.name for job in jobs}) == len(jobs)
    first = jobs[: 3 * 10]
    assert {job.name.rpartition("_")[0] for job in first} == {
        "deit_scratch", "deit_rbdc", "deit_compt"
    }  # fmt: skip
    seeds = {job.name.partition("/seed")[2] for job in jobs if job.name.startswith("deit_rbdc_0.7")}
    assert seeds == set("01234")
    by_name = {job.name: job for job in jobs}
    detectors = [job for job in jobs if job.name.startswith("mask_rcnn")]
    assert len(detectors) == 4 * 5
    for job in detectors:
        for need in job.needs:
            assert need.partition("/")[2] == job.name.partition("/")[2], "a seed of its own"
            assert job.options[1].endswith(f"root/{need}/{by_name[need].result}")


def test_a_searched_arm_differs_in_what_it_is_named_for(tmp_path):
    plans, configs = {}, {}
    for arm in recipe_search.ARMS:
        configs[arm.stem] = read_config(arm.write(tmp_path))
        plans[arm.stem] = make_plan(configs[arm.stem])
    shares = {stem: plan.flops / plan.scratch_flops for stem, plan in plans.items()}
    assert all(share == pytest.approx(0.5, rel=0.04) for share in shares.values()), shares
    assert len({str(cfg._cfg_dict) for cfg in configs.values()}) == len(configs)
    assert {len(plans[f"deit_rbdc_{name}"].stages) for name in ("as_it_is", "deep_tree")} == {3, 7}
    study = {seed for rung in recipe_search.RUNGS for seed in rung}
    assert not study & {*natural.SEEDS, *natural.MORE_SEEDS}


@pytest.fixture
def stand_in(monkeypatch, tmp_path) -> Callable[[], list[str]]:
    """Jobs leave a run file and their weights at once; tells the order in which they started."""
    order = tmp_path / "order"
    order.touch()

    def command(job: Job, root: Path) -> Command:
        stage = (root / job.name / job.result).parent
        top1 = float(len(job.name))  # the longest name wins
        text = json.dumps(whole_record() | {"history": {"2": {"accuracy/top1": top1}}})
        lines = (
            "from pathlib import Path",
            f"stage = Path({str(stage)!r})",
            "stage.mkdir(parents=True, exist_ok=True)",
            f"(stage / {RECORD!r}).write_text({text!r})",
            f"Path({str(root / job.name / job.result)!r}).touch()",
            f"print({job.name!r}, file=open({str(order)!r}, 'a'))",
        )
        words = [sys.executable, "-c", "\n".join(lines)]
        log = root / "logs" / f"{job.name.replace('/', '-')}.log"
        return Command(job.name, words, log, job.needs)

    monkeypatch.setattr(job_module, "_command", command)
    return lambda: order.read_text().split()


def test_another_machine_goes_on_from_what_is_kept(stand_in, tmp_path):
    a = Job("a/seed0", CONFIG, (), 1.0, "target/final.pth")
    b = Job("b/seed0", CONFIG, (), 1.0, "final.pth", ("a/seed0",))
    kept = tmp_path / "kept"
    run_jobs([a], tmp_path / "here", 1, kept)
    found = [path.relative_to(kept) for path in kept.rglob("*") if path.is_file()]
    assert sorted(map(str, found)) == [f"a/seed0/{DONE}", f"a/seed0/target/{RECORD}"]
    run_jobs([a], tmp_path / "there", 1, kept)
    assert stand_in() == ["a/seed0"], "its record is enough"
    run_jobs([a, b], tmp_path / "there", 1, kept)
    assert stand_in() == ["a/seed0", "a/seed0", "b/seed0"], "what b starts from are its weights"
    run_jobs([a, b], tmp_path / "elsewhere", 1, kept)
    assert len(stand_in()) == 3, "both are kept"
    changed = Job("a/seed0", CONFIG, ("randomness.seed=1",), 1.0, "target/final.pth")
    run_jobs([changed], tmp_path / "there", 1, kept)
    assert stand_in()[3:] == ["a/seed0"], "another setting is another run"


def test_the_search_keeps_the_best_of_each_method(stand_in, tmp_path):
    said = recipe_search.search(tmp_path / "runs", 2, tmp_path / "kept")
    first, second = (set(name for name in stand_in() if name.endswith(f"seed{seeds[0]}"))
                     for seeds in recipe_search.RUNGS)  # fmt: skip
    assert len(first) == len(recipe_search.ARMS)
    kept = {name.partition("/")[0] for name in second}
    best = {max((a.stem for a in recipe_search.ARMS if a.method == m), key=len)
            for m in ("scratch", "rbdc", "com_pt")}  # fmt: skip
    assert best <= kept and len(kept) == 4
    assert len(said.splitlines()) == 4 and said.splitlines()[0].endswith("scratch: quarter_rate")
    before = len(stand_in())
    assert recipe_search.search(tmp_path / "elsewhere", 2, tmp_path / "kept") == said
    assert len(stand_in()) == before
