"""Tiny MMEngine checkpoints on disk, and a tiny folder of images to calibrate on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine import Config
from skimage.io import imsave
from torch import nn

from helpers import build_classifier, randomise
from rbdc_mm.cost import Ledger


def save_checkpoint(
    path: Path,
    model: dict,
    seed: int = 1,
    *,
    ledger: Ledger | None = None,
    with_cfg: bool = True,
    ema: bool = False,
    **cfg,
) -> nn.Module:
    """Writes a random classifier as a Runner would; returns it in evaluation mode.

    With ``ema`` the file looks as EMAHook leaves it: ``state_dict`` holds the averaged weights
    (the returned model), ``ema_state_dict`` the raw ones (here all zero).
    """
    classifier = randomise(build_classifier(model), seed).eval()
    state = classifier.state_dict()
    meta = {"epoch": 1}
    if with_cfg:
        meta["cfg"] = Config(dict(model=model, **cfg)).pretty_text
    if ledger is not None:
        meta["ledger"] = ledger.to_dict()
    content = {"meta": meta, "state_dict": state, "optimizer": {"state": {}}}
    if ema:
        content["ema_state_dict"] = {k: torch.zeros_like(v) for k, v in state.items()}
    torch.save(content, path)
    return classifier


def save_config(path: Path, model: dict, **more) -> Path:
    """Writes a config file."""
    path.write_text(Config(dict(model=model, **more)).pretty_text)
    return path


def image_folder(root: Path, num_classes: int = 2, per_class: int = 10, size: int = 32) -> dict:
    """Writes random PNGs in folders of classes; returns the keys of a config that reads them."""
    rng = np.random.default_rng(0)
    for label in range(num_classes):
        folder = root / "train" / f"class{label}"
        folder.mkdir(parents=True)
        for n in range(per_class):
            pixels = rng.integers(0, 255, (size, size, 3), dtype=np.uint8)
            imsave(folder / f"{n}.png", pixels, check_contrast=False)
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="RandomFlip", prob=0.5, direction="horizontal"),
        dict(type="PackInputs"),
    ]
    loader = dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=True),
        dataset=dict(
            type="CustomDataset", data_root=str(root), data_prefix="train", pipeline=pipeline
        ),
    )
    return dict(
        train_dataloader=loader,
        val_dataloader=dict(loader, sampler=dict(type="DefaultSampler", shuffle=False)),
        data_preprocessor=dict(mean=[127.0] * 3, std=[60.0] * 3, to_rgb=True),
    )
