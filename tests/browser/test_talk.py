"""The page in a real browser: its microphone, its keyboard, its errors."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from actors.media.audio import PCM_8K, PCM_16K
from actors.media.resample import Converter
from actors.providers.grammar import normalise
from scripts.assistant_file import read_assistant
from store.keys import KeyRepository
from tests.browser.chromium import Page
from tests.calls.conftest import RECEPTION, House, until
from tests.fakes.recorded import pcm_of
from transports.rtvi import Audio, Message, audio_frame, message_frame, receive

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
SAMPLE = read_assistant(RECEPTION).sample_call
Visit = Callable[..., Awaitable[Page]]
OpenHouse = Callable[..., Awaitable[House]]
IDLE, TALKING = (f"document.body?.dataset.state === '{state}'" for state in ("idle", "talking"))
LINES = """JSON.stringify([...document.querySelectorAll("#transcript li:not(.pending)")].map((line) =>
    [line.classList[0], line.querySelector(".text").textContent, line.classList.contains("interrupted")]))"""


async def lines(page: Page) -> list[tuple[str, str, bool]]:
    """What the transcript says: who, what, whether it was interrupted."""
    return [tuple(line) for line in json.loads(await page.run(LINES))]


async def until_line(page: Page, who: str, words: str, within_s: float = 20) -> None:
    found = f"""[...document.querySelectorAll("#transcript li.{who}:not(.pending) .text")]
        .some((text) => text.textContent.includes({json.dumps(words)}))"""
    await page.until(found, within_s)


def microphone(folder: Path, *spoken: str, before_s: float = 9.0, after_s: float = 13.0) -> str:
    """The flag of a fake microphone that says these sentences, with pauses for the answers; then it is silent."""
    voices = [_converted(pcm_of(text)) for text in spoken]
    silence = PCM_16K.silence(round(after_s * 1000))
    path = folder / "microphone.wav"
    _write_wav(path, PCM_16K.silence(round(before_s * 1000)) + b"".join(voice + silence for voice in voices))
    return f"--use-file-for-fake-audio-capture={path}%noloop"


def _converted(pcm: bytes) -> bytes:
    converter = Converter(PCM_8K, PCM_16K)
    return converter.convert(pcm) + converter.flush()


def _write_wav(path: Path, pcm: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, PCM_16K.rate, 0, "NONE", ""))
        file.writeframes(pcm)


async def test_a_conversation_by_microphone(visit: Visit, tmp_path: Path) -> None:
    page = await visit(microphone(tmp_path, "what are your opening hours", "that is all thank you"))
    await page.until(IDLE)
    await page.run("document.getElementById('assistant').value = 'reception'")
    await page.click("#talk")
    await page.until(TALKING)
    assert await page.text("#talk") == "Hang up"
    await until_line(page, "assistant", "Good day, this is the Grand Callboard Hotel.")
    await until_line(page, "assistant", "open from six to eleven")
    await until_line(page, "assistant", "Goodbye!")
    await page.until(IDLE)
    said = await lines(page)
    assert [who for who, _, _ in said] == ["assistant", "you", "assistant", "you", "assistant"]
    assert normalise(said[1][1]) == "what are your opening hours" and not any(interrupted for _, _, interrupted in said)
    assert await page.text("#status") == "The assistant hung up."
    bars = await page.run("[...document.querySelectorAll('#latency .bar')].map((bar) => bar.ariaLabel).join('|')")
    assert bars.count("|") == 1 and bars.startswith("end of turn ") and "voice " in bars
    assert page.complaints == []


async def test_the_caller_interrupts(visit: Visit, house: House, tmp_path: Path) -> None:
    page = await visit(microphone(tmp_path, "what are your opening hours", before_s=2.5))
    await page.until(IDLE)
    await page.click("#talk")
    await until_line(page, "assistant", "open from six to eleven")
    said = await lines(page)
    assert said[0][2] and len(said[0][1]) < len("Good day, this is the Grand Callboard Hotel. How may I help you?")
    await page.press("Escape", 27)
    await page.until(IDLE)
    assert await page.text("#status") == "You hung up."
    await until(lambda: not house.company())
    assert page.complaints == []


async def test_the_recorded_caller(visit: Visit, tmp_path: Path) -> None:
    page = await visit()
    await page.until(IDLE)
    await page.click("#demo")
    await page.until("document.querySelector('#you-level').style.transform.match(/0[.][3-9]/)", 20)  # it can be seen
    await until_line(page, "assistant", "Goodbye!", 60)
    await page.until(IDLE)
    heard = [normalise(words) for who, words, _ in await lines(page) if who == "you"]
    assert heard == [normalise(text) for text in SAMPLE]
    assert await page.text("#status") == "The assistant hung up."
    assert await page.run("document.querySelector('#transcript .you .who').textContent") == "Caller"
    assert page.complaints == []


async def test_typed_words_and_the_keyboard_alone(visit: Visit, house: House, tmp_path: Path) -> None:
    page = await visit(microphone(tmp_path))
    await page.until(IDLE)
    await page.press("Tab", 9)  # the assistant
    await page.press("Tab", 9)
    assert await page.run("document.activeElement.id") == "talk"
    await page.press("Enter", 13, "\r")
    await page.until(TALKING)
    await page.press("Tab", 9)  # the transcript scrolls by keys
    await page.press("Tab", 9)
    assert await page.run("document.activeElement.id") == "text"
    await page.ask("Input.insertText", text="tell me a <b>joke</b>")
    await page.press("Enter", 13, "\r")
    await until_line(page, "assistant", "just a stage")
    assert ("you", "tell me a <b>joke</b>", False) in await lines(page)
    await page.press("Escape", 27)
    await page.until(IDLE)
    await until(lambda: not house.company())
    assert page.complaints == []


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("NotFoundError", "There is no microphone."),
        ("NotAllowedError", "The browser may not use the microphone."),
        ("NotReadableError", "The microphone is in use by another program."),
    ],
)
async def test_without_a_microphone(visit: Visit, house: House, failure: str, words: str) -> None:
    page = await visit()
    await page.until(IDLE)
    refuse = f"() => Promise.reject(new DOMException('x', '{failure}'))"
    await page.run(f"void (navigator.mediaDevices.getUserMedia = {refuse})")
    await page.click("#talk")
    await page.until("document.querySelector('#status.bad')")
    assert (await page.text("#status")).startswith(words)
    assert await page.run(IDLE) and house.company() == []
    assert page.complaints == []


async def test_a_server_that_goes_away(visit: Visit, house: House, tmp_path: Path) -> None:
    page = await visit(microphone(tmp_path))
    await page.until(IDLE)
    await page.click("#talk")
    await page.until(TALKING)
    await house.worker.stop()
    await page.until(IDLE)
    assert await page.run("document.querySelector('#status').className") == "bad"
    await page.click("#talk")
    await page.until("document.querySelector('#status').textContent.includes('does not answer')")


async def test_an_operator_ends_the_call(visit: Visit, house: House, tmp_path: Path) -> None:
    page = await visit(microphone(tmp_path))
    await page.until(IDLE)
    await page.click("#talk")
    await page.until(TALKING)
    (call,) = await house.worker.operate("calls", {"prefix": ""})
    await house.worker.operate("hangup", {"call": call, "because": "the line is needed"})
    await page.until(IDLE)
    assert await page.text("#status") == "An operator ended the call: the line is needed."
    assert page.complaints == []


async def test_a_server_that_asks_for_a_key(open_house: OpenHouse, visit: Visit, tmp_path: Path) -> None:
    house = await open_house(AUTH__MODE="key", DATA_DIR=str(tmp_path / "keyed"))
    await house.hire(read_assistant(RECEPTION))
    _, key = await house.worker.database.run(KeyRepository(house.worker.database).create, "browser")
    page = await visit(microphone(tmp_path))
    await page.open(house.url)
    await page.until("!document.querySelector('#key-form').hidden")
    assert await page.run("document.activeElement.id") == "key"
    await page.ask("Input.insertText", text="rpd-wrong")
    await page.press("Enter", 13, "\r")
    await page.until("document.querySelector('#status.bad')")
    await page.run(f"void (location.hash = 'key={key}')")  # as the address that a demo prints
    await page.until(IDLE)
    assert await page.run("location.href") == f"{house.url}/"
    await page.click("#talk")
    await page.until(TALKING)
    await page.click("#talk")
    await page.until(IDLE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_light_and_dark(visit: Visit, scheme: str) -> None:
    page = await visit()
    await page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    await page.until(IDLE)
    ink, paper = json.loads(
        await page.run(
            "JSON.stringify([getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor])"
        )
    )
    assert contrast(ink, paper) > 7
    assert (brightness(paper) > 0.5) is (scheme == "light")


async def test_foreign_scripts_do_not_run(visit: Visit) -> None:
    page = await visit()
    await page.until(IDLE)
    await page.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.stolen = 1\">')")
    await page.run("document.head.append(Object.assign(document.createElement('script'), {textContent: 'stolen = 1'}))")
    await asyncio.sleep(0.2)
    assert await page.run("window.stolen ?? null") is None
    assert any("Content Security Policy" in complaint for complaint in page.complaints)


def brightness(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of "rgb(r, g, b)"."""
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((brightness(one), brightness(other)))
    return (light + 0.05) / (dark + 0.05)


