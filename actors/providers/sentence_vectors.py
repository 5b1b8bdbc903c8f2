"""Sentences as vectors: texts that mean the same point the same way.

A static embedding (wordllama's l2_supercat, MIT: 32,000 pieces of words, 256 float16 each), read from the two files of
its wheel; its code is not run. The numbers are mapped, not read: the processes of a machine share them.
Tokens: byte-pair encoding of Llama 2, https://github.com/google/sentencepiece; file: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import importlib.util
import json
import mmap
import os
import struct
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

PACKAGE = "wordllama"
TOKENS = Path("tokenizers", "l2_supercat_tokenizer_config.json")
WEIGHTS = Path("weights", "l2_supercat_256.safetensors")
_FIRST_BYTE = 3  # the token of byte 0: for what is no piece
_LINES = 2000  # of the vocabulary parsed at once: 0.3 ms, so that a loop beside this thread goes on
_BLANK = "\u2581"

Vector = NDArray[np.float32]


class VectorsUnusable(Exception):
    """There is no such package, or its files are others: words alone must do."""


class SentenceVectors:
    """Makes vectors of texts. May be used in any thread."""

    def __init__(self, folder: Path) -> None:
        """Takes some 15 ms. Raises `VectorsUnusable`."""
        try:
            self._rows = _mapped(folder / WEIGHTS)
            self._pieces = _vocabulary((folder / TOKENS).read_bytes())
        except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
            raise VectorsUnusable(f"{PACKAGE}: {error}") from None
        if max(self._pieces.values(), default=0) >= len(self._rows):
            raise VectorsUnusable(f"{PACKAGE}: more pieces than vectors")
        self._word = lru_cache(4096)(self._sum)

    def of(self, words: Sequence[str], weights: Sequence[float]) -> Vector:
        """Of a sentence: length 1, or 0 for one without words; 10 to 100 us."""
        if not words:
            return np.zeros(self._rows.shape[1], np.float32)
        sums = np.array([self._word(word) for word in words])
        total: Vector = np.asarray(weights, np.float32) @ sums
        return total / np.float32(max(float(np.linalg.norm(total)), 1e-9))

    def each(self, words: Sequence[str]) -> Vector:
        """One row a word, each of length 1."""
        return np.array([self.of((word,), (1.0,)) for word in words], np.float32).reshape(-1, self._rows.shape[1])

    def tokens(self, word: str) -> list[int]:
        """The pieces of one word: the pair whose piece has the lowest number is joined first."""
        parts = list(_BLANK + word[:64])
        while len(parts) > 1:
            ranks = [self._pieces.get(a + b, 1 << 30) for a, b in pairwise(parts)]
            if (best := min(ranks)) == 1 << 30:
                break
            at = ranks.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        found = ([self._pieces[p]] if p in self._pieces else [_FIRST_BYTE + b for b in p.encode()] for p in parts)
        return [token for tokens in found for token in tokens]

    def _sum(self, word: str) -> Vector:
        rows: Vector = self._rows[self.tokens(word)].astype(np.float32)
        return np.asarray(rows.sum(axis=0), np.float32)


@cache
def sentence_vectors() -> SentenceVectors | None:
    """Those of this process, read once; None where they cannot be had."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    try:
        return SentenceVectors(Path(spec.submodule_search_locations[0]))
    except VectorsUnusable:
        return None


def _mapped(path: Path) -> NDArray[np.float16]:
    """The one matrix of the file, in pages that all processes share."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
    (size,) = struct.unpack_from("<Q", data)
    (matrix,) = (value for name, value in json.loads(data[8 : 8 + size]).items() if name != "__metadata__")
    if matrix["dtype"] != "F16" or len(matrix["shape"]) != 2:
        raise ValueError(f"{path.name} holds no float16 matrix")
    numbers = matrix["shape"][0] * matrix["shape"][1]
    found = np.frombuffer(data, "<f2", numbers, 8 + size + matrix["data_offsets"][0])
    return found.reshape(matrix["shape"])


def _vocabulary(data: bytes) -> dict[str, int]:
    """`model.vocab` of a tokenizer.json, in portions: the whole, parsed at once, holds up all threads for 15 ms."""
    begin = data.index(b"{", data.index(b'"vocab"'))
    end = data.index(b'"merges"', begin)
    lines = data[begin + 1 : data.rindex(b"}", begin, end)].strip().split(b"\n")
    found: dict[str, int] = {}
    for at in range(0, len(lines), _LINES):
        found |= orjson.loads(b"{" + b"\n".join(lines[at : at + _LINES]).rstrip().rstrip(b",") + b"}")
    return found
