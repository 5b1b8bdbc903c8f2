"""Texts in pieces, words with times, and the voice for whoever just wants audio."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest

from actors.engines.parts import check_voice_parts
from actors.engines.pool import close_engines
from actors.engines.voice import PIECE_CHARS, SpokenWord, pieces, timed_words
from actors.engines.voice_client import synthesize
from actors.errors import ProviderError, Remedy
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K


@pytest.fixture(autouse=True)
async def engines() -> AsyncIterator[None]:
    yield
    await close_engines()


def test_pieces_lose_no_word_and_stay_short() -> None:
    text = ("A sentence here. " * 20 + "and, then, commas, " * 20 + "words " * 80 + "x" * 400).strip()
    cut = pieces(text)
    assert "".join("".join(cut).split()) == "".join(text.split())
    assert max(map(len, cut)) <= PIECE_CHARS
    assert cut[0].endswith("here.")
    assert pieces("  short ") == ["short"]
    assert pieces(" ") == []


@pytest.mark.parametrize(
    ("text", "marks", "words"),
    [
        ("one two", [(0, 0.0), (4, 300.0)], [("one", 0.0, 300.0), ("two", 300.0, 900.0)]),
        ("10:30 ok", [(0, 0.0), (3, 400.0), (6, 600.0)], [("10:30", 0.0, 600.0), ("ok", 600.0, 900.0)]),
        ("a - b", [(0, 0.0), (4, 600.0)], [("a", 0.0, 300.0), ("-", 300.0, 600.0), ("b", 600.0, 900.0)]),
        ("so it is", [(3, 200.0), (0, 250.0)], [("so", 0.0, 200.0), ("it", 200.0, 550.0), ("is", 550.0, 900.0)]),
        ("mute", [], [("mute", 0.0, 900.0)]),
        ("", [], []),
    ],
)
def test_every_word_gets_its_time(
    text: str, marks: list[tuple[int, float]], words: list[tuple[str, float, float]]
) -> None:
    assert timed_words(text, marks, 900.0) == [SpokenWord(*word) for word in words]


async def test_the_voice_speaks_in_the_format_asked_for() -> None:
    slow = await synthesize("Hello there, how are you?", words_per_minute=120)
    fast = await synthesize("Hello there, how are you?", words_per_minute=240)
    assert 1000 < PCM_8K.duration_ms(len(fast)) < PCM_8K.duration_ms(len(slow)) < 4000
    assert np.abs(np.frombuffer(slow, "<i2").astype(int)).max() > 5000
    wide = await synthesize("Hello there, how are you?", words_per_minute=240, audio=PCM_16K)
    law = await synthesize("Hello there, how are you?", words_per_minute=240, audio=MULAW_8K)
    assert abs(PCM_16K.duration_ms(len(wide)) - PCM_8K.duration_ms(len(fast))) < 2
    assert abs(MULAW_8K.duration_ms(len(law)) - PCM_8K.duration_ms(len(fast))) < 2


@pytest.mark.parametrize("voice", ["en-us", "en-gb", "de-de", "en-us+f3"])
async def test_a_voice_may_be_named_by_its_language(voice: str) -> None:
    assert await synthesize("Hallo", voice=voice)


@pytest.mark.parametrize(
    ("text", "voice", "complaint"),
    [("hello", "zz-zz", "no voice 'zz-zz'"), ("a" * 10_001, "en-us", "a text of 10001 characters; at most 10000")],
)
async def test_what_cannot_be_spoken_is_named(text: str, voice: str, complaint: str) -> None:
    with pytest.raises(ProviderError, match=complaint) as caught:
        await synthesize(text, voice=voice)
    assert caught.value.remedy is Remedy.CONFIG
    assert await synthesize("and the engine goes on")


def test_all_parts_are_there() -> None:
    assert [part for part in check_voice_parts() if not part.ok] == []


def test_a_missing_part_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    hints = {part.name: part.hint for part in check_voice_parts() if not part.ok}
    assert "pip install pocketsphinx" in hints["pocketsphinx"]
    assert "pip install espeakng-loader" in hints["espeakng-loader"]
