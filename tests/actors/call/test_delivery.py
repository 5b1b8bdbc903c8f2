"""What the speaker is given, and when."""

from __future__ import annotations

from typing import Any

from actors.call.delivery import Delivery
from actors.call.effects import To
from actors.call.utterance import Purpose
from actors.messages import Speak


def test_a_voice_that_has_refused_one_of_several_sentences_is_given_them_singly_in_this_utterance_only():
    effects: list[Any] = []

    def given() -> list[str]:
        texts = [e.message.text for e in effects if isinstance(e, To) and isinstance(e.message, Speak)]
        effects.clear()
        return texts

    delivery = Delivery(effects.append)
    for _ in range(2):
        delivery.begin(Purpose.ANSWER, 1)
        delivery.speak("Alpha.")
        delivery.speak("Bravo.")
        assert given() == ["Alpha.", "Bravo."]
        delivery.doubt()
        delivery.speak_once_more("Alpha.")
        assert given() == ["Alpha."]
