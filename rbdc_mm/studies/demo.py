"""The demo's jobs: what ``make demo`` trains."""

from __future__ import annotations

from pathlib import Path

from rbdc_mm.records import FINAL
from rbdc_mm.studies.jobs import Job

SEEDS = (0, 1)


def demo_jobs(root: Path) -> list[Job]:
    """All jobs of the demo, in an order in which they can run."""
    jobs = []
    for family, weights in (("deit_b", (1.4, 1.1, 2.6)), ("resnet18", (1.1, 0.8, 1.1))):
        for seed in SEEDS:
            arms = (
                ("scratch", FINAL),
                ("scratch70", f"target/{FINAL}"),
                ("rbdc", f"target/{FINAL}"),
            )
            option = f"randomness.seed={seed}"
            for (arm, result), weight in zip(arms, weights, strict=True):
                config = f"configs/tiny/{family}_{arm}_digits.py"
                jobs.append(Job(f"{family}_{arm}/seed{seed}", config, (option,), weight, result))
    by_name = {job.name: job for job in jobs}
    detectors = []
    for arm in ("scratch", "rbdc"):
        source = by_name[f"resnet18_{arm}/seed0"]
        checkpoint = root / source.name / source.result
        option = f"model.backbone.init_cfg.checkpoint={checkpoint}"
        config = f"configs/tiny/mask_rcnn_r18_{arm}_digit_scenes.py"
        name = f"mask_rcnn_r18_{arm}/seed0"
        detectors.append(Job(name, config, (option,), 6.0, FINAL, (source.name,)))
    # The longest first, so that no core idles at the end; detectors as soon as they can.
    jobs.sort(key=lambda job: (not job.name.startswith("resnet18"), -job.weight))
    return jobs[:6] + detectors + jobs[6:]
