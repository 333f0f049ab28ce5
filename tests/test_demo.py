"""The demo's job graph, with stand-ins for the trainings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rbdc_mm.studies import jobs as job_module
from rbdc_mm.studies.demo import demo_jobs
from rbdc_mm.studies.jobs import Job, run_jobs


@pytest.fixture
def stand_in(monkeypatch) -> list[str]:
    """Jobs write their result at once; gives the order in which they were started."""
    started = []

    def start(job: Job, root: Path) -> subprocess.Popen:
        started.append(job.name)
        result = root / job.name / job.result
        result.parent.mkdir(parents=True, exist_ok=True)
        log = root / "logs" / f"{job.name.replace('/', '-')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("what went wrong\n")
        code = f"import sys; open({str(result)!r}, 'w'); sys.exit({int('bad' in job.name)})"
        return subprocess.Popen([sys.executable, "-c", code])

    monkeypatch.setattr(job_module, "_start", start)
    return started


def job(name: str, *needs: str) -> Job:
    return Job(name, "configs/tiny/deit_b_scratch_digits.py", (), 1.0, "final.pth", needs)


def test_jobs_run_after_what_they_need_and_only_once(stand_in, tmp_path, capsys):
    jobs = [job("b/0", "a/0"), job("a/0"), job("c/0", "b/0")]
    run_jobs(jobs, tmp_path, 2)
    assert stand_in == ["a/0", "b/0", "c/0"]
    assert "left)" in capsys.readouterr().out
    run_jobs([jobs[1], jobs[0], jobs[2]], tmp_path, 2)
    assert stand_in == ["a/0", "b/0", "c/0"]
    (tmp_path / "b/0" / "final.pth").unlink()  # lost: it runs again, what needs it is still good
    run_jobs([jobs[1], jobs[0], jobs[2]], tmp_path, 2)
    assert stand_in[3] == "b/0"


def test_a_failed_job_is_named_with_its_log(stand_in, tmp_path):
    with pytest.raises(RuntimeError, match=r"job bad/0 failed .*\nwhat went wrong\n"):
        run_jobs([job("bad/0"), job("after/0", "bad/0")], tmp_path, 1)
    assert stand_in == ["bad/0"]


def test_the_demo_is_what_it_says():
    jobs = {j.name: j for j in demo_jobs(Path("root"))}
    assert len(jobs) == 2 * 3 * 2 + 2
    assert all(Path(j.config).is_file() for j in jobs.values())
    detector = jobs["mask_rcnn_r18_rbdc/seed0"]
    assert detector.needs == ("resnet18_rbdc/seed0",)
    assert any("resnet18_rbdc/seed0/target/final.pth" in option for option in detector.options)
