"""Engine: speaks with espeak-ng, through ctypes. The library is one global voice for each process, and GPL-3: both are
reasons why it lives in a process of its own.

A text is cut into pieces of a few seconds, each spoken in some milliseconds; all callers take turns piece by piece, and
a closed channel is noticed between two pieces. The rate conversion happens here too, off the worker's loop.
Library: https://github.com/espeak-ng/espeak-ng/blob/1.52.0/src/include/espeak-ng/speak_lib.h
"""

from __future__ import annotations

import ctypes
import itertools
import re
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from actors.engines.child import Reply, Work, WorkFailed, serve
from actors.errors import Remedy
from actors.media.audio import AudioFormat, Encoding
from actors.media.resample import Converter

NATIVE = AudioFormat(Encoding.PCM, 22050)
MAX_TEXT_CHARS = 10_000
PIECE_CHARS = 160
FRAME_MS = 100  # of audio in one frame to the worker

SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: espeak_Synth returns when all was handed to the callback
DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: a wrong data path is an error, not the end of the process
BUFFER_MS = 60
FLAGS = 1 | 0x1000  # espeakCHARS_UTF8, espeakENDPAUSE
RATE, PITCH = 1, 3  # espeak_PARAMETER
WORD_EVENT = 1


class VoiceSettings(NamedTuple):
    """How it sounds: espeak-ng's voice name, words per minute (80-450), pitch (0-99)."""

    voice: str
    words_per_minute: int
    pitch: int


class SpokenWord(NamedTuple):
    """A word and when it is spoken, in ms from the start of its text."""

    text: str
    start_ms: float
    end_ms: float


class _Event(ctypes.Structure):  # espeak_EVENT
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # characters, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


class _Voice(ctypes.Structure):  # espeak_VOICE
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """The library, once in a process."""

    def __init__(self) -> None:
        self._library = _load()
        self._audio: list[bytes] = []
        self._words: list[tuple[int, float]] = []  # (index of its first character, start in ms)
        self._settings: VoiceSettings | None = None
        self._callback = _Callback(self._collect)  # must live as long as the library may call it
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, settings: VoiceSettings) -> tuple[bytes, list[SpokenWord]]:
        """PCM in the `NATIVE` format, and every word of the text with its times."""
        self._use(settings)
        self._audio, self._words = [], []
        raw = text.encode() + b"\0"
        if self._library.espeak_Synth(raw, len(raw), 0, 1, 0, FLAGS, None, None) != 0:
            raise WorkFailed("espeak-ng cannot speak this text", Remedy.RETRY)
        pcm = b"".join(self._audio)
        return pcm, timed_words(text, self._words, NATIVE.duration_ms(len(pcm)))

    def has(self, voice: str) -> bool:
        """Whether there is a voice of this name, or for this language."""
        self._settings = None
        return self._choose(voice.encode())

    def languages(self) -> list[str]:
        """What there is a voice for, sorted."""
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        found = itertools.takewhile(bool, self._library.espeak_ListVoices(None))
        # a list of a priority (one byte) and a name each
        return sorted({voice.contents.languages[1:].decode() for voice in found})

    def _use(self, settings: VoiceSettings) -> None:
        if settings == self._settings:
            return
        self._settings = None
        if not self._choose(settings.voice.encode()):
            raise WorkFailed(f"espeak-ng has no voice {settings.voice!r}; try en-us, en-gb, de, fr", Remedy.CONFIG)
        self._library.espeak_SetParameter(RATE, settings.words_per_minute, 0)
        self._library.espeak_SetParameter(PITCH, settings.pitch, 0)
        self._settings = settings

    def _choose(self, voice: bytes) -> bool:
        """By its name, else as a language: there is no voice named en-gb or de-de, but one that speaks it."""
        if self._library.espeak_SetVoiceByName(voice) == 0:
            return True
        return bool(self._library.espeak_SetVoiceByProperties(ctypes.byref(_Voice(languages=voice))) == 0)

    def _collect(self, samples: int | None, count: int, events: Any) -> int:
        if samples and count > 0:
            self._audio.append(ctypes.string_at(samples, 2 * count))
        index = 0
        while events[index].type != 0:
            if events[index].type == WORD_EVENT:
                self._words.append((events[index].text_position - 1, float(events[index].audio_position)))
            index += 1
        return 0  # 1 would abort


