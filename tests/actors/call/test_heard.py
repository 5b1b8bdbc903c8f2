# ruff: noqa: RUF001 - letters of other alphabets
from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from actors.call.boundaries import whole_until
from actors.call.heard import heard_until, joined
from actors.providers.spec import Word
from tests.actors.call.stage import Stage


def words(text: str, each_ms: float = 100.0) -> list[Word]:
    """As a vendor says them, each as long as the other."""
    return [Word(word, i * each_ms, (i + 1) * each_ms) for i, word in enumerate(text.split())]


def heard(text: str, said: str, ms: float, length_ms: float | None = None, done: bool = True) -> str:
    known = words(said)
    return text[: heard_until(text, known, ms, length_ms or len(known) * 100.0 or 1000.0, done)]


NUMBER = "The total is 1,234 dollars, thanks."
NUMBER_SAID = "The total is one thousand two hundred thirty four dollars thanks"
CARD = "Card 4111111111111111 is yours."
CARD_SAID = f"Card four {'one ' * 15} is yours"
CHINESE = "您的预约是明天上午九点。"


@pytest.mark.parametrize(
    ("text", "said", "ms", "expected"),
    [
        (NUMBER, NUMBER_SAID, 300, "The total is"),
        (NUMBER, NUMBER_SAID, 700, "The total is"),  # in the middle of the number
        (NUMBER, NUMBER_SAID, 900, "The total is 1,234"),
        (NUMBER, NUMBER_SAID, 1000, "The total is 1,234 dollars,"),
        (CARD, CARD_SAID, 500, "Card 4111"),  # by its digits
        (CARD, CARD_SAID, 1700, "Card 4111111111111111"),
        ("Dr. Smith is in.", "Doctor Smith is in", 100, "Dr."),
        ("I have 21 apples and one pear.", "I have twenty one apples and one pear", 400, "I have 21"),
        ("I have 21 apples and one pear.", "I have twenty one apples and one pear", 600, "I have 21 apples and"),
        ("Mail info@example.com now.", "Mail info at example dot com now", 200, "Mail info@"),
        ("Mail info@example.com now.", "Mail info at example dot com now", 600, "Mail info@example.com"),
        ("Don’t (please) go.", "Don't please go", 200, "Don’t (please)"),
        (CHINESE, "您 的 预 约 是 明 天 上 午 九 点", 500, "您的预约是"),  # a letter each
        (CHINESE, "您的 预约 是 明天 上午 九点", 300, "您的预约是"),
        (CHINESE, "您的预约是明天上午九点。", 50, "您的预约是"),  # one word for all
        (CHINESE, "您的预约是明天上午9点", 100, CHINESE),
        ("ร้านเปิดเก้าโมง", "ร้าน เปิด เก้า โมง", 200, "ร้านเปิด"),
        ("これはテストです。", "コレ ワ テスト デス", 300, "これはテスト"),
        ("مرحبا بك في متجرنا.", "مرحبا بك في متجرنا", 200, "مرحبا بك"),
        ("Hello there.", "xx yy", 100, "Hello"),  # nothing in common: the letters share the time
    ],
)
def test_what_was_heard_is_counted_in_letters_of_the_text(text: str, said: str, ms: float, expected: str):
    assert heard(text, said, ms) == expected


def test_without_times_the_letters_share_it_in_every_script():
    assert heard(CHINESE, "", 500) == "您的预约是"  # of 1000 ms
    assert heard("ร้านเปิดเก้าโมง", "", 600) == "ร้านเปิด"  # not with the vowel of the next word


@pytest.mark.parametrize(
    ("text", "words_of_it"),
    [
        ("ร้านเปิดเก้าโมงเช้า", "ร้าน เปิด เก้า โมง เช้า"),
        ("ສະບາຍດີ ເປີດແຕ່ເກົ້າໂມງ", "ສະບາຍດີ ເປີດ ແຕ່ ເກົ້າ ໂມງ"),
        ("យើងបើកនៅម៉ោងប្រាំបួន", "យើង បើក នៅ ម៉ោង ប្រាំបួន"),
        ("ကျွန်တော်တို့ ဖွင့်ပါတယ်", "ကျွန်တော် တို့ ဖွင့် ပါ တယ်"),
    ],
)
def test_what_was_heard_ends_with_a_word_where_none_is_divided_by_blanks(text: str, words_of_it: str):
    ends, at = {0}, 0
    for word in words_of_it.split():
        at = text.index(word, at) + len(word)
        ends.add(at)
    found = {heard_until(text, [], ms, 5000.0, True) for ms in range(0, 5001, 20)}
    assert {len(text[:end].rstrip()) for end in found} == ends


@pytest.mark.parametrize("text", ["I ❤️ 👨‍👩‍👧 you", "Press 1️⃣2 now", "葛󠄀城がが", "é café नमस्ते", "a\r\nb", "🇩🇪🇫🇷 ok"])
def test_no_letter_is_divided(text: str):
    whole = {0, *(cluster.end() for cluster in regex.finditer(r"\X", text))}
    for end in range(len(text) + 1):
        assert whole_until(text, end) == max(place for place in whole if place <= end)
    assert {heard_until(text, [], ms, 5000.0, True) for ms in range(0, 5001, 20)} <= whole


def test_while_it_is_made_nothing_is_heard_beyond_the_words_that_are_known():
    assert heard(NUMBER, "The total", 5000, 5000, done=False) == "The total"
    assert heard(NUMBER, "The total is one thousand two", 5000, 5000, done=False) == "The total is"


@given(st.lists(st.sampled_from(["one", "12", "您好", "a.b", "-", "ร้าน", "5,000"]), max_size=8), st.data())
def test_more_time_never_means_less_text(parts: list[str], data: st.DataObject):
    text, said = " ".join(parts), " ".join(data.draw(st.permutations(parts)))
    ends = [heard_until(text, words(said), ms, 800.0, True, 0.5) for ms in range(0, 900, 50)]
    assert ends == sorted(ends)
    assert ends[-1] == len(text)


def test_texts_are_joined_as_their_script_is_written():
    assert joined(["Hello.", "How are you?"]) == "Hello. How are you?"
    assert joined(["好的，", "请稍等。", "", "OK."]) == "好的，请稍等。 OK."
    assert joined(["สวัสดี", "ครับ"]) == "สวัสดี ครับ"
    assert joined([]) == ""


def test_an_interrupted_chinese_answer_is_stored_as_far_as_it_was_heard():
    stage = Stage(greeting="", language="zh-CN")
    stage.caller_says("你们几点开门")
    stage.answer("我们九点开门，", "下午五点关门。")
    utterance = stage.deliver(each_ms=2000.0)  # the voice tells of one word a clause
    stage.do("playout_started", utterance)
    stage.heard_on_flush = 3200.0
    stage.do("typed", "谢谢")
    assert stage.said() == [("user", "你们几点开门", False), ("assistant", "我们九点开门，下午五点", True)]
