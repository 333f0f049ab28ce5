"""What a run was made of and by which code, for its record."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from mmengine import Config
from mmengine.dist import get_world_size
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import rbdc_mm
from rbdc_mm.arch import ARCHS
from rbdc_mm.checkpoint.arch_of import arch_of, backbone_arch
from rbdc_mm.checkpoint.distilling import plain_model
from rbdc_mm.checkpoint.image_text import is_image_text
from rbdc_mm.checkpoint.own_backbones import grows_by
from rbdc_mm.config import unscoped
from rbdc_mm.home import ROOT

_PACKAGES = ("torch", "torchvision", "mmengine", "mmcv", "mmpretrain", "mmdet")


def versions() -> dict[str, str]:
    """Versions of Python, of this suite and of the packages that the run has loaded."""
    loaded = {name: sys.modules[name].__version__ for name in _PACKAGES if name in sys.modules}
    return {"python": platform.python_version(), "rbdc_mm": rbdc_mm.__version__, **loaded}


def device() -> str:
    """The GPUs of the run, one a rank, else the processor: ``'8 x NVIDIA H200'``."""
    if torch.cuda.is_available():
        return f"{get_world_size()} x {torch.cuda.get_device_name()}"
    return f"{torch.get_num_threads()} of {os.cpu_count()} cores of {cpu_name()}"


def cpu_name() -> str:
    """What the processor calls itself, else its kind."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return " ".join(models[0].split()) if models else platform.processor() or platform.machine()


def machine_words() -> str:
    """The machine and the versions that a benchmark's figures hang on."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{os.cpu_count()} cores of {cpu_name()}{gpu}; {versions}"


def code_state() -> dict[str, Any]:
    """``commit`` and ``dirty`` (tracked files changed) of the suite's checkout.

    Both are None where the suite is no git checkout of its own or there is no git.
    """
    unknown = {"commit": None, "dirty": None}
    if not (ROOT / ".git").exists():
        return unknown
    try:
        commit = _git(ROOT, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(ROOT, "status", "--porcelain", "-uno"))}
    except (OSError, subprocess.CalledProcessError):  # no git, or one that refuses this folder
        return unknown


def architecture(cfg: Config) -> str:
    """A model in words: ``'DeiT-S'``, ``'ViT 64x3'``, ``'ResNet-18 x 16'`` (base channels).

    A detector: ``'MaskRCNN, ResNet-50 x 64'``; one whose backbone the growth operators do not know
    has that backbone's type.
    """
    model = plain_model(cfg.model.get("target") or cfg.model)
    backbone = model["backbone"]
    kind, name = unscoped(model["type"]), unscoped(backbone["type"])
    if is_image_text(model):
        with suppress(ValueError):  # a vision tower that the rule tables do not describe
            return arch_of(model).label()
    if kind == "ImageClassifier":
        return backbone_arch(backbone).label()
    if "depth" in backbone:
        name = f"{name}-{backbone['depth']} x {backbone.get('base_channels', 64)}"
    elif isinstance(arch := backbone.get("arch"), Mapping) and "num_layers" in arch:
        name = f"ViT {arch['embed_dims']}x{arch['num_layers']}"
    elif isinstance(arch, str):
        name = f"{name} {arch}"
    elif name in ARCHS:
        with suppress(ValueError):  # a setting that the rule tables do not describe
            name = backbone_arch(backbone).label()
    return f"{kind}, {name}"


def config_path(cfg: Config) -> str | None:
    """The config file, from the folder that holds the suite's; outside of that its bare name."""
    if not cfg.filename:
        return None
    path = Path(cfg.filename).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def num_classes(cfg: Config) -> int | None:
    """Classes that the head tells apart; None where it has no such number."""
    model = cfg.model.get("target") or cfg.model
    for head in (model.get("head"), model.get("bbox_head"), model.get("roi_head")):
        while head and "num_classes" not in head:
            head = head.get("bbox_head")
            head = head[0] if isinstance(head, list | tuple) else head
        if head:
            return head["num_classes"]
    return None


def dataset_of(cfg: Config) -> str:
    """The data set that is trained on; of several that are joined, the first."""
    dataset = cfg.train_dataloader.dataset
    while inner := dataset.get("dataset") or (dataset.get("datasets") or [None])[0]:
        dataset = inner
    return f"{unscoped(dataset.type)}:{Path(dataset.get('data_root') or '').name}"


def sees_batch(model: nn.Module, cfg: Config) -> bool:
    """Whether it matters how a global batch is cut into those of the ranks.

    Not where each image has its own loss and its own statistics: in a classifier without
    BatchNorm, or with a frozen or synchronised one; nor in an image-text model without, whose loss
    is that of the global batch. What each rank draws for its own images (mixup)
    is noise, as a seed is. Detectors divide losses by what a rank's images hold.
    """
    own_loss = ("ImageClassifier", "FeatureDistillationClassifier")
    if unscoped(cfg.model.type) not in own_loss and not is_image_text(cfg.model):
        return True
    training = model.training
    model.train()  # which is where models freeze their statistics
    found = any(
        isinstance(m, _BatchNorm) and not isinstance(m, nn.SyncBatchNorm) and m.training
        for m in model.modules()
    )
    model.train(training)
    return found


def operator_of(cfg: Config) -> str | None:
    """The growth operator a run starts by, None for one that grows nothing."""
    for hook in cfg.get("custom_hooks") or ():
        if unscoped(hook["type"]) == "GrowthHook":
            return hook.get("operator", "couple")
    return grows_by((cfg.model.get("target") or cfg.model).get("backbone") or {})


def _git(root: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()
