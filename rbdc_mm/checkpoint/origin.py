"""Whose weights a run starts from: what the tables call a detector by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine import Config

from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.checkpoint.own_backbones import grows_by
from rbdc_mm.checkpoint.sources import sources_of

METHOD = "method"  # in a checkpoint's meta: what its run is called, where its config does not say
RANDOM, UNKNOWN = "random", "checkpoint of unknown origin"
_UNTRAINED = "{}, untrained"


def method_of(cfg: Config) -> str | None:
    """What a run is called: a classifier as its config says, a detector by its weights.

    Those are ``load_from``'s, else the model's ``Pretrained`` ones: called as the run that saved
    them, by its checkpoint; ``UNKNOWN`` where that does not tell, ``'random'`` without any.
    A stage of a protocol that is not its target has its name behind a comma, weights that were
    grown and not trained since their operator.

    Args:
        cfg: a plain config, before ``load_from`` is set to resume the run itself.
    """
    if not _is_detector(cfg):
        return cfg.get("method")
    backbone = cfg.model.get("backbone") or {}
    if not cfg.get("load_from") and (operator := grows_by(backbone)):
        return _UNTRAINED.format(operator)
    sources = [cfg.load_from] if cfg.get("load_from") else sources_of(cfg.model)
    return " + ".join(dict.fromkeys(map(_method_in, sources))) or RANDOM


def warnings_of(cfg: Config, method: str | None) -> list[str]:
    """What is odd about a detector's name and weights, one line each."""
    if not _is_detector(cfg):
        return []
    found = []
    if cfg.get("method") not in (None, method):
        found.append(
            f"method={cfg.method!r} stands in the config, but a detector is called by its "
            f"weights: recorded as {method!r}"
        )
    frozen = cfg.model.get("backbone", {}).get("frozen_stages", -1)
    if method == RANDOM and frozen >= 0:
        found.append(
            f"model.backbone.frozen_stages={frozen} freezes weights that nothing has trained: set "
            "-1, and norm_eval=False, or give init_cfg a checkpoint"
        )
    return found


def _is_detector(cfg: Config) -> bool:
    heads = {"rpn_head", "roi_head", "bbox_head"} & set(cfg.model)
    return bool(heads) or cfg.get("default_scope") == "mmdet"


def _method_in(address: str) -> str:
    if not Path(address).is_file():  # a URL or the name of a model zoo
        return UNKNOWN
    meta = load_file(address).get("meta") or {}
    if "grown" in meta:
        return _UNTRAINED.format(meta["grown"]["operator"])
    return meta.get(METHOD) or _typed(meta)


def _typed(meta: Mapping[str, Any]) -> str:
    """As the config of a run says that did not note it itself."""
    cfg = Config.fromstring(meta["cfg"], ".py") if meta.get("cfg") else {}
    if not cfg.get("method"):
        return UNKNOWN
    stage = (cfg.get("stage") or {}).get("name", "target")
    return cfg["method"] if stage == "target" else f"{cfg['method']}, {stage}"
