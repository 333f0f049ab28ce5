"""The studies on offline data, three seeds each.

Classifiers: every method at one total budget. Its arms are the configs
``configs/tiny/study_*.py``: each trains the same small ViT on digits, with all its source models,
on the same total of training FLOPs; ``study_scratch.py`` alone has the whole schedule, for scale,
as have the smaller models of CoM-PT's family. Detectors: one, from every kind of backbone.
"""

from __future__ import annotations

from pathlib import Path

from rbdc_mm.config import read_config
from rbdc_mm.home import ROOT
from rbdc_mm.records import FINAL
from rbdc_mm.studies.jobs import Job

SEEDS = (0, 1, 2)
ARMS = "configs/tiny/study_*.py"
# The smaller models of CoM-PT's chain alone, against which its family is held.
FAMILY = (Path("configs/tiny/deit_s_scratch_digits.py"),
          Path("configs/tiny/deit_ti_scratch_digits.py"))  # fmt: skip
# Backbones: arm, config, folder of the target.
PRETRAINED = (
    ("scratch", "configs/tiny/resnet18_scratch_digits.py", ""),
    ("rbdc", "configs/tiny/resnet18_rbdc_digits.py", "target/"),
    ("com_pt", "configs/tiny/resnet18_compt_digits.py", "target/"),
    ("scratch70", "configs/tiny/resnet18_scratch70_digits.py", "target/"),
)
DETECTORS = ("random", "scratch", "rbdc", "com_pt")  # scratch70 only says what a budget gives


def classifier_jobs() -> list[Job]:
    """A job for every arm and seed, seed by seed, so that an interrupted study is a fair one.

    Also for the smaller models of the family.
    """
    paths = [*sorted(path.relative_to(ROOT) for path in ROOT.glob(ARMS)), *FAMILY]
    jobs = []
    for seed in SEEDS:
        for path in paths:
            cfg = read_config(ROOT / path, import_custom_modules=False)
            folder = "target/" if "protocol" in cfg else ""
            option = f"randomness.seed={seed}"
            name = f"{path.stem.removeprefix('study_')}/seed{seed}"
            jobs.append(Job(name, str(path), (option,), 1.0, folder + FINAL))
    return jobs


def detector_jobs(root: Path) -> list[Job]:
    """Mask R-CNN from every backbone and the pretraining of those, seed by seed.

    A detector has its backbone's seed; one from random weights needs none.

    Args:
        root: the folder of the runs, where a detector finds its backbone.
    """
    jobs = []
    for seed in SEEDS:
        for arm, config, folder in PRETRAINED:
            name = f"resnet18_{arm}/seed{seed}"
            jobs.append(Job(name, config, (f"randomness.seed={seed}",), 1.0, folder + FINAL))
        folders = {arm: folder for arm, _, folder in PRETRAINED}
        for arm in DETECTORS:
            config = f"configs/tiny/mask_rcnn_r18_{arm}_digit_scenes.py"
            options, needs = (f"randomness.seed={seed}",), ()
            if arm in folders:
                needs = (f"resnet18_{arm}/seed{seed}",)
                weights = root / needs[0] / folders[arm] / FINAL
                options += (f"model.backbone.init_cfg.checkpoint={weights}",)
            jobs.append(Job(f"mask_rcnn_{arm}/seed{seed}", config, options, 6.0, FINAL, needs))
    return jobs
