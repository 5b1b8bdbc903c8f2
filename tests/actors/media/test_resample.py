"""Sample rates and encodings."""

from __future__ import annotations

import numpy as np
import pytest

from actors.media import g711
from actors.media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from actors.media.resample import DOUBLE_HISTORY, HALVE_HISTORY, Converter, double, halve
from config.errors import BadInput

PCM_24K = AudioFormat(Encoding.PCM, 24000)
PCM_22K = AudioFormat(Encoding.PCM, 22050)
PCM_48K = AudioFormat(Encoding.PCM, 48000)


def tone(hz: float, audio_format: AudioFormat, ms: int = 1000, amplitude: int = 10000) -> bytes:
    time_s = np.arange(audio_format.rate * ms // 1000) / audio_format.rate
    pcm = (amplitude * np.sin(2 * np.pi * hz * time_s)).astype("<i2").tobytes()
    return g711.encode(pcm) if audio_format.encoding is Encoding.MULAW else pcm


def level_db(pcm: bytes, hz: float, rate: int) -> float:
    """The level of one frequency in the middle of the audio, against `tone`'s amplitude."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    samples = samples[len(samples) // 4 : -len(samples) // 4]
    samples = samples[: len(samples) // rate * rate or len(samples)] * np.hanning(len(samples))
    wave = np.exp(-2j * np.pi * hz * np.arange(len(samples)) / rate)
    return float(20 * np.log10(abs(np.dot(samples, wave)) * 4 / len(samples) / 10000 + 1e-9))


def run(converter: Converter, audio: bytes, step: int) -> bytes:
    pieces = [converter.convert(audio[start : start + step]) for start in range(0, len(audio), step)]
    return b"".join(pieces) + converter.flush()


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (PCM_8K, PCM_16K),
        (PCM_16K, PCM_8K),
        (PCM_24K, PCM_8K),
        (PCM_22K, PCM_8K),
        (PCM_8K, PCM_24K),
        (PCM_48K, PCM_16K),
        (MULAW_8K, PCM_16K),
        (MULAW_8K, PCM_8K),
    ],
)
def test_a_tone_keeps_its_pitch_level_and_length(source, target):
    out = run(Converter(source, target), tone(1000, source), source.frame_bytes)
    assert target.duration_ms(len(out)) == pytest.approx(1000, abs=5)
    assert level_db(out, 1000, target.rate) == pytest.approx(0, abs=0.3)
    assert level_db(out, 2600, target.rate) < -40


@pytest.mark.parametrize("target", [PCM_16K, PCM_24K, PCM_8K, MULAW_8K])
@pytest.mark.parametrize("source", [PCM_8K, PCM_16K, PCM_22K])
def test_pieces_of_any_length_give_the_same_audio_as_one(source, target):
    audio = tone(440, source, ms=300)
    whole, torn = (run(Converter(source, target), audio, step) for step in (len(audio), 333))
    assert len(whole) == len(torn)
    decoded = [g711.decode(out) if target.encoding is Encoding.MULAW else out for out in (whole, torn)]
    one, other = (np.frombuffer(pcm, "<i2").astype(int) for pcm in decoded)
    assert np.abs(one - other).max() <= (1 if target.encoding is Encoding.PCM else 512)


def test_a_sample_in_two_pieces_stays_whole_where_nothing_is_converted():
    converter = Converter(PCM_8K, PCM_8K)
    pieces = [converter.convert(piece) for piece in (b"\1", b"\2\3", b"\4\5\6\7")]
    assert pieces == [b"", b"\1\2", b"\3\4\5\6"]


@pytest.mark.parametrize("audio_format", [PCM_8K, MULAW_8K, PCM_48K])
def test_equal_formats_pass_through_untouched(audio_format):
    converter = Converter(audio_format, audio_format)
    payload = b"\x01\x02\x03\x04"
    assert converter.convert(payload) is payload
    assert converter.flush() == b""


def test_to_mulaw_and_back_is_what_g711_says():
    pcm = tone(700, PCM_8K)
    mulaw = run(Converter(PCM_8K, MULAW_8K), pcm, 320)
    assert mulaw == g711.encode(pcm)
    assert run(Converter(MULAW_8K, PCM_8K), mulaw, 160) == g711.decode(mulaw)


def test_live_frames_come_out_in_the_same_call():
    """8 <-> 16 kHz hold nothing back: 20 ms in, 20 ms out, from the first frame on."""
    up, down = Converter(PCM_8K, PCM_16K), Converter(PCM_16K, PCM_8K)
    assert [len(up.convert(bytes(320))) for _ in range(3)] == [640] * 3
    assert [len(down.convert(bytes(640))) for _ in range(3)] == [320] * 3


def test_halving_keeps_the_telephone_band_and_drops_what_would_alias():
    kept = run(Converter(PCM_16K, PCM_8K), tone(3400, PCM_16K), 640)
    assert level_db(kept, 3400, 8000) == pytest.approx(0, abs=0.1)
    aliased = run(Converter(PCM_16K, PCM_8K), tone(4600, PCM_16K), 640)
    assert level_db(aliased, 8000 - 4600, 8000) < -60


def test_doubling_leaves_no_image():
    out = run(Converter(PCM_8K, PCM_16K), tone(3000, PCM_8K), 320)
    assert level_db(out, 3000, 16000) == pytest.approx(0, abs=0.1)
    assert level_db(out, 8000 - 3000, 16000) < -60


def test_loud_audio_is_clipped_and_does_not_wrap():
    """A square wave at full scale overshoots behind any steep filter."""
    square = np.tile(np.repeat([32767, -32768], 20), 40).astype("<i2").tobytes()
    out = np.frombuffer(run(Converter(PCM_16K, PCM_8K), square, 640), "<i2").astype(int)[100:-100]
    assert {out.max(), out.min()} == {32767, -32768}
    assert (np.diff(np.sign(out)) != 0).sum() == pytest.approx(len(out) / 10, abs=1)


@pytest.mark.parametrize(("filter_", "history"), [(double, DOUBLE_HISTORY), (halve, HALVE_HISTORY)])
def test_a_batch_gives_what_its_rows_give_alone(filter_, history):
    random = np.random.default_rng(1)
    histories = random.normal(size=(5, history)).astype(np.float32)
    samples = random.normal(size=(5, 320)).astype(np.float32)
    next_histories, out = filter_(histories, samples)
    for row in range(5):
        alone_history, alone = filter_(histories[row : row + 1], samples[row : row + 1])
        np.testing.assert_allclose(out[row], alone[0], atol=1e-5)
        np.testing.assert_array_equal(next_histories[row], alone_history[0])


@pytest.mark.parametrize("rate", [0, -8000, 7999, 192001])
def test_a_rate_that_is_no_telephone_s_is_refused(rate):
    with pytest.raises(BadInput, match=f"sample rate {rate}: must be 8000 to 192000"):
        Converter(AudioFormat(Encoding.PCM, rate), PCM_8K)
