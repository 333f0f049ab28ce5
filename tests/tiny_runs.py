"""Tiny configs on real data that train in seconds."""

from __future__ import annotations

from pathlib import Path

from mmengine import Config

NUM_SAMPLES = 96


def tiny_config(digits: Path, work_dir: Path, epochs: int = 4, twin: str = "deit_b") -> Config:
    """A twin's scratch config on 96 digits: a ViT 16 wide with 2 blocks, or a ResNet-18."""
    cfg = Config.fromfile(f"configs/tiny/{twin}_scratch_digits.py")
    if "deit" in twin:
        cfg.model.backbone.arch.update(
            embed_dims=16, num_layers=2, num_heads=4, feedforward_channels=32
        )
        cfg.model.head.in_channels = 16
    else:
        cfg.model.backbone.update(base_channels=8, stem_channels=8)
        cfg.model.head.in_channels = 64
    cfg.num_train_samples = NUM_SAMPLES
    for name, count in (("train_dataloader", NUM_SAMPLES), ("val_dataloader", 50)):
        cfg[name].dataset.data_root = str(digits)
        # every k-th image, so that all classes are there
        cfg[name].dataset.indices = list(range(0, 597, 597 // count))[:count]
        cfg[name].batch_size = 32
    cfg.test_dataloader = cfg.val_dataloader
    cfg.train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=2)
    cfg.default_hooks.checkpoint.update(interval=1)
    cfg.param_scheduler = [
        dict(type="LinearLR", start_factor=0.1, by_epoch=True, end=1, convert_to_iter_based=True),
        dict(type="CosineAnnealingLR", by_epoch=True, begin=1, convert_to_iter_based=True),
    ]
    cfg.work_dir = str(work_dir)
    cfg.launcher = "none"
    return cfg


def tiny_protocol(digits: Path, work_dir: Path, twin: str = "deit_b", **options) -> Config:
    """RBDC 2 -> 1 of ``tiny_config``, 3 epochs each."""
    cfg = tiny_config(digits, work_dir, twin=twin)
    cfg.method = "rbdc"
    cfg.runner_type = "rbdc_mm.ProtocolRunner"
    policy = dict(type="epochs", epochs=(3, 3))
    cfg.protocol = dict(type="RBDC", depth=1, branching=2, policy=policy) | options
    return cfg
