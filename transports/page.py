"""The page at `/` on which one talks to an assistant by browser, and what it needs: files, names, a recorded caller."""

from __future__ import annotations

import io
import re
import wave
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from actors.media.audio import PCM_8K
from config.assistant import AssistantConfig
from config.errors import BadInput
from store.records import DEFAULT_PROJECT_ID, CallContext
from transports.browser import PLAYER_RATES, RtviWire
from transports.caller_voice import best_voice, speak
from transports.media import MediaSocket
from transports.upgrade import WebSocketConnection
from transports.web import Handler

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Nothing but our own files, no inline script or style, and nobody may frame the page and borrow its microphone.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # asked for again each time, and answered 304 by its ETag
}
# To assistants without sentences of their own.
ANYBODY = (
    "Hello, what can you help me with?",
    "Could you tell me more about that?",
    "Thank you very much, goodbye.",
)
_MOST_KEPT = 100  # spoken sentences


class UnknownFile(BadInput):
    """The page has no such file."""

    code = "not_found"
    http_status = 404


class WrongOrigin(BadInput):
    """Another site's page wants to talk: a browser would let it use whatever the visitor can reach."""

    code = "wrong_origin"
    http_status = 403


class BadRate(BadInput):
    """The query asks for a rate of audio that we do not send."""

    code = "bad_rate"


class PageFile(Handler):
    """`GET /` and `GET /static/{name}`: the page and its parts."""

    def get(self, name: str = "index.html") -> None:
        file = _FOLDER / name
        if name not in _NAMES:
            raise UnknownFile(f"no such file: {name!r:.60}")
        for header, value in _HEADERS.items():
            self.set_header(header, value)
        self.set_header("Content-Type", f"{_TYPES[file.suffix]}; charset=utf-8")
        self.finish(file.read_bytes())


_NAMES = frozenset(file.name for file in _FOLDER.iterdir() if file.suffix in _TYPES)


class Assistants(Handler):
    """`GET /v1/assistants`: who can be called; needs an API key of the project."""

    async def get(self) -> None:
        key = await self.require_key()
        services = self.services
        project = key.project_id if key else DEFAULT_PROJECT_ID
        found = await services.database.run(services.assistants.list, project)
        names = [{"id": one.id, "name": one.config.name, "language": one.config.language} for one in found]
        self.send_json({"assistants": names})


class NothingToSay(BadInput):
    """Nobody has said what a caller could say to this assistant."""

    code = "no_sample_call"
    http_status = 409


class RecordedCaller(Handler):
    """A caller for those who have no microphone: `GET /v1/caller?assistant=NAME` lists what he says to this assistant,
    `GET /v1/caller/{n}?assistant=NAME` speaks one of it; needs an API key of the project.

    A recording where there is one, else spoken once by the best voice of this machine, and kept.
    """

    _spoken: ClassVar[dict[tuple[str, str], bytes]] = {}

    async def get(self, number: str | None = None) -> None:
        config = await self._assistant()
        sentences = _sentences(config, self.services.sample_call(config))
        if number is None:
            self.send_json({"sentences": sentences})
            return
        if int(number) >= len(sentences):
            raise UnknownFile(f"the caller has {len(sentences)} sentences, from 0")
        voice = best_voice(sentences, config.language)
        self.set_header("Content-Type", "audio/wav")
        self.finish(await self._wav(sentences[int(number)], voice))

    async def _assistant(self) -> AssistantConfig:
        key = await self.require_key()
        which, services = self.get_query_argument("assistant", ""), self.services
        project = key.project_id if key else DEFAULT_PROJECT_ID
        return (await services.database.run(services.assistants.get, which, project)).config

    async def _wav(self, text: str, voice: str) -> bytes:
        kept = self._spoken
        if (text, voice) not in kept:
            spoken = wav((await speak([text], voice)).pcm[0])
            while len(kept) >= _MOST_KEPT:
                del kept[next(iter(kept))]
            kept[text, voice] = spoken
        return kept[text, voice]


def _sentences(config: AssistantConfig, sample: tuple[str, ...]) -> tuple[str, ...]:
    if sample:
        return sample
    if re.split("[-_]", config.language.lower())[0] != "en":
        raise NothingToSay(f"{config.name} has no `sample_call`, which says what a caller may say to it")
    return ANYBODY


def wav(pcm: bytes) -> bytes:
    """A WAV file of mono PCM s16le at 8 kHz."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(PCM_8K.rate)
        file.writeframes(pcm)
    return content.getvalue()


class BrowserSocket(MediaSocket):
    """`WS /v1/talk/browser/ctx/{contextId}`, `?rate=24000` for a client that plays nothing else.

    A browser tells by `Origin` whose page it is: ours, or that of our public host. Who sends none is no browser.
    """

    async def check(self) -> None:
        self.check_host()

    async def get(self, context: str | None = None) -> None:  # type: ignore[override]
        self._check_origin()
        self._rate = self._player_rate()
        await super().get("browser", context)

    def _check_origin(self) -> None:
        origin = self.request.headers.get("Origin")
        ours = {self.request.host.lower(), self.services.settings.public_host.lower()}
        if origin is not None and _host_of(origin) not in ours:
            raise WrongOrigin(f"Origin must be {' or '.join(sorted(ours))}, got {origin!r:.100}")

    def _player_rate(self) -> int:
        text = self.get_query_argument("rate", str(PLAYER_RATES[0]))
        if text not in map(str, PLAYER_RATES):
            raise BadRate(f"rate must be one of {', '.join(map(str, PLAYER_RATES))}, got {text!r:.20}")
        return int(text)

    def _wire(self, kind: type[WebSocketConnection], context: CallContext, early: bytes) -> WebSocketConnection:
        kind_at_rate: Any = partial(RtviWire, player_rate=self._rate)
        return super()._wire(kind_at_rate, context, early)


def _host_of(origin: str) -> str:
    """Host and port of an `Origin`; "" for what is none, such as `null` and `http://[`."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
