"""Who speaks for a simulated caller: the best voice at hand, or the one that was asked for; and it says which."""

from __future__ import annotations

import stat
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.engines.pool import close_engines
from actors.media.audio import PCM_8K
from scripts.caller.plan import CallPlan, Connected
from scripts.caller.sentences import speak_sentences
from scripts.narrator import Narrator
from transports.caller_voice import VoiceMissing, speak
from transports.recordings import NotRecorded

RECORDED = ("what are your opening hours", "yes please")
FLITE = """#!/bin/sh
printf '%s ' "$@" >"{folder}/asked"; cat "$4" >"{folder}/said"
[ "$2" != slt ] || exit 3
cp "{folder}/sound.wav" "$6"
"""


@pytest.fixture(autouse=True)
async def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """One without flite, whatever is installed here."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    yield
    await close_engines()


@pytest.fixture
def flite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Speaks half a second at 16 kHz, keeps what it was asked for in the folder, and has lost its voice slt."""
    program = tmp_path / "bin" / "flite"
    program.parent.mkdir()
    program.write_text(FLITE.format(folder=tmp_path))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(b"\0\x20" * 8000)
    return tmp_path


@pytest.mark.usefixtures("flite")
async def test_a_recording_is_best_where_one_person_says_all_of_it() -> None:
    assert (await speak(RECORDED)).voice == "recorded/af_heart"
    assert (await speak((*RECORDED, "which nobody recorded"))).voice == "flite/rms"


async def test_flite_speaks_what_is_not_recorded(flite: Path) -> None:
    text = "-o /etc/passwd; my 'own' words\u2026"
    (sentence,) = await speak_sentences((text,))
    assert sentence.voice == "flite/rms" and PCM_8K.duration_ms(len(sentence.pcm)) == pytest.approx(500, abs=20)
    assert (flite / "said").read_text() == text
    assert (flite / "asked").read_text().startswith("-voice rms -f ")


@pytest.mark.parametrize(
    ("voice", "language", "chosen"),
    [
        ("", "en-GB", "espeak-ng/en-us+f2"),
        ("", "de-DE", "espeak-ng/de-de"),
        ("en-gb", "en-US", "espeak-ng/en-gb"),
        ("espeak-ng/fr", "en-US", "espeak-ng/fr"),
    ],
)
async def test_espeak_speaks_where_flite_does_not(voice: str, language: str, chosen: str) -> None:
    spoken = await speak(("my own words",), voice, language)
    assert spoken.voice == chosen and PCM_8K.duration_ms(len(spoken.pcm[0])) > 300


@pytest.mark.usefixtures("flite")
async def test_flite_is_not_asked_for_another_language() -> None:
    assert (await speak(("guten Tag",), language="de")).voice == "espeak-ng/de"


async def test_a_voice_that_is_not_there_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(VoiceMissing, match=r"flite is not installed.* flite/rms .*apt-get install flite"):
        await speak(("hello there",), "flite/rms")
    with pytest.raises(VoiceMissing, match="'siri/one': legal are recorded/NAME, flite/NAME, espeak-ng/NAME"):
        await speak(("hello there",), "siri/one")
    with pytest.raises(NotRecorded, match="in the voice af_heart"):
        await speak(("nobody ever said this",), "recorded/af_heart")


@pytest.mark.usefixtures("flite")
async def test_a_flite_without_this_voice_says_so() -> None:
    with pytest.raises(VoiceMissing, match="no voice 'zz'; legal are rms, awb, slt"):
        await speak(("hello there",), "flite/zz")
    with pytest.raises(VoiceMissing, match="cannot speak with its voice slt"):
        await speak(("hello there",), "flite/slt")


@pytest.mark.parametrize(
    ("text", "told"), [(RECORDED[0], "recorded/af_heart"), ("my own words", "apt-get install flite")]
)
async def test_a_call_tells_whose_voice_it_is(text: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    plan = CallPlan(to="", assistant="a", via="twilio", sentences=await speak_sentences((text,)), turns=1)
    Narrator(plan).tell(Connected("an-id"))
    assert told in " ".join(capsys.readouterr().out.split())
