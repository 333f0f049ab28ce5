"""Tokenizers: trained here, and OpenAI's against its published algorithm."""

from __future__ import annotations

import gzip
import json
import pickle
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from rbdc_mm.data.tokenizers import NUM_OPENAI_MERGES, NUM_OPENAI_TOKENS, build_tokenizer, train_bpe

TEXTS = [
    "A small red circle above two blue sevens.",
    "THE  red &amp; the blue:\tit's 1234 caf\u00e9s!! \u2603",
    "don't they've we'll",
    "<|endoftext|> is a text",
    "",
    "circle circles, circled; " * 20,
]


WORDS = ["red", "blue", "circle", "circles", "star", "above", "seven", "small", "the", "café"]


def captions(count: int = 400) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, 5)) for _ in range(count)]


def letters() -> dict[int, str]:
    """What OpenAI writes for each byte, in the order of its ids."""
    own = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    rest = [b for b in range(256) if b not in own]
    return {b: chr(b) for b in own} | {b: chr(256 + n) for n, b in enumerate(rest)}


def spelt(word: str) -> list[str]:
    *start, end = (letters()[byte] for byte in word.encode())
    return [*start, f"{end}</w>"]


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("captions") / "train.tsv"
    rows = [f"{caption}\t{n}.jpg" for n, caption in enumerate(captions())]
    path.write_text("\n".join(["title\tfilepath", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def openai(tmp_path_factory) -> Path:
    """A file as OpenAI's: the most frequent merges of a few words."""
    merges, words = [], [spelt(word) for n, word in enumerate(WORDS) for _ in range(n)]
    while counts := Counter(pair for word in words for pair in pairwise(word)):
        merges.append(max(sorted(counts), key=counts.__getitem__))
        words = [merged(word, merges[-1]) for word in words]
    path = tmp_path_factory.mktemp("openai") / "bpe_simple_vocab_16e6.txt.gz"
    lines = ["#version: 0.2", *map(" ".join, merges), ""]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    """All such pairs of a word, from the left, as one token."""
    out: list[str] = []
    while word:
        size = 2 if tuple(word[:2]) == pair else 1
        out, word = [*out, "".join(word[:size])], word[size:]
    return out


def as_published(path: Path, words: list[str]) -> list[int]:
    """OpenAI's ids of lower-case words that are split already: the earliest merge goes first."""
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")[1:-1]
    order = [*letters().values(), *(one + "</w>" for one in letters().values())]
    order += ["".join(line.split()) for line in lines]
    ids = []
    for word in map(spelt, words):
        while pairs := [p for p in map(tuple, map(str.split, lines)) if p in set(pairwise(word))]:
            word = merged(word, pairs[0])
        ids += [order.index(token) for token in word]
    return ids


def test_openais_ids(openai):
    tokenizer = build_tokenizer(dict(file=str(openai), context_length=60))
    size = tokenizer.vocab_size
    assert size == 512 + len(gzip.decompress(openai.read_bytes()).splitlines()) - 1 + 2
    assert NUM_OPENAI_MERGES + 512 + 2 == NUM_OPENAI_TOKENS
    split = [
        "a small red circle above two blue sevens .",
        "the red & the blue : it 's 1 2 3 4 caf\u00e9s !! \u2603",
        "don 't they 've we 'll",
        "<| endoftext |> is a text",  # no text ends itself
        "",
        "circle circles , circled ; " * 20,
    ]
    ids = tokenizer(TEXTS)
    assert ids.shape == (len(TEXTS), 60) and ids.dtype == torch.long
    for row, words in zip(ids, split, strict=True):
        inner = as_published(openai, words.split())[:58]
        wanted = [size - 2, *inner, size - 1]
        assert row.tolist() == wanted + [0] * (60 - len(wanted))
        assert row.argmax() == len(wanted) - 1


def test_lines_after_the_last_merge_are_not_read(openai, tmp_path, monkeypatch):
    """OpenAI's file has 262,145 lines."""
    monkeypatch.setattr("rbdc_mm.data.tokenizers.NUM_OPENAI_MERGES", 9)
    path = tmp_path / openai.name
    path.write_bytes(openai.read_bytes())
    assert build_tokenizer(dict(file=str(path))).vocab_size == 512 + 9 + 2


def test_training_is_deterministic_and_kept_whole(table):
    cfg = dict(captions=str(table), vocab_size=320, context_length=12)
    tokenizer = build_tokenizer(cfg)
    files = list(table.parent.glob(".train.*.bpe320.json"))
    assert len(files) == 1 and not list(table.parent.glob("*.lock"))
    code = "import sys; from rbdc_mm.data.tokenizers import train_bpe; "
    code += "sys.stdout.buffer.write(train_bpe(sys.stdin.buffer.read().decode().split('\\n'), 320)"
    code += ".to_str().encode())"
    for _ in range(2):  # other processes hash otherwise
        done = subprocess.run(
            [sys.executable, "-c", code], input="\n".join(captions()).encode(), capture_output=True
        )
        assert done.stdout == files[0].read_bytes(), done.stderr
    ids = tokenizer(TEXTS)
    assert tokenizer.vocab_size == 320 and ids.max() == 319 and (ids[:, 0] == 318).all()
    assert (ids[5] != 0).all() and ids[5, -1] == 319  # cut, with its end
    assert (pickle.loads(pickle.dumps(tokenizer))(TEXTS) == ids).all()
    assert (build_tokenizer(dict(file=str(files[0]), context_length=12))(TEXTS) == ids).all()
    words = Tokenizer.from_file(str(files[0])).encode("the red circles above").tokens
    assert words == ["\u0120the", "\u0120red", "\u0120circles", "\u0120above"]


def test_other_captions_get_another_file(table, tmp_path):
    other = tmp_path / "train.tsv"
    other.write_text("title\tfilepath\nwholly other words\t1.jpg\n")
    build_tokenizer(dict(captions=str(other), vocab_size=300))
    other.write_text("title\tfilepath\nmore words\t1.jpg\n")
    build_tokenizer(dict(captions=str(other), vocab_size=300))
    assert len(list(tmp_path.glob(".train.*.bpe300.json"))) == 2


def test_few_captions_leave_ids_unused():
    bpe = train_bpe(["aa aa"], 400)
    assert bpe.get_vocab_size() == 400 and bpe.token_to_id("<|endoftext|>") == 399
    assert json.loads(bpe.to_str())["model"]["merges"] == [["a", "a"], ["\u0120", "aa"]]
