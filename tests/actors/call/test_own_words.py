"""Words that the recognizer hears in our own echo are not the caller's; what the caller repeats is."""

# ruff: noqa: RUF001 - punctuation of other scripts

from __future__ import annotations

import pytest

from actors.call.floor import Floor
from actors.messages import Ask, PausePlayout, Transcript
from tests.actors.call.stage import Stage

GREETING = "Thank you for calling the city library. We are open from nine until six, on Tuesday from half past three."


def speaking(greeting: str = GREETING, **changes) -> Stage:
    """The caller hears the greeting."""
    stage = Stage(greeting=greeting, **changes)
    stage.do("playout_started", stage.deliver())
    return stage


def hears(stage: Stage, text: str, final: bool = True) -> None:
    stage.do("heard", Transcript(text, final, stage.now * 1000))


def asked(stage: Stage) -> list[str]:
    return [ask.question.history[-1].text for ask in stage.sent(Ask)]


@pytest.mark.parametrize(
    "text",
    [
        "thank you for calling",
        "Thank you for calling the city library.",
        "calling the silly library",  # one of four is mistaken
        "we are open from nine until six on Tuesday",
        "library",
    ],
)
@pytest.mark.parametrize("final", [True, False])
def test_our_own_words_neither_interrupt_nor_ask(text, final):
    stage = speaking()
    hears(stage, text, final)
    stage.do("turn_ended")
    stage.wait(1.0)
    assert stage.floor is Floor.SPEAKING
    assert not asked(stage) and not stage.sent(PausePlayout)
    assert stage.conversation.inspect()["own_words_dropped"] == 1


@pytest.mark.parametrize(
    ("language", "greeting", "echo", "caller"),
    [
        ("de-DE", "Guten Tag, was kann ich für Sie tun?", "guten tag was kann ich FÜR sie", "ich möchte etwas fragen"),
        ("es-ES", "¿Cuál es su número de teléfono?", "cuál es su número", "mi número es otro"),
        ("zh-CN", "您好，请问您需要什么帮助？", "请问您需要什么", "我想订一张票"),
        ("ja-JP", "お電話ありがとうございます。", "お電話ありがとう", "予約をしたいです"),
        ("ar-SA", "مرحبا بكم في المكتبة", "مرحبا بكم في المكتبة", "اريد ان اسأل"),
        ("hi-IN", "नमस्ते, मैं आपकी क्या मदद कर सकता हूँ?", "नमस्ते मैं आपकी क्या मदद", "मुझे टिकट चाहिए"),
    ],
)
def test_in_the_caller_s_language(language, greeting, echo, caller):
    stage = speaking(greeting, language=language)
    hears(stage, echo)
    assert stage.floor is Floor.SPEAKING
    hears(stage, caller)
    assert stage.floor is not Floor.SPEAKING


@pytest.mark.parametrize("text", ["when are you open", "stop please", "is the library open from six on"])
def test_a_caller_s_words_interrupt(text):
    stage = speaking()
    hears(stage, text)
    assert stage.floor is not Floor.SPEAKING


def test_words_of_an_echo_that_come_when_we_have_spoken_ask_nothing():
    stage = speaking()
    stage.do("playout_done", stage.conversation.delivery.utterance.number)
    stage.wait(1.0)
    hears(stage, "on Tuesday from half past three")
    stage.do("turn_ended")
    stage.wait(1.0)
    assert not asked(stage) and stage.floor is Floor.LISTENING


@pytest.mark.parametrize("text", ["Tuesday", "on Tuesday from half past three"])
def test_what_a_caller_repeats_after_us_is_an_answer(text):
    stage = speaking()
    stage.do("playout_done", stage.conversation.delivery.utterance.number)
    stage.wait(0.5)
    stage.caller_says(text)
    assert asked(stage) == [text]


def test_a_caller_who_repeats_one_word_while_we_speak_interrupts():
    stage = speaking()
    stage.do("voice_started", stage.now * 1000)
    hears(stage, "Tuesday")
    assert stage.floor is Floor.HEARING


def test_many_of_our_words_in_a_voice_while_we_speak_are_ours():
    """An echo that was loud enough to pass for a voice."""
    stage = speaking()
    stage.do("voice_started", stage.now * 1000)
    hears(stage, "thank you for calling the city library")
    assert stage.floor is Floor.DECIDING


def test_later_they_are_the_caller_s():
    stage = speaking()
    stage.do("playout_done", stage.conversation.delivery.utterance.number)
    stage.wait(4.0)
    hears(stage, "city library")
    stage.do("turn_ended")
    assert asked(stage) == ["city library"]


@pytest.mark.parametrize("option", ["enabled", "own_words"])
def test_switched_off_all_words_are_the_caller_s(option):
    stage = speaking(echo={option: False})
    hears(stage, "thank you for calling")
    assert stage.floor is not Floor.SPEAKING


def test_after_an_interruption_the_next_words_are_the_caller_s():
    """Words of ours that the caller takes up in the turn that has cut us."""
    stage = speaking()
    stage.do("voice_started", stage.now * 1000)
    hears(stage, "no wait", final=True)
    hears(stage, "half past three", final=True)
    assert stage.conversation.hearing.text == "no wait half past three"
