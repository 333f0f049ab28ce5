"""MMEngine checkpoint files: read with clear errors, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine import Config
from torch import Tensor

from rbdc_mm.arch import Arch
from rbdc_mm.checkpoint.arch_of import arch_of, is_distilling, plain_model, without_projections
from rbdc_mm.checkpoint.finite import check_finite


@dataclass(frozen=True)
class Checkpoint:
    """A classifier checkpoint with its config.

    Attributes:
        path: where it lies.
        state_dict: its weights (memory-mapped: nothing is read before it is used).
        meta: MMEngine's meta.
        cfg: the config that made it.
        weights: ``'ema'`` if EMAHook put the averaged weights into ``state_dict``, else ``'raw'``.
    """

    path: Path
    state_dict: dict[str, Tensor]
    meta: dict[str, Any]
    cfg: Config
    weights: str

    @property
    def arch(self) -> Arch:
        """Its architecture; ValueError as ``arch_of`` says, with the file's name."""
        if not self.cfg.get("model"):
            raise ValueError(f"{self.path}: its config {self.cfg.filename or ''} has no 'model'")
        try:
            return arch_of(self.cfg.model)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error


def load_file(path: str | Path) -> dict[str, Any]:
    """The content of an MMEngine checkpoint file, on the CPU, memory-mapped where possible.

    Like every OpenMMLab checkpoint it holds pickled objects: load only files that you trust.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: truncated, or not an MMEngine checkpoint.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: wanted a checkpoint file inside it")
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} does not exist")
    size_mib = path.stat().st_size / 2**20
    with path.open("rb") as file:
        start = file.read(2)
    # Unpickling what is no pickle can raise anything: look first.
    if start != b"PK" and start[:1] != b"\x80":
        raise ValueError(
            f"{path} ({size_mib:.1f} MiB) is not a checkpoint: it starts with {start!r}, neither "
            "torch's zip archive nor a pickle; wanted a file that MMEngine's Runner has saved"
        )
    try:
        content = torch.load(
            path, map_location="cpu", weights_only=False, mmap=zipfile.is_zipfile(path)
        )
    except (RuntimeError, OSError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path} ({size_mib:.1f} MiB) is truncated or not a checkpoint: torch cannot read it "
            f"({str(error).splitlines()[0]}); wanted a file that MMEngine's Runner has saved"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), Mapping):
        is_dict = isinstance(content, dict)
        got = sorted(map(str, content))[:5] if is_dict else type(content).__name__
        raise ValueError(
            f"{path} is not an MMEngine checkpoint: wanted a dict with 'state_dict' and 'meta', "
            f"got {got}"
        )
    return content


def read_checkpoint(path: str | Path, config: str | Path | None = None) -> Checkpoint:
    """Reads a checkpoint and the config it carries (or the one given).

    Raises:
        FileNotFoundError, ValueError: see ``load_file``; also when there is no config at all, or
            weights are not finite.
    """
    path = Path(path)
    content = load_file(path)
    meta = content.get("meta") or {}
    if config is not None:
        cfg = Config.fromfile(config)
    elif meta.get("cfg"):
        cfg = Config.fromstring(meta["cfg"], ".py")
        # Errors about this config shall name the checkpoint, not MMEngine's temporary file.
        object.__setattr__(cfg, "_filename", str(path))
    else:
        raise ValueError(f"{path} carries no config in its meta: give one with --config")
    weights = meta.get("weights") or ("ema" if "ema_state_dict" in content else "raw")
    state = content["state_dict"]
    if is_distilling(cfg.get("model") or {}):  # teachers and projections were for training alone
        cfg.model, state = plain_model(cfg.model), without_projections(state)
    check_finite(state, path)
    return Checkpoint(path, state, meta, cfg, weights)


def hash_of_file(path: str | Path) -> str:
    """Hex SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        for piece in iter(lambda: file.read(2**22), b""):
            digest.update(piece)
    return digest.hexdigest()


def write_checkpoint(content: dict[str, Any], path: str | Path) -> None:
    """Writes a checkpoint to a temporary name, then renames it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        torch.save(content, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(text: str, path: str | Path) -> None:
    """Writes a text file to a temporary name, then renames it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
