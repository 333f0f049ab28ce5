"""The tokenizers of a whole config: one for all of it, and as large as the model's vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .dataset_cfg import as_list, leaves, loaders_of, pipeline_of, type_name
from .layout import DataLayoutError
from .tokenizers import build_tokenizer, check_vocab_size


def check_tokenizers(cfg: Mapping, loaders: tuple[str, ...]) -> None:
    """Raises ValueError where two of them differ, or one does not suit the model.

    Args:
        cfg: a config; its model's ``vocab_size`` and ``context_length`` count, wherever they stand.
        loaders: whose pipelines and evaluators are looked at.
    """
    found = [(where, build_tokenizer(one)) for where, one in tokenizer_cfgs(cfg, loaders)]
    if not found:
        return
    (first, one), *others = found
    for where, other in others:
        is_one = other.bpe is one.bpe or other.bpe.to_str() == one.bpe.to_str()
        if not is_one or other.context_length != one.context_length:
            raise DataLayoutError(
                f"{where} has another tokenizer than {first}: {other!r} against {one!r}. Tokens of "
                "all texts that a model reads must be of one"
            )
    for key, path, value in _settings(cfg.get("model") or {}, "model"):
        if key == "vocab_size":
            check_vocab_size(one, value, path)
        elif value != one.context_length:
            raise DataLayoutError(
                f"{first} makes {one.context_length} ids of a text, but {path}.context_length is "
                f"{value}: set both alike"
            )


def tokenizer_cfgs(cfg: Mapping, loaders: tuple[str, ...]) -> Iterator[tuple[str, Mapping]]:
    """Each tokenizer's config, of pipelines and evaluators, with its place."""
    for loader in loaders:
        for dataloader, evaluator in loaders_of(cfg, loader):
            steps = [step for leaf in leaves(dataloader["dataset"]) for step in pipeline_of(leaf)]
            for one in (*steps, *as_list(evaluator or ())):
                if isinstance(one, Mapping) and isinstance(one.get("tokenizer"), Mapping):
                    yield f"{type_name(one)} of {loader}", one["tokenizer"]


def _settings(cfg: Any, path: str) -> Iterator[tuple[str, str, int]]:
    """Every vocab_size and context_length of a model's config, with its place."""
    for key, value in cfg.items():
        if key in ("vocab_size", "context_length") and isinstance(value, int):
            yield key, path, value
        elif isinstance(value, Mapping):
            yield from _settings(value, f"{path}.{key}")
