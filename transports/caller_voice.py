"""Who speaks for a simulated caller: a recording where all that is said is recorded, else flite, else espeak-ng.

That is the order in which recognizers understand them. Names: `recorded/af_heart`, `flite/rms`; any other is one of
espeak-ng's. flite is a program of Debian's (`apt-get install flite`), speaks English only, and lives for one sentence.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from actors.engines.voice_client import synthesize
from actors.media.audio import PCM_8K, AudioFormat, Encoding
from actors.media.resample import Converter
from config.errors import ConfigError
from transports.recordings import shipped

RECORDED, FLITE, ESPEAK = "recorded", "flite", "espeak-ng"
FLITE_VOICES = ("rms", "awb", "slt", "kal16", "kal")  # the one that is understood best comes first
ENGLISH_ESPEAK = "en-us+f2"  # not the voice of the shipped assistants
WORDS_PER_MINUTE = 150
FLITE_S = 60.0  # it takes some ms; a machine that is busy is not a broken one


class VoiceMissing(ConfigError):
    """The voice that was asked for cannot speak here."""

    code = "voice_missing"


class Spoken(NamedTuple):
    """What was said, and in which voice: PCM s16le at 8 kHz for each sentence."""

    voice: str
    pcm: tuple[bytes, ...]


async def speak(texts: Sequence[str], voice: str = "", language: str = "en-US") -> Spoken:
    """Say the sentences, in the named voice or the best that is at hand. Raises `VoiceMissing`, `NotRecorded`."""
    kind, _, name = (voice or best_voice(texts, language)).rpartition("/")
    match kind:
        case "recorded":
            return Spoken(f"{kind}/{name}", tuple(shipped().pcm(text, name) for text in texts))
        case "flite":
            return Spoken(f"{kind}/{name}", tuple([await asyncio.to_thread(_flite, text, name) for text in texts]))
        case "" | "espeak-ng":
            return Spoken(f"{ESPEAK}/{name}", tuple([await synthesize(text, name, WORDS_PER_MINUTE) for text in texts]))
    raise VoiceMissing(f"voice {voice!r:.60}: legal are {RECORDED}/NAME, {FLITE}/NAME, {ESPEAK}/NAME")


def best_voice(texts: Sequence[str], language: str = "en-US") -> str:
    """The name of the one that will be understood best."""
    if re.split("[-_]", language.lower())[0] != "en":
        return f"{ESPEAK}/{language.lower()}"
    if recorded := shipped().voices(texts):
        return f"{RECORDED}/{recorded[0]}"
    return f"{FLITE}/{FLITE_VOICES[0]}" if shutil.which(FLITE) else f"{ESPEAK}/{ENGLISH_ESPEAK}"


def _flite(text: str, name: str) -> bytes:
    """Blocks for some ms a sentence."""
    program = shutil.which(FLITE)
    if program is None:
        raise VoiceMissing(f"flite is not installed, which voice {FLITE}/{name:.60} needs: apt-get install flite")
    if name not in FLITE_VOICES:
        raise VoiceMissing(f"flite has no voice {name!r:.60}; legal are {', '.join(FLITE_VOICES)}")
    try:
        with tempfile.TemporaryDirectory(prefix="callboard-flite-") as folder:
            said, spoken = Path(folder, "said.txt"), Path(folder, "spoken.wav")
            said.write_text(text)
            command = [program, "-voice", name, "-f", str(said), "-o", str(spoken)]
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=FLITE_S)
            return _read(spoken)
    except (OSError, EOFError, wave.Error, subprocess.SubprocessError) as error:
        raise VoiceMissing(f"flite cannot speak with its voice {name}: {error}") from None


def _read(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        pcm, rate = file.readframes(file.getnframes()), file.getframerate()
    converter = Converter(AudioFormat(Encoding.PCM, rate), PCM_8K)
    return converter.convert(pcm) + converter.flush()
