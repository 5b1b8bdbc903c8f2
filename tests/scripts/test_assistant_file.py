"""An assistant's file: all that is wrong with it at once, with its line; what may work is only warned of."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.assistant import AssistantConfig
from config.errors import ConfigError
from scripts.assistant_file import MOST_LINES, read_assistant

DESK = """\
name: desk
language: en-US
greeting: Hello.
stt: embedded
tts: {provider: embedded, voice: en-us}
llm:
  provider: script
  intents:
    - name: hours
      say: [what are your opening hours]
      reply: Nine to five.
"""
Read = Callable[..., tuple[AssistantConfig | None, list[str]]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """The assistant, if it was taken, and the complaints or warnings without the file's name."""
    for name in ("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def read(*changes: tuple[str, str], strict: bool = False) -> tuple[AssistantConfig | None, list[str]]:
        text = DESK
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file, warnings = tmp_path / "desk.yaml", list[str]()
        file.write_text(text)
        try:
            return read_assistant(file, (), warnings.append, strict=strict), [_short(file, line) for line in warnings]
        except ConfigError as error:
            assert not warnings
            return None, [_short(file, line) for line in str(error).splitlines()]

    return read


def _short(file: Path, line: str) -> str:
    assert line.startswith(f"{file}:")
    return line.removeprefix(f"{file}:")


def test_a_good_file(read: Read) -> None:
    assistant, complaints = read()
    assert assistant is not None and assistant.name == "desk" and complaints == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("greeting:", "greting:", "3: greting: unknown field 'greting'; did you mean 'greeting'? legal are: name, "),
        (
            "greeting: Hello.",
            "idle: {timeout: 3}",
            "3: idle.timeout: unknown field 'timeout'; did you mean 'timeout_s'",
        ),
        ("name: desk\n", "", "1: name: Field required; legal: "),
        ("name: desk", "name: The Desk", "1: name: String should match pattern"),
        ("name: desk", "name: 7", "1: name: must be text; YAML reads it as a number (7): put it in quotes"),
        ("Hello.", "yes", "3: greeting: must be text; YAML reads it as true or false (True): put it in quotes"),
        ("Hello.", "2026-01-02", "3: greeting: must be text; YAML reads it as a date (2026-01-02): put it in quotes"),
        ("Hello.", "12:30", "3: greeting: must be text; YAML reads it as a number (750): put it in quotes"),
        ("Hello.", "", "3: greeting: must be text; nothing stands here: write '' for no text"),
        ("Hello.", "[a]", "3: greeting: must be text"),
        ("Hello.", '"a\\0b"', "3: greeting: holds U+0000, which no text may hold"),
        ("Hello.", "a" * 10_001, "3: greeting: String should have at most 10000 characters"),
        (
            "greeting: Hello.",
            "max_duration_s: soon",
            "Input should be a valid number, unable to parse string as a number; ",
        ),
        ("greeting: Hello.", "max_duration_s: yes", "3: max_duration_s: must be a number; YAML reads it as true"),
        ("greeting: Hello.", "max_duration_s: .nan", "3: max_duration_s: Input should be less than or equal to 14400"),
        ("greeting: Hello.", "barge_in: {min_words: 0}", "given: 0; legal: a whole number, at least 1, at most 10"),
        (
            "greeting: Hello.",
            "barge_in: {ignored_words: [ok, yes]}",
            "3: barge_in.ignored_words[1]: must be text; YAML",
        ),
        ("greeting: Hello.", "idle: 3", "3: idle: must be a mapping"),
        ("greeting: Hello.", "speech: {numbers: wrds}", "3: speech.numbers: "),
        ("greeting: Hello.", "speech: {pronunciations: {a: ''}}", "3: speech.pronunciations.a: "),
        ("greeting: Hello.", "speech: {pronunciations: {' a': b}}", "3: speech.pronunciations. a"),
        (
            "greeting: Hello.",
            "speech: {pronunciations: {SQL: a, sql: b}}",
            "'sql' is 'SQL' once more: upper and lower case are the same",
        ),
        (
            "en-US\n",
            "ur-PK\nspeech: {numbers: words}\n",
            "3: speech.numbers: there are no words for numbers in 'ur-PK'",
        ),
        (
            "en-US\n",
            "sw\nspeech: {addresses: words}\n",
            "3: speech.addresses: the marks of an address have no words in 'sw'; legal are: ar, cs",
        ),
        ("en-US", "de-DE", "4: stt: embedded hears English only, and the assistant's language is 'de-DE'"),
        ("en-US", "English, please", "2: language: String should match pattern"),
        ("stt: embedded", "stt: deepgrm", "4: stt.provider: unknown provider 'deepgrm'; did you mean 'deepgram'?"),
        ("stt: embedded", "stt: {modell: x}", "4: stt.provider: Field required"),
        ("stt: embedded", "stt: []", "4: stt: is empty; legal are at least 1"),
        ("stt: embedded", "stt: 7", "4: stt: must be a mapping (NAME: VALUE); given: 7"),
        (
            "stt: embedded",
            "stt: [deepgram, embeded]",
            "4: stt[1].provider: unknown provider 'embeded'; did you mean 'emb",
        ),
        (
            "en-us}",
            "en-zz+f9, pitch: 200}",
            "5: tts.pitch: Input should be less than or equal to 99; given: 200; legal",
        ),
        ("en-us}", "zz-top}", "5: tts.voice: espeak-ng has no such voice: unknown voice 'zz-top'"),
        ("embedded, voice: en-us}", "cartesia, speed: 9}", "5: tts.speed: "),
        ("reply: Nine", "repply: Nine", "11: llm.intents[0].repply: unknown field 'repply'; did you mean 'reply'?"),
        (
            "[what are your opening hours]",
            "[yes, hello]",
            "10: llm.intents[0].say[0]: must be text; YAML reads it as",
        ),
        (
            "[what are your opening hours]",
            "[3, hello]",
            "10: llm.intents[0].say[0]: must be text; YAML reads it as a n",
        ),
        (
            "hours]",
            "hours]\n      next: [hour]",
            "11: llm.intents[0].next[0]: unknown intent 'hour'; did you mean 'hours'",
        ),
        (
            "name: hours",
            "name: hours\n      name: again",
            "9: llm.intents[0].name: stands here twice, in line 9 and in",
        ),
    ],
)
def test_what_can_never_work_is_refused_at_its_line(read: Read, old: str, new: str, complaint: str) -> None:
    assistant, complaints = read((old, new))
    assert assistant is None
    assert any(complaint in line for line in complaints), complaints
    assert all(re.match(r"\d+: ", line) for line in complaints)


