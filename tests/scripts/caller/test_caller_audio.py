"""What the caller says comes from WAV files of any kind; what was said goes into one."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from config.errors import ConfigError
from scripts.caller.recorder import Recorder
from scripts.caller.sentences import frames, read_sentence, trim

LOUD = (8000 * np.sin(np.arange(800) * 2 * np.pi * 440 / 8000)).astype("<i2").tobytes()  # 100 ms


def write_wav(path: Path, pcm: bytes, *, rate: int = 8000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path


def test_frames_are_whole() -> None:
    assert [len(piece) for piece in frames(bytes(700))] == [320, 320, 320]
    assert list(frames(b"")) == []


def test_silence_around_a_sentence_is_cut_and_silence_within_stays() -> None:
    inner = LOUD + bytes(3200) + LOUD
    assert trim(bytes(3200) + inner + bytes(6400)) == inner
    assert trim(bytes(3200)) == b""


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (8000, 2), (16000, 1), (44100, 2)])
def test_wav_files_become_8_khz_mono(tmp_path: Path, rate: int, channels: int) -> None:
    samples = (8000 * np.sin(np.arange(rate) * 2 * np.pi * 440 / rate)).astype("<i2")
    path = write_wav(tmp_path / "a.wav", np.repeat(samples, channels).tobytes(), rate=rate, channels=channels)
    sentence = read_sentence(path)
    heard = np.frombuffer(sentence.pcm, "<i2").astype(float)
    assert sentence.text == "a.wav"
    assert len(heard) == pytest.approx(8000, abs=200)
    spectrum = np.abs(np.fft.rfft(heard[1000:7000]))
    assert np.argmax(spectrum) * 8000 / 6000 == pytest.approx(440, abs=2)
    assert np.abs(heard[1000:7000]).max() == pytest.approx(8000, rel=0.1)


def test_bad_wav_files_say_what_is_wrong(tmp_path: Path) -> None:
    text = tmp_path / "a.wav"
    text.write_text("no audio")
    with pytest.raises(ConfigError, match="not a PCM WAV"):
        read_sentence(text)
    with pytest.raises(ConfigError, match="8 bits per sample"):
        read_sentence(write_wav(tmp_path / "b.wav", LOUD, width=1))
    with pytest.raises(ConfigError, match="nothing can be heard"):
        read_sentence(write_wav(tmp_path / "c.wav", bytes(16000)))
    with pytest.raises(ConfigError, match=r"d\.wav: 7 samples per second"):
        read_sentence(write_wav(tmp_path / "d.wav", LOUD, rate=7))
    (tmp_path / "e.wav").touch()
    for name, complaint in (("e.wav", "ends too early"), ("no.wav", "No such file"), (".", "Is a directory")):
        with pytest.raises(ConfigError, match=f"--wav .*{complaint}"):
            read_sentence(tmp_path / name)


def test_a_wav_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", LOUD)
    path.write_bytes(path.read_bytes()[:-1])
    assert len(read_sentence(path).pcm) == len(LOUD)


def test_the_recording_is_stereo_caller_left_assistant_right(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.wav")
    recorder.add(b"\1\0" * 160, b"\2\0" * 160)
    recorder.add(b"\3\0" * 160, b"\4\0" * 160)
    recorder.close()
    with wave.open(str(tmp_path / "call.wav"), "rb") as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 8000, 320)
        samples = np.frombuffer(file.readframes(320), "<i2").reshape(-1, 2)
    assert samples[0].tolist() == [1, 2]
    assert samples[-1].tolist() == [3, 4]
