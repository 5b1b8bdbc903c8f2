"""Sessions that open late, each and every one: nobody is told that he was not understood, and no call ends of it."""

from __future__ import annotations

import pytest

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
