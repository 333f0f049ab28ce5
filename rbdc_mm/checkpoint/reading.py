"""Bytes of a file -> what it holds (torch's archives, pickles, safetensors), or one clear error."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
import zlib
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from safetensors import SafetensorError, safe_open

from rbdc_mm.checkpoint.saying import say_once

# Where a safetensors header (strings alone) holds an MMEngine checkpoint's meta, as JSON.
META = "rbdc_mm.meta"

# The number that torch's older format begins with, as a pickle has it.
_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa850192e")

_PICKLED = (
    "it holds pickled Python objects beside its tensors, and reading it runs what they name: load "
    "only files that you trust (tools/convert.py writes safetensors, which hold none)"
)
# What unpickling damaged bytes has been seen to raise, besides classes that are not there.
_UNREADABLE = (
    RuntimeError, OSError, zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, EOFError,
    ValueError, LookupError, TypeError, ArithmeticError, MemoryError, AssertionError, struct.error,
)  # fmt: skip
# Plain values beside the tensors of checkpoints: MMEngine's logs (whose statistics are methods, got
# by getattr), numpy's numbers, the arguments of timm's and DeiT's training.
_PLAIN = (
    HistoryBuffer, Namespace, getattr, slice, np.ndarray, np.dtype,
    np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0],
    *{type(np.dtype(kind)) for kind in (bool, np.uint8, np.uint32, np.int64, np.float32, float)},
)  # fmt: skip
_WHAT_ELSE = {
    b"version https://git-lfs": "it is a git-lfs pointer: fetch the file itself with git lfs pull",
    b"<": "it is a web page: the download went wrong",
    b"\x89HDF": "it is an HDF5 file",
    b"\x1f\x8b": "it is gzipped: unpack it",
    b"{": "it is JSON, maybe the index of a checkpoint in several files: join those into one",
}


def damage(path: Path) -> str | None:
    """What is wrong with the content of a file in torch's format, by its checksums; None: nothing.

    Reads it whole, which loading by memory map does not; other formats have no checksums.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        return f"{path} is damaged: {error}"
    return f"{path} is damaged: the checksum of {broken!r} does not fit" if broken else None


def read_object(path: Path) -> Any:
    """What a file holds, on the CPU, memory-mapped where possible.

    Tensors and plain values are read without running anything. Only where a file holds other
    objects is it unpickled in full, which is said once.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: a folder, truncated, or no checkpoint.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: wanted a checkpoint file inside it")
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} does not exist")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(40)
    what = f"{path} ({size / 2**20:.1f} MiB)"
    header = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and (header <= size or path.suffix == ".safetensors"):
        return _safetensors(path, what)
    # Unpickling what is no pickle can raise anything: look first.
    if start[:2] != b"PK" and start[:1] != b"\x80":
        kinds = (known for mark, known in _WHAT_ELSE.items() if start.startswith(mark))
        empty = "the file is empty" if not size else ""
        known = next(kinds, empty) or "neither torch's zip archive nor a pickle nor safetensors"
        raise ValueError(
            f"{what} is not a checkpoint: it starts with {start[:2]!r} ({known}); wanted a file "
            "that MMEngine, timm, torchvision or Hugging Face has saved"
        )
    if start[:2] != b"PK" and _MAGIC not in start:
        raise ValueError(
            f"{what} is truncated or not a checkpoint: it is a pickle that torch has not saved; "
            "wanted a file that MMEngine, timm, torchvision or Hugging Face has saved"
        )
    return _torch(path, what)


def _torch(path: Path, what: str) -> Any:
    options = dict(map_location="cpu", mmap=zipfile.is_zipfile(path))
    serialization = torch.serialization
    has_list = hasattr(serialization, "safe_globals")  # torch >= 2.5
    try:
        with serialization.safe_globals(list(_PLAIN)) if has_list else nullcontext():
            try:
                return torch.load(str(path), weights_only=True, **options)
            except pickle.UnpicklingError as error:
                # Damaged, unless it is of a newer protocol than torch's own.
                if "Unsupported operand" in str(error) and _protocol(path) <= 2:
                    raise
        say_once(f"{path}: {_PICKLED}")
        return torch.load(str(path), weights_only=False, **options)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"{what} is a whole pickled model, or holds other objects, of classes that are not "
            f"here ({_first_line(error)}): load it where they are and save its state_dict()"
        ) from error
    except _UNREADABLE as error:
        raise ValueError(
            f"{what} is truncated or not a checkpoint: torch cannot read it "
            f"({_first_line(error)}); wanted a file that MMEngine, timm, torchvision or Hugging "
            "Face has saved"
        ) from error


def _protocol(path: Path) -> int:
    """Pickle's protocol in a file of torch's."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()[1]
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
        return archive.read(names[0])[1]


def _safetensors(path: Path, what: str) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        meta = json.loads(metadata.get(META, "{}"))
    except (SafetensorError, OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{what} is truncated or no safetensors file ({_first_line(error)})"
        ) from error
    return {"state_dict": state, "meta": meta}


def _first_line(error: BaseException) -> str:
    """The cause in one line, without torch's advice to load the file in an unsafe way."""
    text = str(error)
    cause = text.partition("WeightsUnpickler error:")[2].strip() or text
    line = next(iter(cause.splitlines()), "").partition(" In PyTorch 2.6")[0]
    return line or type(error).__name__
