"""The tokenizers of a whole config: one for all of it, and as large as the model's vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .dataset_cfg import as_list, leaves, pipeline_of, type_name
from .layout import DataLayoutError
from .tokenizers import TextTokenizer, build_tokenizer, check_vocab_size


def check_tokenizers(cfg: Mapping, loaders: tuple[str, ...]) -> None:
    """Raises ValueError where two of them differ, or one does not suit the model.

    Args:
        cfg: a config; its model's ``vocab_size`` and ``context_length`` count, wherever they stand.
        loaders: whose pipelines and evaluators are looked at.
    """
    found = list(_tokenizers(cfg, loaders))
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


def _tokenizers(cfg: Mapping, loaders: tuple[str, ...]) -> Iterator[tuple[str, TextTokenizer]]:
    for loader in loaders:
        dataloader = cfg.get(f"{loader}_dataloader")
        for leaf in leaves(dataloader["dataset"]) if dataloader else ():
            for step in pipeline_of(leaf):
                if type_name(step) == "Tokenize":
                    name = f"Tokenize of {loader}_dataloader"
                    yield name, build_tokenizer(step["tokenizer"])
        for metric in as_list(cfg.get(f"{loader}_evaluator") or ()):
            if isinstance(metric, Mapping) and isinstance(metric.get("tokenizer"), Mapping):
                name = f"{type_name(metric)} of {loader}_evaluator"
                yield name, build_tokenizer(metric["tokenizer"])


def _settings(cfg: Any, path: str) -> Iterator[tuple[str, str, int]]:
    """Every vocab_size and context_length of a model's config, with its place."""
    for key, value in cfg.items():
        if key in ("vocab_size", "context_length") and isinstance(value, int):
            yield key, path, value
        elif isinstance(value, Mapping):
            yield from _settings(value, f"{path}.{key}")
