"""What is wrapped around weights in a checkpoint file, taken off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rbdc_mm.checkpoint.saying import say_once

# Names under which weights are saved; averaged ones first, as timm's own loader takes them.
_EMA = ("state_dict_ema", "model_ema", "ema_state_dict")
_NAMES = (*_EMA, "state_dict", "model", "model_state_dict")
_COUNTERS = ("steps", "n_averaged")  # of MMEngine's and torch's averaged models
_QUANTISED = (torch.int8, torch.uint8)
_NUM_SHOWN = 5


def unwrapped(content: Any, where: str) -> dict[str, Any]:
    """What a file holds, as an MMEngine checkpoint: ``state_dict`` and ``meta`` at least.

    Keys lose ``_orig_mod.``, and what stands in front of all of them: ``module.`` and, but in
    MMEngine's own files, ``model.``. ``meta`` is empty where there is none; of raw and averaged
    weights the averaged ones are taken, and ``meta['weights']`` says so.

    Args:
        content: see ``reading.read_object``.
        where: the file, for messages.

    Raises:
        ValueError: a whole model, no weights, or something else among them.
    """
    if not isinstance(content, Mapping):
        raise ValueError(_refusal(content, where))
    found = dict(content)
    meta = found.get("meta")
    is_mmengine = isinstance(meta, Mapping)
    found["meta"] = dict(meta) if is_mmengine else {}
    if is_mmengine and isinstance(found.get("state_dict"), Mapping):
        name = "state_dict"
    else:
        name = next((n for n in _NAMES if isinstance(found.get(n), Mapping | nn.Module)), None)
    if name is None and (not found.keys().isdisjoint(_NAMES) or not _are_weights(content)):
        raise ValueError(_refusal(content, where))
    state = content if name is None else found[name]
    if isinstance(state, nn.Module) or (not state and not is_mmengine):
        raise ValueError(_refusal(state or content, where))
    if name in _EMA:
        state = {k: v for k, v in state.items() if k not in _COUNTERS}
        found["meta"]["weights"] = "ema"
        say_once(f"{where}: its averaged weights ({name}) are taken")
    _check_tensors(state, where)
    prefixes = ("module.",) if is_mmengine else ("module.", "model.")
    found["state_dict"] = _without_prefixes(state, prefixes)
    return found


def _are_weights(content: Mapping) -> bool:
    return bool(content) and all(isinstance(v, Tensor) for v in content.values())


def _check_tensors(state: Mapping, where: str) -> None:
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(
                f"{where}: among its weights {key!r} is a {type(value).__name__}, wanted tensors"
            )
        if value.is_quantized or value.layout != torch.strided or value.dtype in _QUANTISED:
            raise ValueError(
                f"{where}: {key!r} is a quantised or sparse tensor ({value.dtype}, {value.layout});"
                " wanted the floating-point weights that it was made from"
            )


def _without_prefixes(state: Mapping[str, Tensor], prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    state = {key.replace("_orig_mod.", ""): value.detach() for key, value in state.items()}
    while state and (
        prefix := next((p for p in prefixes if all(key.startswith(p) for key in state)), None)
    ):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _refusal(content: Any, where: str) -> str:
    if isinstance(content, nn.Module):
        return (
            f"{where} is a whole pickled model ({type(content).__name__}): wanted its weights, "
            "torch.save(model.state_dict(), ...)"
        )
    is_dict = isinstance(content, Mapping)
    got = sorted(map(str, content))[:_NUM_SHOWN] if is_dict else f"a {type(content).__name__}"
    return (
        f"{where} is not an MMEngine checkpoint and holds no weights under another name: wanted a "
        f"dict with 'state_dict' and 'meta', or one of {list(_NAMES)}, or tensors by name; got "
        f"{got}"
    )
