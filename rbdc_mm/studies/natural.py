"""The study on natural images: CIFAR-10 at several budgets, then Mask R-CNN on photographs.

Its arms are the configs in ``configs/cifar10``. What answers most comes first, so that a study
which is interrupted for weeks has answers on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rbdc_mm.data import Made, make_cifar, make_class_folders, make_penn_fudan
from rbdc_mm.records import FINAL
from rbdc_mm.studies.jobs import Job

BUDGETS = (0.35, 0.5, 0.7)  # of the whole schedule, sources charged; scratch also at 1
SEEDS, MORE_SEEDS = (0, 1, 2), (3, 4)
HEADLINE = ("scratch", "rbdc", "compt")
OTHERS = {
    "deit": ("rbdc_pair", "rbdc_center", "embed", "stack", "lemon", "ligo"),
    "resnet": ("rbdc_pair", "embed", "lemon"),  # stages whose first block differs are not stacked
}
BACKBONES = ("random", *HEADLINE)
DETECTED = 0.7  # the budget whose backbones are finetuned
CIFAR, IMAGES, PER_CLASS = Path("data/cifar10"), "data/cifar10_500", 500


def make_images() -> list[Made]:
    """The data sets; what is not there in ``data/cifar10`` and ``data/penn_fudan`` is downloaded.

    Raises:
        ValueError: a download that fails, or other sets in their places.
    """
    made = [] if (CIFAR / "train").is_dir() else [make_cifar(CIFAR)]
    made.append(make_class_folders(IMAGES, source=CIFAR, per_class=PER_CLASS))
    if not Path("data/penn_fudan/train2017").is_dir():
        made.append(make_penn_fudan())
    return made


def natural_jobs(root: Path) -> list[Job]:
    """All jobs, the first seeds of what makes the headline first.

    Args:
        root: the folder of the runs, where a detector finds its backbone.
    """
    return [
        *_classifiers("deit", HEADLINE, SEEDS),
        *_detectors(root, SEEDS),
        *_classifiers("deit", OTHERS["deit"], SEEDS),
        *_classifiers("resnet", HEADLINE, SEEDS),
        *_classifiers("resnet", OTHERS["resnet"], SEEDS),
        *_classifiers("deit", HEADLINE, MORE_SEEDS),
        *_classifiers("resnet", HEADLINE, MORE_SEEDS),
        *_detectors(root, MORE_SEEDS),
    ]


def _classifiers(family: str, methods: tuple[str, ...], seeds: tuple[int, ...]) -> Iterator[Job]:
    """Seed by seed, so that an interrupted study is a fair one."""
    for seed in seeds:
        for method in methods:
            for budget in (*BUDGETS, 1.0) if method == "scratch" else BUDGETS:
                options = (f"randomness.seed={seed}", f"protocol.policy.budget={budget}")
                config = f"configs/cifar10/{family}_{method}.py"
                name = _name(family, method, budget, seed)
                yield Job(name, config, options, budget, f"target/{FINAL}")


def _detectors(root: Path, seeds: tuple[int, ...]) -> Iterator[Job]:
    """A detector has its backbone's seed."""
    for seed in seeds:
        for method in BACKBONES:
            config = f"configs/cifar10/mask_rcnn_deit_{method}_penn_fudan.py"
            options: tuple[str, ...] = (f"randomness.seed={seed}",)
            needs: tuple[str, ...] = ()
            if method != "random":
                needs = (_name("deit", method, DETECTED, seed),)
                weights = root / needs[0] / "target" / FINAL
                options += (f"model.backbone.init_cfg.checkpoint={weights}",)
            yield Job(f"mask_rcnn_{method}/seed{seed}", config, options, 0.8, FINAL, needs)


def _name(family: str, method: str, budget: float, seed: int) -> str:
    return f"{family}_{method}_{budget:g}/seed{seed}"