def test_a_word_that_the_grammar_cannot_hear_is_refused(read: Read) -> None:
    changes = ("[what are your opening hours]", "hello zorblax"), ("stt: embedded", "stt: embedded-grammar")
    assistant, (complaint,) = read(*changes)
    assert assistant is None and complaint.startswith("4: stt: ") and "'zorblax' in 'hello zorblax'" in complaint
    assert read(changes[0])[0] is not None, "heard freely, it may be said"


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (
            "stt: embedded",
            "stt: [deepgram, embedded]",
            "4: stt[0]: no key: the environment variable DEEPGRAM_API_KEY is",
        ),
        (
            "embedded, voice: en-us}",
            "cartesia}",
            "5: tts: no key: the environment variable CARTESIA_API_KEY is not set",
        ),
        (
            "en-us}",
            "en-us+f99}",
            "5: tts.voice: espeak-ng has no such variant: unknown variant 'f99'; legal are: A",
        ),
        ("Hello.", '"a\\eb"', "3: greeting: holds the control character U+001B"),
        ("Hello.", "Hello {name}.", "3: greeting: has a slot in braces, which is said as it stands"),
        ("Hello.", "'...'", "3: greeting: has no word that could be said"),
        ("greeting: Hello.", "idle: {prompts: [a, '']}", "3: idle.prompts[1]: says nothing: leave it out"),
        ("hours]", "hours]\n      slots: {day: Friday}", "11: llm.intents[0].slots.day: is not used anywhere"),
        (
            "stt: embedded",
            "stt: {provider: embedded-grammar, pronunciations: {quux: K W}}",
            "quux: no sentence has this word",
        ),
    ],
)
def test_what_may_work_is_a_warning(read: Read, old: str, new: str, warning: str) -> None:
    assistant, warnings = read((old, new))
    assert assistant is not None
    (found,) = warnings
    assert warning in found
    assert read((old, new), strict=True) == (None, warnings)


def test_everything_is_told_at_once_in_the_order_of_the_file(read: Read) -> None:
    assistant, complaints = read(
        ("name: desk", "name: The Desk\nidle: {timeout_s: 0}"),
        ("greeting", "greting"),
        ("en-US", "fr"),
        ("stt: embedded", "stt: embedded-grammar"),
        ("voice: en-us", "voice: zz-top, pitch: high"),
        ("what are your opening hours", "gnorp the zorblax"),
        ("name: hours", "name: hours\n      next: nowhere\n      next: [hours]"),
    )
    assert assistant is None
    assert [line.partition(": ")[2].partition(": ")[0] for line in complaints] == [
        *("name", "idle.timeout_s", "greting", "stt", "stt", "tts.pitch", "llm.intents[0].next")
    ]


def test_too_many_problems_are_counted(read: Read) -> None:
    assistant, complaints = read(("[what are your opening hours]", "[" + ", ".join(["yes"] * 500) + "]"))
    assert assistant is None and len(complaints) == MOST_LINES + 1 and complaints[-1].endswith("450 problems more")


@pytest.mark.parametrize("content", ["- a list\n", "text\n", "", "# a comment\n", "7\n"])
def test_without_a_mapping_there_is_no_assistant(tmp_path: Path, content: str) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match="must hold a mapping with name, stt, llm and tts"):
        read_assistant(file)


@pytest.mark.parametrize("count", [2_000, 15_000])
def test_many_intents_take_seconds(read: Read, count: int) -> None:
    """More than are legal, and few enough to be read: 100,000 are larger than a file may be."""
    more = "".join(f"    - {{name: i{n}, say: hello, reply: Fine, next: [hours]}}\n" for n in range(count))
    begin = time.process_time()
    assistant, complaints = read(("      reply: Nine to five.\n", "      reply: Nine to five.\n" + more))
    assert assistant is None and "at most 1000" in complaints[0]
    assert time.process_time() - begin < 20  # reading alone takes 2 s; what is quadratic takes minutes


def test_a_chain_has_an_end(read: Read) -> None:
    assistant, (complaint,) = read(("stt: embedded", f"stt: [{', '.join(['embedded'] * 17)}]"))
    assert assistant is None and complaint == "4: stt: has 17 entries; legal are at most 16"


def test_many_unknown_fields_take_seconds(read: Read) -> None:
    begin = time.process_time()
    assistant, complaints = read(("name: desk", "name: desk\n" + "".join(f"field{n}: x\n" for n in range(50_000))))
    assert assistant is None and complaints[-1].endswith("problems more")
    assert time.process_time() - begin < 10  # minutes, if each one is looked for among all the others
