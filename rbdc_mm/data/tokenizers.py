"""Texts to token ids: a byte-level BPE trained on the captions at hand, or OpenAI's of CLIP.

A text is repaired, unescaped, lower-cased and has single spaces; it is the ids of begin, text, end
and zeros, cut with the end kept where it is too long. Whatever the vocabulary, begin and end are
its last two ids, so that a text ends where its id is the highest.

Source: https://github.com/openai/CLIP (simple_tokenizer.py) for what a text becomes there.
"""

from __future__ import annotations

import gzip
import html
import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbdc_mm.whole_files import write_text

from .captions import each_caption, fingerprint, place_of
from .findings import shown
from .layout import DataMissingError
from .store import lock

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
NUM_OPENAI_MERGES = 49152 - 256 - 2  # of those in its file
NUM_OPENAI_TOKENS = 49408
NUM_BYTES = 256
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"  # of OpenAI's


class TextTokenizer:
    """Token ids of texts.

    Args:
        bpe: whose last two tokens are begin and end.
        context_length: number of ids of a text.
        name: for messages.

    Attributes:
        vocab_size: ids of texts are smaller.
    """

    def __init__(self, bpe: Tokenizer, context_length: int, name: str) -> None:
        if context_length < 3:
            raise ValueError(f"context_length={context_length}: wanted at least 3, a token's text")
        self.bpe, self.context_length, self.name = bpe, context_length, name
        self.vocab_size = bpe.get_vocab_size()

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Ids of N texts: (N, context_length) long."""
        import torch

        ids = torch.zeros(len(texts), self.context_length, dtype=torch.long)
        for row, text in zip(ids, texts, strict=True):
            inner = self.bpe.encode(clean(text)).ids[: self.context_length - 2]
            one = [self.vocab_size - 2, *inner, self.vocab_size - 1]
            row[: len(one)] = torch.tensor(one)
        return ids

    def __repr__(self) -> str:
        return (
            f"TextTokenizer({self.name}: {self.vocab_size} tokens, {self.context_length} of a text)"
        )


def build_tokenizer(cfg: Mapping[str, Any]) -> TextTokenizer:
    """The tokenizer of a config.

    Args:
        cfg: ``context_length`` (77) and one of

            - ``file``: a JSON file that was written here, or OpenAI's
              ``bpe_simple_vocab_16e6.txt.gz``, of which ``vocab_size``, if given, is demanded;
            - ``captions`` and ``vocab_size``: it is trained on all captions of a
              ``CaptionedImages`` (its settings, or its ``ann_file``) and kept in a hidden file
              beside them, named after their content.

    Raises:
        ValueError: no such file, or it is none; another vocabulary size than ``vocab_size``;
            settings that are unknown or missing; see ``captions.read_captions``.
    """
    unknown = set(cfg) - {"file", "captions", "vocab_size", "context_length"}
    if unknown or bool(cfg.get("file")) == bool(cfg.get("captions")):
        raise ValueError(
            f"the tokenizer's config is {dict(cfg)!r}: wanted context_length and either file (and "
            "vocab_size), or captions and vocab_size to train it on"
        )
    vocab_size, context_length = cfg.get("vocab_size"), cfg.get("context_length", 77)
    if captions := cfg.get("captions"):
        if vocab_size is None:
            raise ValueError(f"the tokenizer's config is {dict(cfg)!r}: it needs vocab_size")
        path = _trained_on(captions, vocab_size)
    else:
        path = Path(cfg["file"]).expanduser()
        if not path.is_file():
            raise DataMissingError(f"the tokenizer {path} is missing (looked from {Path.cwd()})")
    tokenizer = TextTokenizer(_read(str(path), path.stat().st_mtime_ns), context_length, str(path))
    if vocab_size is not None:
        check_vocab_size(tokenizer, vocab_size, "the tokenizer's config")
    return tokenizer


def check_vocab_size(tokenizer: TextTokenizer, vocab_size: int, whose: str) -> None:
    """Raises ValueError where ``whose`` vocabulary (a model's, a config's) is of another size."""
    if tokenizer.vocab_size != vocab_size:
        raise ValueError(
            f"{tokenizer.name} has {tokenizer.vocab_size} tokens, but {whose} has "
            f"vocab_size={vocab_size}: set vocab_size={tokenizer.vocab_size} there, or give the "
            "tokenizer that belongs to it"
        )


def train_bpe(captions: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE; the same for the same captions.

    Captions that need fewer merges leave ids unused. (Merges with an end-of-word mark, as OpenAI's
    have, would come in another order every time: the library numbers such letters as it meets
    them in a hash table.)

    Args:
        captions: of which it learns which letters stand together.
        vocab_size: number of ids, 256 for the bytes and 2 for begin and end among them.

    Raises:
        ValueError: a size below 258.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    num_learned = vocab_size - 2
    if num_learned < NUM_BYTES:
        raise ValueError(
            f"vocab_size={vocab_size}: wanted at least {NUM_BYTES + 2}, of which {NUM_BYTES} are "
            "bytes and two begin and end"
        )
    # Threads that are still there when a loader's workers are forked.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    words = pre_tokenizers.ByteLevel(add_prefix_space=True)
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = words
    learner.train_from_iterator(
        map(clean, captions),
        trainers.BpeTrainer(
            vocab_size=num_learned, initial_alphabet=words.alphabet(), show_progress=False
        ),
    )
    content = json.loads(learner.to_str())
    vocab = content["model"]["vocab"]
    unused = [f"<|unused{n}|>" for n in range(len(vocab), num_learned)]
    vocab |= {token: n for n, token in enumerate([*unused, BEGIN, END], len(vocab))}
    return Tokenizer.from_str(json.dumps(content))


def clean(text: str) -> str:
    """A text as it is split into tokens: repaired, unescaped, lower-case, with single spaces."""
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()


def _trained_on(captions: str | Mapping, vocab_size: int) -> Path:
    """The file of a tokenizer that was trained on such captions, now or before."""
    cfg = {"ann_file": captions} if isinstance(captions, str) else captions
    place = place_of(cfg)
    path = place.with_name(f".{place.stem}.{fingerprint(cfg)[:12]}.bpe{vocab_size}.json")
    if not path.is_file():
        try:
            with lock(path.with_name(f"{path.name}.lock")):
                if not path.is_file():  # no other process has made it meanwhile
                    write_text(train_bpe(each_caption(cfg), vocab_size).to_str(), path)
        except OSError as error:
            raise ValueError(
                f"the tokenizer trained on {place} cannot be kept beside it ({error.strerror}): "
                "make the folder writable, or copy the captions into one that is"
            ) from error
    return path


@lru_cache(maxsize=8)
def _read(path: str, mtime_ns: int) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        if path.endswith((".txt.gz", ".txt")):
            return _openai(path)
        bpe = Tokenizer.from_str(Path(path).read_text(encoding="utf-8"))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise _no_tokenizer(path, str(error)) from error
    except Exception as error:  # what the library raises is of this very type
        if type(error) is not Exception:
            raise
        raise _no_tokenizer(path, str(error)) from error
    size = bpe.get_vocab_size()
    if [bpe.token_to_id(token) for token in (BEGIN, END)] != [size - 2, size - 1]:
        raise _no_tokenizer(path, f"its last two tokens are not {BEGIN} and {END}")
    return bpe


def _openai(path: str) -> Tokenizer:
    """From a file of merges, the most frequent first, below a line that tells its version."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")
    if not lines[0].startswith("#version"):
        raise _no_tokenizer(path, f"its first line is {shown(lines[0][:40])}, not #version ...")
    merges = [tuple(line.split()) for line in lines[1 : NUM_OPENAI_MERGES + 1] if line]
    letters = _byte_letters()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    known = set(tokens)
    for number, merge in enumerate(merges, 2):
        if len(merge) != 2 or not known.issuperset(merge):
            raise _no_tokenizer(path, f"line {number} merges {merge}, which are no two tokens")
        tokens.append("".join(merge))
        known.add(tokens[-1])
    tokens += [BEGIN, END]
    vocab = {token: n for n, token in enumerate(tokens)}
    if len(vocab) != len(tokens):
        raise _no_tokenizer(path, "two of its merges make the same token")
    bpe = Tokenizer(models.BPE(vocab, merges, end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return bpe


def _byte_letters() -> list[str]:
    """What stands for the 256 bytes in byte-level BPE, in the order of OpenAI's ids.

    Bytes that can be printed stand for themselves; the others follow as letters from number 256.
    """
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return list(map(chr, [*printed, *range(256, 2 * 256 - len(printed))]))


def _no_tokenizer(path: str, why: str) -> ValueError:
    return ValueError(
        f"{path} is no tokenizer ({why}): wanted a .json file that was trained here, or OpenAI's "
        "bpe_simple_vocab_16e6.txt.gz"
    )
