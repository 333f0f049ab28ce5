"""The study on offline data: every method at one total budget, several seeds.

Its arms are the configs ``configs/tiny/study_*.py``: each trains the same small ViT on digits, with
all its source models, on the same total of training FLOPs; ``study_scratch.py`` alone has the whole
schedule, for scale.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

import torch
from mmengine import Config

from rbdc_mm.records import FINAL
from rbdc_mm.report.arms import arms_of
from rbdc_mm.report.collect import collect
from rbdc_mm.report.dot_plot import dot_figure
from rbdc_mm.report.files import write_whole
from rbdc_mm.report.jobs import Job
from rbdc_mm.report.style import paper_style, save_figure
from rbdc_mm.report.tables import classification_markdown, classification_table

SEEDS = (0, 1, 2)
CONFIGS = "configs/tiny/study_*.py"
# Backbones of the detectors: arm, config, where its seed is set, folder of the target.
PRETRAINED = (
    ("scratch", "configs/tiny/resnet18_scratch_digits.py", "randomness", ""),
    ("rbdc", "configs/tiny/resnet18_rbdc_digits.py", "protocol", "target/"),
    ("com_pt", "configs/tiny/resnet18_compt_digits.py", "protocol", "target/"),
)


def study_jobs() -> list[Job]:
    """A job for every arm and seed, seed by seed, so that an interrupted study is a fair one."""
    paths = sorted(Path().glob(CONFIGS))
    jobs = []
    for seed in SEEDS:
        for path in paths:
            cfg = Config.fromfile(path, import_custom_modules=False)
            key, folder = ("protocol", "target/") if "protocol" in cfg else ("randomness", "")
            option = f"{key}.seed={seed}"
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
        for arm, config, key, folder in PRETRAINED:
            name = f"resnet18_{arm}/seed{seed}"
            jobs.append(Job(name, config, (f"{key}.seed={seed}",), 1.0, folder + FINAL))
        for arm, _, _, folder in (("random", "", "", ""), *PRETRAINED):
            config = f"configs/tiny/mask_rcnn_r18_{arm}_digit_scenes.py"
            options, needs = (f"randomness.seed={seed}",), ()
            if arm != "random":
                needs = (f"resnet18_{arm}/seed{seed}",)
                weights = root / needs[0] / folder / FINAL
                options += (f"model.backbone.init_cfg.checkpoint={weights}",)
            jobs.append(Job(f"mask_rcnn_{arm}/seed{seed}", config, options, 6.0, FINAL, needs))
    return jobs


def study_report(paths: Iterable[str | Path], out: str | Path) -> str:
    """Rows, table and plot of a study's finished runs into the folder ``out``; returns the table.

    Raises:
        ValueError: no finished run (see ``collect``), or ``out`` cannot be written to.
    """
    out = Path(out)
    rows = collect(paths).rows
    arms = arms_of(rows)
    table = classification_table(arms).sort_values("top1_mean", ascending=False)
    words = f"{classification_markdown(table)}\nMachine: {machine_words()}.\n"
    options = dict(index=False, float_format="%.10g", lineterminator="\n")
    for name, frame in (("rows", rows), ("study", table)):
        write_whole(out / f"{name}.csv", lambda path, frame=frame: frame.to_csv(path, **options))
    write_whole(out / "study.md", lambda path: path.write_text(words, encoding="utf-8"))
    with paper_style():
        figure = dot_figure(rows, table)
        for kind in ("png", "svg"):
            save_figure(figure, out / f"study.{kind}")
    return words


def machine_words() -> str:
    """This machine's processor and cores, with the versions that matter."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [x.split(":", 1)[1] for x in info.read_text().splitlines() if "model name" in x]
        cpu = " ".join(models[0].split()) if models else cpu
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{os.cpu_count()} cores of {cpu}{gpu}; {versions}"
