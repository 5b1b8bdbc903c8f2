from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from actors.call.plain import _MAY_BE_A_MARK, _ORDINARY_MARKS, MAX_HELD, Plain, is_word

THOUGHTS = [
    ("<think>I should greet.\nYes.</think>Hello there.", "Hello there."),
    ("<think>\n\n</think>\n\nHello.", "Hello."),
    ("<thinking>a</thinking>b<THINK>c</THINK>d", "bd"),
    ("Hello. <reasoning>hm **x**</reasoning>Bye.", "Hello. Bye."),
    ("[THINK]a[/THINK]b", "b"),
    ("◁think▷a◁/think▷b", "b"),
    ("<details><summary>More</summary>Hidden</details>", "More\nHidden"),
    ("<think>a\n<think>b</think> c,\nd</think>Hello.", "Hello."),
    ("<think>a\n  <thinking>b</thinking>\n<think>c</think>d\n</think>Hello.", "Hello."),
    ("<think>a\n<think>b</think>Hello.", "Hello."),  # one end for both
    ("<think>\n<think>\na</think>Hello.", "Hello."),  # the template has opened it, too
    ("<think>I use <think> here.</think>Hello.", "Hello."),
    (
        "Call <tel:+1-415-5550100;ext=1> or <sip:bob@x.com>, <MAILTO:a@x.com>.",
        "Call +1-415-5550100 or bob@x.com, a@x.com.",
    ),
    ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi", "Hi"),
    ("The user greets. I answer.\n</think>\n\nHello.", "Hello."),
    ("<think>cut in the middle", ""),
    ("Hello.<|im_end|>", "Hello."),
    ("Hello.<|im_end|>\n<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\nIt.", "Hello.\n"),
    ("<|start_header_id|>assistant<|end_header_id|>\n\nHi.", "Hi."),
    ("<|start|>assistant<|channel|>final<|message|>Hi.<|return|>", "Hi."),
    ("<start_of_turn>model\nHi.<end_of_turn>\n<start_of_turn>user\nmore", "Hi.\n"),
    ("[INST] hi [/INST] Hello.", " Hello."),
    ("<|channel>thought\nHm.<channel|>Hello.<channel|><|turn>", "Hello."),
    ("Hi.<\uff5cend\u2581of\u2581sentence\uff5c>", "Hi."),
]
PROGRAMS = [  # for a program, not for the caller
    ('<tool_call>\n{"name": "x"}\n</tool_call>Wait.', "Wait."),
    ('<function=foo>{"a": 1}</function>Ok', "Ok"),
    ('<|python_tag|>{"a": 1}<|eom_id|>Ok', "Ok"),
    ('[TOOL_CALLS] [{"name": "x"}]', ""),
    ("<\uff5ctool\u2581calls\u2581begin\uff5c>x<\uff5ctool\u2581calls\u2581end\uff5c>Ok", "Ok"),
    ("a<script>alert(1)</script><STYLE type='x'>p{}</style>b", "ab"),
]
FORMULAS = [
    (r"\(\pi r^2\) or $$x^{3}$$ or $a^2 + b^2 = c^2$.", "pi r\u00b2 or x\u00b3 or a\u00b2 + b\u00b2 = c\u00b2."),
    (r"\frac{1}{2} \text{cup} \times 3 \leq \sqrt{9}, \left( 5\% \right)", "1/2 cup \u00d7 3 \u2264 \u221a9, ( 5% )"),
    ("$5 and $10, US$5, $AAPL and $TSLA, a ^ b, x^23", None),
]
UNSEEN = [
    ("\ufeffso\u00adft zero\u200b\u2060 \u200eleft\u0008", "soft zero left"),
    ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", None),  # a non-joiner within a Persian word
    ("\u179f\u17bd\u200b\u17a2\u17d2\u1793\u1780", None),  # what divides words in Khmer
    ("&#128512;&shy;a&#8203;b&nbsp;c", "ab c"),
    ("See \ue200cite\ue202turn0search0\ue201it.", "See it."),
]
MARKS = [
    ("**Bold** and *it* and __b__ and _i_ and ~~no~~ `code`.", "Bold and it and b and i and no code."),
    ("Was hei\u00dft **_das_**? ***Gut!***", "Was hei\u00dft das? Gut!"),
    ("**Hours:** 9 to 5. **5** *5*.", "Hours: 9 to 5. 5 5."),
    ("2 * 3 = 6, 2*3, snake_case_name, john_doe@x.com", "2 * 3 = 6, 2*3, snake_case_name, john_doe@x.com"),
    ("See [our site](https://x.com/a_b(c)) now. [**bold**](x)", "See our site now. bold"),
    ('[me@x.com](mailto:me@x.com "Title"), [ref][1], text[2].', "me@x.com, ref, text."),
    ("![map](http://m.org/a.png) Here. ![](x.png)", "map Here. "),
    ("[Guide](https://x.io/a b)", "Guide"),
    ("one\\\ntwo\\n\\nThree C# a # b #1", "one\ntwo\n\nThree C# a # b #1"),
    (":smile: :+1: at 10:30:15 :30:", "  at 10:30:15 :30:"),
    ("[1]: http://x.com\nhello", "hello"),
    ("It is open\u30104\u2020hours.pdf\u3011.", "It is open."),
    ("[note] done, a[0] b", "[note] done, a b"),
    ("# Title\n### Next ##\n> quote\n>> more\nend", "Title\nNext \nquote\nmore\nend"),
    ("- one\n* two\n+ three\n\u2022 four\n1. five\n- [x] six", "one\ntwo\nthree\nfour\n1. five\nsix"),
    ("a\n---\n* * *\nb", "a\n\n\nb"),
    ("| Day | Hours |\n|---|:--:|\n| **Mon** | 9-5 |\nDone", "Day, Hours.\nMon, 9-5.\nDone"),
    ("Code:\n```python\nprint('a_b*c')\n# x\n```\nDone.", "Code:\nDone."),
    ("~~~\nx\n~~~\ny", "y"),
    ("```\nx\n``` y", "y"),
    ("````md\n```x```\n````\nend", "end"),
    ("2**3 = 8 and **2** 3", "2**3 = 8 and 2 3"),
    ("a<b and c>d <b class='x'>e</b><br />", "a<b and c>d e\n"),
    ("```\nnever closed", ""),
    ("a < b &amp; c &lt; AT&T <b>x</b><br>y <!-- no -->z", "a < b & c < AT&T x\ny z"),
    ("\\( x^2 \\) $$y$$ \\*star\\* $5", " x\u00b2  y *star* $5"),
    ("Hello **there", "Hello there"),
    ("[a", "[a"),
    ("8 | 9", "8 , 9"),
]
EMOJI = [
    ("Great \U0001f600!", "Great !"),
    (
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea 1\ufe0f\u20e3 \U0001f44d\U0001f3fd ok",
        "  1  ok",
    ),
    ("\u2705 Done \u2764\ufe0f :) 5:30 ;-)", " Done   5:30 "),
    ("5 \u00b0C, \u00a9 2026, 3 \u20ac", "5 \u00b0C, \u00a9 2026, 3 \u20ac"),
    ("\u0915\u094d\u200d\u0937 \u0646\u0645\u0938\u094d\u0924\u0947", None),  # a joiner within a Hindi word
]
ADDRESSES = [
    ("Go to https://www.example.com/a_b/?q=1. Ok", "Go to www.example.com/a_b/?q=1. Ok"),
    ("(http://x.org/), www.foo.com, <https://y.de/>, <a@b.de>.", "(x.org), www.foo.com, y.de, a@b.de."),
    ("**https://x.com/a*b**", "x.com/a*b"),
    ("\u8bf7\u8bbf\u95eehttps://x.com/\u67e5\u770b\u3002", "\u8bf7\u8bbf\u95eex.com\u67e5\u770b\u3002"),
    ("Mail info@example.com or a.b_c@x.co.uk.", None),
]


