"""Checkpoint files: read with clear errors, as mmpretrain has them; written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine import Config
from safetensors.torch import save_file
from torch import Tensor

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.arch_of import arch_of, backbone_arch
from rbdc_mm.checkpoint.distilling import is_distilling, plain_model, without_projections
from rbdc_mm.checkpoint.finite import check_finite
from rbdc_mm.checkpoint.inferred import config_of
from rbdc_mm.checkpoint.layouts import convert, layout_of, unknown
from rbdc_mm.checkpoint.reading import META, damage, read_object
from rbdc_mm.checkpoint.saying import say_once
from rbdc_mm.checkpoint.wrappers import unwrapped
from rbdc_mm.config import plain_config, read_config
from rbdc_mm.whole_files import write_whole

OPENMMLAB = "OpenMMLab"


@dataclass(frozen=True)
class Checkpoint:
    """A classifier checkpoint with its config.

    Attributes:
        path: where it lies.
        state_dict: its weights, by mmpretrain's names (memory-mapped: nothing is read before it is
            used).
        meta: MMEngine's meta.
        cfg: the config that made it.
        weights: ``'ema'`` if EMAHook put the averaged weights into ``state_dict``, else ``'raw'``.
        layout: how the file itself names its tensors.
    """

    path: Path
    state_dict: dict[str, Tensor]
    meta: dict[str, Any]
    cfg: Config
    weights: str
    layout: str = OPENMMLAB

    @property
    def arch(self) -> Arch:
        """Its architecture; ValueError as ``arch_of`` says, with the file's name."""
        return self._described(arch_of)

    @property
    def backbone(self) -> Arch:
        """The architecture of its backbone, be there a head or not; ValueError as for ``arch``."""
        return self._described(lambda model: backbone_arch(model.get("backbone") or {}))

    def _described(self, describe: Callable[[Any], Arch]) -> Arch:
        if not self.cfg.get("model"):
            raise ValueError(f"{self.path}: its config {self.cfg.filename or ''} has no 'model'")
        try:
            return describe(self.cfg.model)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error


def load_file(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint file, on the CPU, memory-mapped where possible.

    Whatever is wrapped around the weights is taken off, their names stay: ``state_dict`` and
    ``meta`` (empty where there is none) are always there.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: an address, a folder, truncated, or no weights.
    """
    if re.match(r"[\w.+-]{2,}:/", str(path)):  # a Path has but one slash left
        raise ValueError(f"{path} is an address: a file is wanted here, download it first")
    return unwrapped(read_object(Path(path).expanduser()), str(path))


def read_checkpoint(
    path: str | Path,
    config: str | Path | None = None,
    library: str = "auto",
    num_heads: int | None = None,
) -> Checkpoint:
    """Reads a classifier's checkpoint and the config it carries (or the one given).

    Those of timm, torchvision and Hugging Face are converted, and their config inferred where
    they carry none, see ``layouts`` and ``inferred``.

    Args:
        path: the file.
        config: its config, for checkpoints without one.
        library: whose layout it has, one of ``layouts.LIBRARIES``; ``'auto'``: its keys decide.
        num_heads: of a ViT of another library whose size is unusual.

    Raises:
        FileNotFoundError, ValueError: see ``load_file``; an unknown layout; no config at all;
            weights that are not finite.
    """
    content, path = load_file(path), Path(path)
    if broken := damage(path):
        raise ValueError(f"{broken}. Bring an undamaged copy, or have it made again")
    meta, state, layout, inferred = content["meta"], content["state_dict"], OPENMMLAB, None
    is_foreign = layout_of(state) is not None and library != "mmpretrain"
    if is_foreign or library not in ("auto", "mmpretrain"):
        converted = convert(state, str(path), library)
        state, layout = converted.state, converted.layout.name
        say_once(f"{path}: read in the layout of {layout}")
        if config is None and not config_in(meta):
            architecture = content.get("arch")
            architecture = architecture if _is_text(architecture) else ""
            inferred = config_of(converted, path, architecture, num_heads)
    elif state and not any(key.startswith("backbone.") for key in state) and not config_in(meta):
        raise ValueError(unknown(state, str(path)))
    if config is not None:
        cfg = read_config(config)
    elif inferred is not None:
        cfg = inferred
    elif config_in(meta):
        cfg = plain_config(_config(config_in(meta), path))
    else:
        raise ValueError(
            f"{path} carries no config in its meta: give one with --config, or put one into it "
            f"by tools/convert.py {path} OUT --config CONFIG"
        )
    # Errors about this config shall name the checkpoint, not MMEngine's temporary file.
    if config is None:
        object.__setattr__(cfg, "_filename", str(path))
    weights = meta.get("weights") or ("ema" if "ema_state_dict" in content else "raw")
    if is_distilling(cfg.get("model") or {}):  # teachers and projections were for training alone
        cfg.model, state = plain_model(cfg.model), without_projections(state)
    check_finite(state, path)
    return Checkpoint(path, state, meta, cfg, weights, layout)


def config_in(meta: dict[str, Any]) -> str | None:
    """The text of the config in a checkpoint's meta; before MMEngine it was called ``config``."""
    text = meta.get("cfg") or meta.get("config")
    return text if _is_text(text) else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _config(text: str, path: Path) -> Config:
    try:
        cfg = Config.fromstring(text, ".py")
    except (SyntaxError, NameError, ImportError, AttributeError, TypeError, KeyError, OSError) as e:
        raise ValueError(
            f"{path}: the config in its meta cannot be read ({type(e).__name__}: {e})"
        ) from e
    _modernise(cfg)
    return cfg


def _modernise(cfg: Config) -> None:
    """What mmcls 0.x and mmdet 2.x called otherwise."""
    normed = cfg.get("img_norm_cfg")
    if normed and not cfg.get("data_preprocessor"):
        cfg.data_preprocessor = dict(normed)
    backbone = (cfg.get("model") or {}).get("backbone") or {}
    if backbone.get("output_cls_token", False):  # of a ViT: what it does anyway
        del backbone["output_cls_token"]


def hash_of_file(path: str | Path) -> str:
    """Hex SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        for piece in iter(lambda: file.read(2**22), b""):
            digest.update(piece)
    return digest.hexdigest()


def write_checkpoint(content: dict[str, Any], path: str | Path) -> None:
    """Writes a checkpoint to a temporary name, then renames it.

    A path that ends in ``.safetensors`` gets that format: the weights, and ``meta`` as JSON in the
    header, under ``reading.META``.

    Raises:
        ValueError: safetensors of a meta that JSON cannot hold.
    """
    if Path(path).suffix != ".safetensors":
        write_whole(path, lambda temporary: torch.save(content, temporary), suffix=".tmp")
        return
    assert content.keys() <= {"meta", "state_dict"}
    try:
        meta = json.dumps(content["meta"], default=_plain)
    except TypeError as error:
        raise ValueError(f"{path}: its meta cannot be written as JSON ({error})") from error
    # safetensors refuses what shares memory
    state = {
        key: value.clone(memory_format=torch.contiguous_format)
        for key, value in content["state_dict"].items()
    }
    metadata = {"format": "pt", META: meta}
    write_whole(path, lambda temporary: save_file(state, temporary, metadata), suffix=".tmp")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")
