"""Sessions that open late, each and every one: nobody is told that he was not understood, and no call ends of it."""

from __future__ import annotations

from typing import Any

import pytest
from thespian.actors import ActorExitRequest

from actors.call.replay import LIMIT_MS
from actors.call.transcriber import Transcriber
from actors.loop.actor import LoopActor
from actors.loop.local import Local
from actors.media.audio import PCM_8K
from actors.media.inbound import SHORT_MS
from actors.messages import Heard, OpenTranscriber, Transcript
from config.assistant import ProviderChoice, Stalls
from tests.actors.call.conftest import Theatre
from tests.fakes.providers import FAULTS

CONNECT_S = [0.07, 0.65, 0.8, 1.5]


def late(open_s: float) -> dict[str, object]:
    chains = {kind: {"provider": "fake", "open_s": open_s} for kind in ("stt", "llm", "tts")}
    return {**chains, "greeting": "", "not_understood": "pardon me", "filler_message": ""}


@pytest.mark.parametrize("open_s", CONNECT_S)
async def test_every_word_is_understood(theatre: Theatre, open_s: float):
    phone = theatre.call(**late(open_s))
    phone.say("alpha bravo charlie")
    await phone.hears("you said alpha bravo charlie", 8)
    phone.say("delta echo")
    await phone.hears("you said delta echo", 8)
    assert theatre.events("member_failed") == []


@pytest.mark.parametrize("open_s", CONNECT_S)
@pytest.mark.parametrize("where", ["hear", "finalize"])
async def test_a_successor_that_opens_late_understands_every_word_too(theatre: Theatre, where: str, open_s: float):
    FAULTS.plant(where, "fail", nth=10 if where == "hear" else 1, only="alpha" if where == "hear" else "")
    phone = theatre.call(**late(open_s))
    phone.say("alpha bravo charlie")
    await phone.hears("you said alpha bravo charlie", 10)
    assert len(theatre.events("member_failed")) == 1
    assert await theatre.lines(phone, 2) == [
        ("user", "alpha bravo charlie"),
        ("assistant", "you said alpha bravo charlie"),
    ]


async def test_a_replay_of_half_a_minute_reaches_the_successor_whole(theatre: Theatre):
    """All at once, and before its session is open: nothing of it is too late to be heard."""
    opening = OpenTranscriber(
        ProviderChoice(provider="fake", open_s=0.2), PCM_8K, "en-US", (), 700, Stalls(), theatre.services
    )
    system, told = theatre.system, list[object]()
    call = system.createActor(Listener)
    system.tell(call, Local(told))
    system.tell(call, opening)
    pieces = [Heard(bytes(320), at_ms, at_ms + SHORT_MS, True) for at_ms in range(0, int(LIMIT_MS), SHORT_MS)]
    system.tell(call, Local(pieces))
    phone = theatre.call()
    await phone.until(lambda: any(isinstance(message, Transcript) for message in told), 5, "for a sign of life")
    (transcriber,) = [cell for cell in theatre.company() if cell.inspect().get("heard_ms", 0) >= LIMIT_MS]
    assert transcriber.inspect()["heard_ms"] == LIMIT_MS
    system.tell(call, ActorExitRequest())


class Listener(LoopActor):
    """A supervisor of a transcriber that passes on what it is given, and keeps what it is told."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, Local) and not message.value:
            self._told = message.value
        elif isinstance(message, Local):
            for piece in message.value:
                self.send(self._transcriber, piece)
        elif isinstance(message, OpenTranscriber):
            self._transcriber = self.createActor(Transcriber)
            self.send(self._transcriber, message)
        else:
            self._told.append(message)