def plain(pieces: list[str]) -> str:
    """As the responder does it: what is taken back was not said yet."""
    stage, said = Plain(), ""
    for step in [*[(stage.feed, piece) for piece in pieces], (lambda _: stage.end(), "")]:
        new = step[0](step[1])
        said = new if stage.took_back else said + new
    return said.lstrip("\n")


@pytest.mark.parametrize(("text", "expected"), [*THOUGHTS, *PROGRAMS, *MARKS, *FORMULAS, *UNSEEN, *EMOJI, *ADDRESSES])
def test_what_is_written_for_the_eye_is_taken_out(text: str, expected: str | None):
    expected = text if expected is None else expected
    assert plain([text]) == expected
    assert plain(list(text)) == expected  # however the tokens come
    assert plain(regex.findall(r" ?\w+| ?[^\s\w]+|\s+", text)) == expected


@pytest.mark.parametrize("text", [text for text, _ in MARKS + EMOJI])
def test_marks_are_left_to_a_voice_that_reads_them_and_thoughts_are_not(text: str):
    assert Plain(marks=False).whole(f"<think>hm</think>{text}") == text


def test_words_are_never_kept_back():
    stage = Plain()
    tokens = ["Hello", " there", ",", " this", " is", " **", "important", "**", "!", " How", " are", " you", "?"]
    assert [stage.feed(token) for token in tokens] == [
        *["Hello", " there", ",", " this", " is", " ", "important", "", "!", " How", " are", " you", "?"]
    ]