def timed_words(text: str, marks: list[tuple[int, float]], length_ms: float) -> list[SpokenWord]:
    """Every whitespace-separated word of `text` with its times, from espeak's marks (character index, ms).

    espeak marks parts of words ("10:30" twice) and leaves some words out; those share the time until the next mark.
    """
    found = [(match.start(), match.end(), match.group()) for match in re.finditer(r"\S+", text)]
    starts: list[float | None] = [None] * len(found)
    latest = 0
    for position, ms in marks:
        index = next((i for i, (_, end, _) in enumerate(found) if position < end), None)
        if index is not None and index >= latest and starts[index] is None:
            starts[index], latest = ms, index
    known = _filled(starts, length_ms)
    return [SpokenWord(word, start, end) for (_, _, word), (start, end) in zip(found, pairwise(known), strict=True)]


def _filled(starts: list[float | None], length_ms: float) -> list[float]:
    """The gaps spread evenly between their neighbours; one more value than given: the end."""
    known = [(0, 0.0), *((i, ms) for i, ms in enumerate(starts) if i and ms is not None), (len(starts), length_ms)]
    filled: list[float] = []
    for (left, left_ms), (right, right_ms) in pairwise(known):
        right_ms = max(left_ms, right_ms)
        filled += [left_ms + (right_ms - left_ms) * i / (right - left) for i in range(right - left)]
    return [*filled, length_ms]


def pieces(text: str) -> list[str]:
    """The text in pieces of about `PIECE_CHARS`, cut after a sentence, else a comma, else a word."""
    rest, cut = text.strip(), []
    while len(rest) > PIECE_CHARS:
        window = rest[:PIECE_CHARS]
        ends = (_last_end(window, pattern) for pattern in (r"[.!?]\s", r"[,;:]\s", r"\s"))
        at = next((end for end in ends if end), PIECE_CHARS)
        cut.append(rest[:at].strip())
        rest = rest[at:].strip()
    return [*cut, rest] if rest else cut


def _last_end(window: str, pattern: str) -> int:
    return max((match.end() for match in re.finditer(pattern, window)), default=0)


class Speech(Work):
    """One segment of one caller. Opening: text, voice, words_per_minute, pitch, encoding, rate.

    Answers with {words: [[text, start_ms, end_ms], ...]} before the audio in which they begin, and {done} at the end.
    """

    def __init__(self, reply: Reply, opening: dict[str, Any]) -> None:
        text = opening["text"].replace("\0", " ")
        if len(text) > MAX_TEXT_CHARS:
            raise WorkFailed(f"a text of {len(text)} characters; at most {MAX_TEXT_CHARS} are legal", Remedy.CONFIG)
        self._reply = reply
        self._settings = VoiceSettings(opening["voice"], opening["words_per_minute"], opening["pitch"])
        self._converter = Converter(NATIVE, AudioFormat(Encoding(opening["encoding"]), opening["rate"]))
        self._pieces = pieces(text) or [""]  # an empty text proves the voice
        self._spoken_ms = 0.0

    def step(self) -> bool:
        pcm, words = _espeak().speak(self._pieces.pop(0), self._settings)
        frame_bytes = 2 * (NATIVE.rate * FRAME_MS // 1000)
        frame_ms = NATIVE.duration_ms(frame_bytes)
        for number, start in enumerate(range(0, len(pcm), frame_bytes)):
            until_ms = (number + 1) * frame_ms if start + frame_bytes < len(pcm) else float("inf")
            begun = [word for word in words if word.start_ms < until_ms]
            words = words[len(begun) :]
            self._say(self._converter.convert(pcm[start : start + frame_bytes]), begun)
        self._spoken_ms += NATIVE.duration_ms(len(pcm))
        if not self._pieces:
            self._say(self._converter.flush(), [])
            self._reply.event(done=True)
        return bool(self._pieces)

    def _say(self, audio: bytes, words: list[SpokenWord]) -> None:
        if words:
            offset = self._spoken_ms
            self._reply.event(words=[(word.text, word.start_ms + offset, word.end_ms + offset) for word in words])
        if audio:
            self._reply.audio(audio)


@cache
def _espeak() -> Espeak:
    return Espeak()


def _load() -> Any:
    try:
        import espeakng_loader

        library = ctypes.CDLL(espeakng_loader.get_library_path())
    except (ImportError, OSError) as error:
        raise WorkFailed(f"espeak-ng: {error}; pip install espeakng-loader", Remedy.CONFIG) from error
    data = str(espeakng_loader.get_data_path())
    if library.espeak_Initialize(SYNCHRONOUS, BUFFER_MS, data.encode(), DONT_EXIT) != NATIVE.rate:
        raise WorkFailed(
            f"espeak-ng cannot read its data in {data}; pip install --force-reinstall espeakng-loader", Remedy.CONFIG
        )
    return library


if __name__ == "__main__":
    serve(Speech)
