"""The demo's job graph, with stand-ins for the trainings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rbdc_mm.launch.local import Command
from rbdc_mm.studies import jobs as job_module
from rbdc_mm.studies.demo import demo_jobs
from rbdc_mm.studies.jobs import Job, run_jobs


@pytest.fixture
def stand_in(monkeypatch, tmp_path) -> Callable[[], list[str]]:
    """Jobs write their result at once; tells the order in which they were started."""
    order = tmp_path / "order"
    order.touch()

    def command(job: Job, root: Path) -> Command:
        result = root / job.name / job.result
        lines = (
            "import sys",
            "from pathlib import Path",
            f"result = Path({str(result)!r})",
            "result.parent.mkdir(parents=True, exist_ok=True)",
            "result.touch()",
            f"print({job.name!r}, file=open({str(order)!r}, 'a'))",
            "print('what went wrong')",
            f"sys.exit({int('bad' in job.name)})",
        )
        words = [sys.executable, "-c", "\n".join(lines)]
        return Command(job.name, words, root / "logs" / f"{job.name[0]}.log", job.needs)

    monkeypatch.setattr(job_module, "_command", command)
    return lambda: order.read_text().split()


def job(name: str, *needs: str) -> Job:
    return Job(name, "configs/tiny/deit_b_scratch_digits.py", (), 1.0, "final.pth", needs)


def test_jobs_run_after_what_they_need_and_only_once(stand_in, tmp_path, capsys):
    jobs = [job("b/0", "a/0"), job("a/0"), job("c/0", "b/0")]
    run_jobs(jobs, tmp_path, 2)
    assert stand_in() == ["a/0", "b/0", "c/0"]
    assert "left)" in capsys.readouterr().out
    run_jobs([jobs[1], jobs[0], jobs[2]], tmp_path, 2)
    assert stand_in() == ["a/0", "b/0", "c/0"]
    (tmp_path / "b/0" / "final.pth").unlink()  # lost: it runs again, what needs it is still good
    run_jobs([jobs[1], jobs[0], jobs[2]], tmp_path, 2)
    assert stand_in()[3] == "b/0"


def test_a_failed_job_is_named_with_its_log(stand_in, tmp_path):
    """What does not need it runs all the same."""
    with pytest.raises(RuntimeError, match=r"job bad/0 failed .*\nwhat went wrong\n") as error:
        run_jobs([job("bad/0"), job("after/0", "bad/0"), job("other/0")], tmp_path, 1)
    assert "need what failed: after/0" in str(error.value)
    assert stand_in() == ["bad/0", "other/0"]


def test_the_demo_is_what_it_says():
    jobs = {j.name: j for j in demo_jobs(Path("root"))}
    assert len(jobs) == 2 * 3 * 2 + 2
    assert all(Path(j.config).is_file() for j in jobs.values())
    detector = jobs["mask_rcnn_r18_rbdc/seed0"]
    assert detector.needs == ("resnet18_rbdc/seed0",)
    assert any("resnet18_rbdc/seed0/target/final.pth" in option for option in detector.options)