def test_a_model_whose_prompt_opens_its_thoughts():
    stage = Plain(thinks_first=True)
    assert stage.feed("The user says hi. I answer.") == ""
    assert stage.feed("</thi") + stage.feed("nk>Hello.") == "Hello."


def test_nothing_is_lost_of_an_answer_that_was_taken_for_a_thought():
    stage = Plain(thinks_first=True)
    assert stage.feed("Hello. **We** are open.") + stage.end() == "Hello. We are open."


def test_what_looks_like_a_mark_and_does_not_end_is_text():
    stage = Plain()
    text = "[" + "<a " * MAX_HELD
    said = stage.feed(text)
    assert len(said) + MAX_HELD >= len(text)
    assert said + stage.end() == text


@given(st.text(alphabet="ab .*_`[]()<>#|-\n!&:~\\/h", max_size=120), st.integers(1, 9))
def test_it_is_the_same_however_the_tokens_come(text: str, size: int):
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert plain(pieces) == plain([text])
    assert len(plain(pieces)) <= len(text) + 2 * text.count("\n") + 2


def test_no_mark_begins_with_what_a_word_is_made_of():
    """Words take a short way, past all rules: but for those of an address."""
    letters = [chr(code) for code in range(0xE00) if is_word(chr(code))]
    assert len(letters) > 1000
    assert {letter for letter in letters if _MAY_BE_A_MARK.search(f".{letter} ", 1)} <= {"h", "w"}
    assert not any(_MAY_BE_A_MARK.search(f"a{mark}", 1) for mark in _ORDINARY_MARKS)


@given(
    st.lists(
        st.sampled_from(
            [" word", "word", " 5", "7", " h", "ttps", "://x.y", " www", ".", ",", "?", "**", "# ", "\n", " "]
        )
    )
)
def test_the_short_way_of_words_leads_to_the_same_text(tokens: list[str]):
    quick, thorough = Plain(), Plain()
    thorough._is_ordinary = lambda piece: False
    for token in tokens:
        assert quick.feed(token) == thorough.feed(token)
    assert quick.end() == thorough.end()


def test_a_thought_within_a_thought_is_none_of_a_model_whose_prompt_opens_them():
    stage = Plain()
    assert stage.whole("Yes.\n<think>a\n<think>b</think>c</think>No.") == "Yes.\nNo."
    assert not stage.thought_first
