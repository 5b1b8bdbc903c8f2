"""Where the words are in what look-alikes of OpenAI's chat completions send.

OpenAI has them at `choices[].delta.content`. Others send a list of parts there, a `delta` that is a text, the `text` of
the older completions, a whole `message` although a stream was asked for, and Ollama and llama.cpp their own objects
without `choices`. What is not clearly the answer's text is not said.
"""

from __future__ import annotations

from typing import Any

from actors.providers.events import record

MOST_COMPARED = 20_000  # characters of an answer that comes as messages
#: of an event without choices: the field that says whether it is the last -> the field with the words
_OWN = {"done": "response", "stop": "content"}  # Ollama's, which may have a `message` instead; llama.cpp's
_TEXTS = ("text", "output_text", "text_delta")


def as_choice(event: dict[str, Any]) -> dict[str, Any]:
    """An event without choices as one; empty if it is none of an answer."""
    for last, words in _OWN.items():
        if isinstance(event.get(last), bool):
            delta = record(event.get("message")) or {"content": event.get(words)}
            return {"delta": delta, "finish_reason": (event.get("done_reason") or "stop") if event[last] else None}
    return {}


def spoken(content: Any) -> str:
    """The words of a delta that is no text: a list of parts, of which some are thoughts. Halves of characters stay."""
    parts = content if isinstance(content, list) else [content]
    return "".join(part if isinstance(part, str) else part_words(record(part)) for part in parts)


def part_words(part: dict[str, Any]) -> str:
    """Of one part, or of a delta that is one."""
    if part.get("type", "text") not in _TEXTS:
        return ""
    words = part.get("text")
    value = record(words).get("value") if isinstance(words, dict) else words
    return value if isinstance(value, str) else ""


class Messages:
    """Words that come otherwise than in deltas: `said` is told of all that are said."""

    def __init__(self) -> None:
        self._said: str | None = ""  # in messages; None: in deltas, or more than is worth comparing
        self._from_message = False

    def said(self, words: str) -> None:
        if self._said is None:
            return
        self._said = self._said + words if self._from_message and len(self._said) < MOST_COMPARED else None

    def delta(self, choice: dict[str, Any]) -> dict[str, Any]:
        """What a choice without a usual delta adds."""
        self._from_message = False
        for words in (choice.get("delta"), choice.get("text")):
            if words and isinstance(words, str):
                return {"content": words}
        message = record(choice.get("message"))
        words = message.get("content")
        if not words or self._said is None:  # all of it, behind what was streamed
            return message if self._said == "" else {}
        self._from_message = True
        return {**message, "content": self._new(spoken(words), bool(choice.get("finish_reason")))}

    def _new(self, words: str, last: bool) -> str:
        """Of a message: some send with each all words so far, and some all of them with the last."""
        said = self._said or ""
        if words.startswith(said) and (last or len(words) > len(said)):
            return words[len(said) :]
        return words
