"""Engine: hears callers, freely (`free_speech`) or with pocketsphinx, each against the grammar of its assistant.

A decoder is built for each caller with just the words of the grammar (some 6 MB and 20 ms; with the whole dictionary
it would be 28 MB and 90 ms). What the voice detector of pocketsphinx takes for
silence is not decoded, beyond the first second, and so costs next to nothing. An utterance ends with `finalize`.

Notes, all measured: `bestpath` must be off, or the lattice search forgets that a sentence has an end ("what are your
opening" + silence) and takes up to 200 ms; sample-hold from 8 to 16 kHz does as well as a clean filter, and is free.
"""

from __future__ import annotations

import math
from collections import deque
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actors.engines.child import Reply, Work, WorkFailed, serve
from actors.errors import Remedy

if TYPE_CHECKING:
    from pocketsphinx import Decoder

RATE = 16000  # of the acoustic model
VOICE_FRAME_BYTES = 2 * RATE * 20 // 1000  # what the voice detector takes
PREROLL_FRAMES = 20  # decoded although they came before the voice detector agreed
QUIET_FRAMES = 50  # longer silence is not decoded
INTERIM_MS = 200
SIGN_OF_LIFE_MS = 500  # the interim is repeated so often, also an empty one: silence would be taken for a stall
MAX_UTTERANCE_MS = 30_000
BEAMS = {"beam": 1e-80, "wbeam": 1e-60, "pbeam": 1e-80}  # the usual ones lose 7 % of the sentences
# The mean cepstrum of 8 kHz mu-law speech (espeak-ng's), held up to 16 kHz. Each utterance starts with it: 97 of 100
# sentences are heard right, 84 with the model's own. To wait for the whole utterance's mean did worse (95), to carry
# the mean on from utterance to utterance no better, and it would make the result depend on what was heard before.
TELEPHONE_CEPSTRUM = "50.37,-0.79,0.97,1.34,7.21,-19.57,4.20,-8.92,-15.14,13.38,-13.07,5.85,-4.00"
LOG_SCALE = 1024  # without bestpath a segment's score is scaled down by 2**10
SILENCE_WEIGHT = 1.5  # how much speech that the best sentence takes for silence speaks against it


class GrammarRecognition(Work):
    """One caller. Opening: grammar (JSGF), words, pronunciations ({word: [sounds]}, in place of the dictionary's), rate
    (8000 or 16000), threshold (lower accepts more).

    Says {opened}, {interim, end_ms}, {final, end_ms}, {end_of_turn, end_ms}; takes audio and {do: finalize}.
    """

    def __init__(self, reply: Reply, opening: dict[str, Any]) -> None:
        self._reply = reply
        self._rate, self._threshold = int(opening["rate"]), float(opening["threshold"])
        self._decoder = _decoder(opening["grammar"], opening["words"], opening.get("pronunciations", {}))
        self._detector = _detector()
        self._rest = b""  # the first part of a voice frame
        self._unheard: deque[bytes] = deque(maxlen=PREROLL_FRAMES)  # the latest frames, kept from the decoder
        self._quiet_frames = QUIET_FRAMES  # since the last voice
        self._in_utterance = False
        self._heard_ms = self._utterance_ms = 0.0
        self._interim, self._interim_at_ms, self._told_ms = "", 0.0, 0.0
        reply.event(opened=True)

    def step(self) -> bool:
        return False

    def on_audio(self, payload: bytes) -> None:
        samples = np.frombuffer(payload, "<i2")
        self._heard_ms += len(samples) * 1000 / self._rate
        audio = self._rest + (samples.repeat(2) if self._rate * 2 == RATE else samples).tobytes()
        whole = len(audio) - len(audio) % VOICE_FRAME_BYTES
        self._rest = audio[whole:]
        for start in range(0, whole, VOICE_FRAME_BYTES):
            self._hear(audio[start : start + VOICE_FRAME_BYTES])
        if self._heard_ms - self._told_ms >= SIGN_OF_LIFE_MS:
            self._tell_interim()

    def on_event(self, event: dict[str, Any]) -> None:
        if event.get("do") == "finalize":
            self._end_utterance()
            self._reply.event(end_of_turn=True, end_ms=self._heard_ms)

    def _hear(self, frame: bytes) -> None:
        self._quiet_frames = 0 if self._detector.is_speech(frame) else self._quiet_frames + 1
        self._unheard.append(frame)
        if self._quiet_frames > QUIET_FRAMES:
            return
        if not self._in_utterance:
            self._start_utterance()
        audio = b"".join(self._unheard)
        self._unheard.clear()
        self._decoder.process_raw(audio, False, False)
        self._utterance_ms += len(audio) * 500 / RATE
        if self._utterance_ms - self._interim_at_ms >= INTERIM_MS:
            self._say_interim()
        if self._utterance_ms >= MAX_UTTERANCE_MS:
            self._end_utterance()

    def _start_utterance(self) -> None:
        if self._rate < RATE:
            self._decoder.set_cmn(TELEPHONE_CEPSTRUM)
        self._decoder.start_utt()
        self._in_utterance, self._utterance_ms, self._interim, self._interim_at_ms = True, 0.0, "", 0.0

    def _say_interim(self) -> None:
        self._interim_at_ms = self._utterance_ms
        text = _accepted(self._decoder, self._threshold)
        if text and text != self._interim:
            self._interim = text
            self._tell_interim()

    def _tell_interim(self) -> None:
        self._told_ms = self._heard_ms
        self._reply.event(interim=self._interim, end_ms=self._heard_ms)

    def _end_utterance(self) -> None:
        if not self._in_utterance:
            return
        self._in_utterance, self._quiet_frames, self._detector = False, QUIET_FRAMES, _detector()
        self._interim = ""
        self._decoder.end_utt()
        if text := _accepted(self._decoder, self._threshold):
            self._reply.event(final=text, end_ms=self._heard_ms)