async def test_both_codecs_agree(visit: Visit) -> None:
    page = await visit()
    made = await page.run(
        """import("/static/rtvi.js").then(({ audioFrame, messageFrame }) => [
            audioFrame(new Int16Array([1, -1, 256]).buffer, 16000), messageFrame("send-text", { content: "grüß dich" }),
        ].map((frame) => [...frame]))"""
    )
    audio, message = (receive(bytes(frame)) for frame in made)
    assert audio == Audio(b"\x01\x00\xff\xff\x00\x01", 16000)
    assert isinstance(message, Message) and message.data == {"content": "grüß dich"}
    ours = [
        list(audio_frame(b"\x01\x00\xff\xff" * 160, 24000)),
        list(message_frame("bot-tts-text", {"text": "ß" * 300})),
    ]
    read = await page.run(
        f"""import("/static/rtvi.js").then(({{ decode }}) => {{
            const [audio, {{ message }}] = {json.dumps(ours)}.map((frame) => decode(new Uint8Array(frame).buffer));
            return [audio.rate, audio.pcm.length, audio.pcm[0], audio.pcm[319], message.type, message.data.text.length];
        }})"""
    )
    assert read == [24000, 320, 1, -1, "bot-tts-text", 300]


@pytest.mark.parametrize(
    ("source", "target", "tone", "kept"),
    [(48000, 16000, 1000, 1.0), (44100, 16000, 3000, 1.0), (16000, 48000, 3000, 1.0), (48000, 16000, 11000, 0.0)],
)
async def test_the_resampler_keeps_what_fits(visit: Visit, source: int, target: int, tone: int, kept: float) -> None:
    """One second of a tone in blocks of 128: its loudness, and how many samples came out."""
    page = await visit()
    loudness, count = await page.run(
        f"""import("/static/resampler.js").then(({{ Resampler }}) => {{
            const resampler = new Resampler({source}, {target});
            const out = [];
            for (let at = 0; at < {source}; at += 128) {{
                const block = Float32Array.from({{ length: 128 }},
                    (_, n) => Math.sin(2 * Math.PI * {tone} * (at + n) / {source}));
                out.push(...resampler.process(block));
            }}
            const settled = out.slice({target} / 10);
            return [Math.sqrt(2 * settled.reduce((sum, x) => sum + x * x, 0) / settled.length), out.length];
        }})"""
    )
    assert loudness == pytest.approx(kept, abs=0.01)
    assert count == pytest.approx(target, abs=target // 200)
