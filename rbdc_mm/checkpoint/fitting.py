"""Which of a checkpoint's weights a module takes: by its own names, or converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor

from rbdc_mm.arch import ARCHS
from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.checkpoint.layouts import convert, layout_of
from rbdc_mm.checkpoint.saying import say_once
from rbdc_mm.checkpoint.wrappers import unwrapped

BACKBONE = "backbone."

Shapes = Mapping[str, Sequence[int]]
State = Mapping[str, Tensor]


def load_address(address: str, map_location: Any = "cpu") -> dict[str, Any]:
    """``files.load_file`` for whatever MMEngine loads: files, URLs, ``torchvision://resnet50``.

    Raises:
        FileNotFoundError, ValueError: see ``load_file``; an address that cannot be loaded.
    """
    if "://" not in address:
        return load_file(Path(address).expanduser())
    try:
        content = CheckpointLoader.load_checkpoint(address, map_location)
    except (OSError, KeyError, RuntimeError, ImportError) as error:
        raise ValueError(
            f"{address} could not be loaded ({type(error).__name__}: {error}): download the file "
            "and give its path"
        ) from error
    return unwrapped(content, address)


def weights_for(wanted: Shapes, state: State, prefix: str | None, where: str) -> dict[str, Tensor]:
    """The weights of ``state`` for a module, by the module's own names.

    Where the names under ``prefix`` are the module's they are taken as they are, as MMEngine does;
    so are those of a backbone alone, which has no prefix.
    Another library's weights are converted first; of a classifier's, a backbone takes its part,
    whether ``prefix='backbone.'`` is said or not.

    Args:
        wanted: name -> shape of the module's tensors.
        state: the checkpoint's weights.
        prefix: what stands before the names that are wanted; ``''`` and None for nothing.
        where: the checkpoint, for messages.

    Raises:
        ValueError: weights of another library that cannot be converted.
    """
    given = under(prefix, state)
    if fits(wanted, given):
        return given
    if not given and fits(wanted, state):  # a backbone alone: no prefix is needed
        return dict(state)
    layout = layout_of(given)
    # names that are the same in every library are ours where they stand under a prefix
    foreign = state if layout is None or layout.names_are_ours else given
    if layout_of(foreign) is None:
        return given
    converted = convert(foreign, where)
    say_once(f"{where}: read in the layout of {converted.layout.name}")
    if any(key in converted.state for key in wanted):  # a whole classifier or detector
        return converted.state
    return under(BACKBONE, converted.state)


def fits(wanted: Shapes, given: State) -> bool:
    """Whether ``given`` has every tensor that is wanted, in its shape."""
    return all(
        is_free(key)
        or (is_added(key) and key not in given)
        or (key in given and tuple(given[key].shape) == tuple(shape))
        for key, shape in wanted.items()
        if not key.endswith("num_batches_tracked")  # old files do not count
    )


def is_free(key: str) -> bool:
    """Whether a backbone's tensor may differ: positions are resized, last norms may be unused."""
    return any(key in family.free_tensors for family in ARCHS.values())


def is_added(key: str) -> bool:
    """Whether a tensor is a detector's own, as the norms of its other maps are."""
    return any(key in family.added_tensors for family in ARCHS.values())


def under(prefix: str | None, state: State) -> dict[str, Tensor]:
    """What stands under a prefix, without it; MMEngine adds the point."""
    prefix = f"{prefix.removesuffix('.')}." if prefix else ""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


@CheckpointLoader.register_scheme(prefixes=r".*\.safetensors$")
def load_from_safetensors(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Teaches MMEngine's loader the format; its own reads torch's alone."""
    content = load_file(Path(filename).expanduser())
    device = torch.device("cpu" if map_location is None else map_location)
    content["state_dict"] = {k: v.to(device) for k, v in content["state_dict"].items()}
    return content