def _accepted(decoder: Decoder, threshold: float) -> str:
    """The best sentence, or nothing if it explains the sound badly."""
    hypothesis = decoder.hyp()
    if hypothesis is None or not hypothesis.hypstr or score(decoder) < threshold:
        return ""
    return str(hypothesis.hypstr)


def score(decoder: Decoder) -> float:
    """How well the best sentence explains the utterance: 0 is perfect, spoken sentences of the grammar reach -3 to -8.

    The mean log likelihood (against the best sound of each frame) in the words, plus that in what the sentence takes
    for silence, weighted: a foreign sentence fits badly, or leaves much of itself over. A second decoder for all phones
    to compare with costs twice as much again and told foreign sentences no better.
    """
    words, silence = _Mean(), _Mean()
    for segment in decoder.seg():
        frames = segment.end_frame - segment.start_frame + 1
        kind = silence if segment.word[0] in "<[(" else words
        if frames > 1:
            kind.add(LOG_SCALE * math.log(max(segment.ascore, 1e-300)), frames)
    return words.value + SILENCE_WEIGHT * silence.value


class _Mean:
    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def add(self, total: float, count: int) -> None:
        self.total += total
        self.count += count

    @property
    def value(self) -> float:
        return self.total / max(1, self.count)


def unknown_words(words: list[str]) -> list[str]:
    """Those that are not in the dictionary. Raises `WorkFailed` where pocketsphinx is absent."""
    return [word for word in words if not _pronunciations(word)]


def _decoder(grammar: str, words: list[str], given: dict[str, list[str]]) -> Decoder:
    if unknown := unknown_words([word for word in words if word not in given]):
        raise WorkFailed(f"the recognizer's dictionary lacks {', '.join(map(repr, unknown))}", Remedy.CONFIG)
    decoder = _pocketsphinx().Decoder(lm=None, dict=None, bestpath=False, logfn="/dev/null", loglevel="FATAL", **BEAMS)
    for word in words:
        for name, sounds in _numbered(word, given[word]) if word in given else _pronunciations(word):
            decoder.add_word(name, sounds, False)
    decoder.add_jsgf_string("sentences", grammar)
    decoder.activate_search("sentences")
    return decoder


@cache
def _dictionary() -> dict[bytes, bytes]:
    path = Path(_pocketsphinx().get_model_path("en-us/cmudict-en-us.dict"))
    return dict(line.split(None, 1) for line in path.read_bytes().splitlines())


def _pronunciations(word: str) -> list[tuple[str, str]]:
    """[("a", "AH"), ("a(2)", "EY")]: names and ARPAbet sounds."""
    found: list[tuple[str, str]] = []
    name = word
    while sounds := _dictionary().get(name.encode()):
        found.append((name, sounds.decode()))
        name = f"{word}({len(found) + 1})"
    return found


def _numbered(word: str, ways: list[str]) -> list[tuple[str, str]]:
    """As `_pronunciations`, for ways to say the word that were given."""
    return [(f"{word}({number})" if number > 1 else word, sounds) for number, sounds in enumerate(ways, 1)]


def _detector() -> Any:
    """A voice detector without memory: a used one goes on hearing the last sentence for a while."""
    return _pocketsphinx().Vad(0, RATE, VOICE_FRAME_BYTES / 2 / RATE)


def _pocketsphinx() -> Any:
    try:
        import pocketsphinx
    except ImportError as error:
        raise WorkFailed(f"pocketsphinx: {error}; pip install pocketsphinx", Remedy.CONFIG) from error
    return pocketsphinx


def recognition(reply: Reply, opening: dict[str, Any]) -> Work:
    """As the opening wants it: with a grammar or without."""
    if "grammar" in opening:
        return GrammarRecognition(reply, opening)
    from actors.engines.free_speech import FreeRecognition

    return FreeRecognition(reply, opening)


if __name__ == "__main__":
    serve(recognition)
