"""What comes of a question to an OpenAI-compatible server: the streamed answer, or a refusal.

An answer is complete when a chunk says why it ended (`finish_reason`), the stream says `[DONE]`, or the body ends where
it said that it would; one that just ends was cut off. A server that does not stream sends all of it as one object.
"""

from __future__ import annotations

import re
from asyncio import TimerHandle
from collections.abc import Callable
from typing import Any

from actors.errors import ProviderError, Remedy
from actors.providers.chat_words import Messages, as_choice, part_words, spoken
from actors.providers.events import Events, Halves, LifeSigns, decode, items, number, record, text
from actors.providers.http_answer import EventReader
from actors.providers.intake import Intake
from actors.providers.remote import refused, remedy_in_answer
from actors.providers.spec import Answered, Emit, Question, SessionFailed, Token, Usage

_ERROR_CODES = {
    "insufficient_quota": Remedy.QUOTA,
    "billing_hard_limit_reached": Remedy.QUOTA,
    "rate_limit_exceeded": Remedy.THROTTLED,
    "invalid_api_key": Remedy.CONFIG,
    **dict.fromkeys(("model_not_found", "invalid_model", "model_decommissioned"), Remedy.CONFIG),
    **dict.fromkeys(("unsupported_parameter", "unsupported_value"), Remedy.CONFIG),  # no question will fare better
}
_CODE_KEYS = ("code", "type")
_TOO_LONG_CODES = ("context_length_exceeded", "string_above_max_length", "request_too_large")
_TOO_LONG = re.compile(
    r"context[ _](length|window|size)|(prompt|input|request|messages?) (is|are|was|were)? ?too (long|large)"
    r"|too many (input )?tokens|reduce the length|maximum (number of tokens|prompt length)|range of input length",
    re.IGNORECASE,
)
_WRONG_CONFIG = re.compile(
    r"api[ _-]?key (is )?(not valid|invalid|expired)|invalid api[ _-]?key|not a valid model", re.I
)
_TOO_MANY = re.compile(  # unless it is so many in a time
    r"(?<!\w)(tokens?|input|prompt|length)\b.{0,60}(exceed|must be (<|less|at most)|(longer|greater) than|over )"
    r"|exceed.{0,40}\b(tokens?|length|size|window)\b|(more|fewer) (input )?tokens than|超过.{0,20}长度|长度.{0,20}超",
    re.IGNORECASE | re.DOTALL,
)
_RATE = re.compile(
    r"\bper[ _-]?(second|sec|minute|min|hour|day)|/ ?(s|min|m)\b|\b[tr]p[smd]\b|\brate\b|quota", re.IGNORECASE
)
_WAIT = re.compile(
    r"(?:try again|retry|wait)(?: (?:in|after|for))? ((?:\d+(?:\.\d+)? ?[a-z]+[ ,]{0,2}){1,4})", re.IGNORECASE
)
_SPAN = re.compile(
    r"(\d+(?:\.\d+)?) ?(ms|mi(?=llis)|[hms])(?:(?<=mi)llis(?:econds?)?|ours?|rs?|in(?:ute)?s?|ec(?:ond)?s?)?(?![a-z])",
    re.I,
)
_SPAN_S = {"ms": 0.001, "mi": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")  # of Google's RetryInfo
_FILTERED = re.compile(
    r"content[ _](filter|policy|management)|moderation|flagged|inappropriate|policyviolation|data_inspection",
    re.IGNORECASE,
)
#: why an answer has ended -> its flaw; what is not here is none
_FLAWS = {
    **dict.fromkeys(("length", "max_tokens", "model_length", "model_context_window_exceeded"), "length"),
    **dict.fromkeys(("content_filter", "safety", "refusal", "recitation"), "content_filter"),
    **dict.fromkeys(("prohibited_content", "blocklist", "spii", "sensitive"), "content_filter"),  # Gemini, Zhipu
}
# as OpenRouter, vLLM, DeepSeek and Zhipu say that it broke off
_BROKEN = ("error", "abort", "insufficient_system_resource", "network_error")
MOST_TOKENS = 100_000_000  # that one question can cost; more is none of them
LAST_S = 1.0  # after so long a chunk that says why the answer has ended was the last one
_NO_ERROR = frozenset(("", "0", "200", "ok", "success", "20000"))  # codes with which some servers say that all is well
_NOT_ENDED = ("null", "none")  # as some write that there is no reason

Later = Callable[[float, Callable[[], None]], TimerHandle]


class TooLong(ProviderError):
    """The model does not take so long a history."""


class Answer:
    """Turns the body of a streamed answer into `Token`s and one `Answered`. `later(seconds, do)` is the loop's."""

    def __init__(self, question: Question, emit: Emit, later: Later | None = None) -> None:
        self._later = later
        self._doubt: TimerHandle | None = None
        self._turn, self._life = question.turn, LifeSigns(emit)
        self._halves = Halves()
        self._flaw = self._reason = ""
        self._messages = Messages()
        self._index: float | None = None  # of the choice that is said
        self._tokens = 0  # told of so far
        self.said = self.complete = False
        self.begin()

    def begin(self) -> None:
        """The body comes, of the first request or of another one."""
        self._reader, self._events = EventReader(), Events("openai", self._take)
        self._intake = Intake("openai", "events")  # many fit in one read
        self._answers = self._other = False  # there were events of a chat completion, there were others

    def feed(self, data: bytes) -> None:
        """The next bytes of the body. Raises `ProviderError` for an error in the stream."""
        self._life.came()
        self._read(data)

    def end(self, is_whole: bool) -> None:
        """The body is over; `is_whole`: where it said that it would be. Raises `ProviderError` if the answer is not."""
        self._read(b"", at_end=True)
        if self.complete or self._reason:
            self._finish(self._reason)
            return
        if not is_whole:
            raise ProviderError("openai", "the answer ended in the middle")
        if self._events.senseless and not self.said:
            raise ProviderError("openai", "sent no event that makes sense")
        if not self._answers and (self._other or self._reader.foreign):
            raise ProviderError("openai", "sent what is no chat completion; is base_url right?")
        self._finish("")

    def fail(self, error: ProviderError) -> None:
        """What goes wrong behind the last token is nothing to the call."""
        if self._reason:
            self._finish(self._reason)
        if not self.complete:
            self._life.emit(SessionFailed(error))

    def lives(self) -> None:
        """Its server has said something else."""
        self._life.came()

    def silence(self) -> None:
        """It was cancelled: nothing of it is emitted any more, be it in the middle of a chunk."""
        if self._doubt:
            self._doubt.cancel()
        self._later = None
        self._life.silence()

    def _read(self, data: bytes, at_end: bool = False) -> None:
        try:
            events = self._reader.end() if at_end else self._reader.feed(data)
        except ValueError as error:
            raise ProviderError("openai", f"sent {error}") from None
        for event in events:
            self._intake.took(len(event))
            if event.strip() == b"[DONE]":
                self._finish(self._reason)
            else:
                self._events.feed(event)

    def _take(self, chunk: dict[str, Any]) -> None:
        if usage := chunk.get("usage"):
            self._tell_usage(usage)
        if self.complete:  # nothing but the usage is of interest any more
            return
        choices = chunk.get("choices")
        choice = self._own(choices) if choices else as_choice(chunk)  # there is none beside the usage figures
        if (not choices or "error" in chunk or "error" in choice) and (error := _error_in(chunk) or _error_in(choice)):
            raise _stream_error(error)
        if choice or "choices" in chunk:
            self._answers = True
        else:
            self._other = True
        delta = choice.get("delta")
        if not isinstance(delta, dict) or not delta:
            delta = self._messages.delta(choice)
        content = delta.get("content") or part_words(delta)
        if content:
            self._say(self._halves.join(content if isinstance(content, str) else spoken(content)))
        carries = bool(content)
        if len(delta) > 1 or not content:  # most have nothing else
            carries = self._take_rest(delta) or carries
        if reason := choice.get("finish_reason") or choice.get("finishReason"):
            self._reason = _ended(reason) or self._reason
        # Gemini and what stands before it end each chunk: only one that carries nothing is the last
        if self._reason:
            self._end_or_doubt(carries)

    def _take_rest(self, delta: dict[str, Any]) -> bool:
        """What a delta has beside words; whether that shows that more may follow."""
        if calls := delta.get("tool_calls") or delta.get("function_call"):
            self._life.at_work(True)
        if delta.get("refusal"):
            self._flaw = "refusal"
        return bool(calls or delta.get("reasoning_content"))

    def _end_or_doubt(self, carries: bool) -> None:
        if self._doubt:
            self._doubt.cancel()
        if not carries:
            self._finish(self._reason)
        elif self._later:
            self._doubt = self._later(LAST_S, lambda: self._finish(self._reason))

    def _own(self, choices: Any) -> dict[str, Any]:
        """Of several answers the one that began."""
        if not isinstance(choices, list):
            return {}
        for choice in choices:
            if not isinstance(choice, dict):
                continue
            index = choice.get("index")
            if index == self._index:  # nearly always
                return choice
            index = number(index)
            if self._index is None:
                self._index = index
            if index is None or index == self._index:
                return choice
        return {}

    def _tell_usage(self, usage: Any) -> None:
        """Some tell of all so far with each chunk."""
        if (tokens := number(record(usage).get("total_tokens"))) and self._tokens + 1 <= tokens <= MOST_TOKENS:
            told, self._tokens = self._tokens, int(tokens)
            self._life.emit(Usage(self._tokens - told))

    def _say(self, words: str) -> None:
        if words:
            self.said = True
            self._messages.said(words)
            self._life.at_work(False)
            self._life.emit(Token(self._turn, words))

    def _finish(self, reason: str) -> None:
        """The last clause is not kept waiting for the usage figures that may follow."""
        if not self.complete:
            self.complete = True
            self._life.emit(Answered(self._turn, flaw=_FLAWS.get(reason, self._flaw)))


def refusal(status: int, body: str, retry_after_s: float) -> ProviderError:
    """The error of an answer with another status than 200."""
    try:
        found = decode(body.encode())
        error = _error_in(record(found[0] if isinstance(found, list) and found else found)) or body
    except (ValueError, RecursionError):
        error = body
    code, reason = _code(error), _reason(error)
    retry_after_s = retry_after_s or _wait_s(error)
    if status == 413 or _is_too_long(code, reason, status):
        return TooLong("openai", f"answered {status}: {_short(reason)}", Remedy.REFUSED)
    if status in (400, 403) and _FILTERED.search(f"{code} {reason}"):
        return ProviderError("openai", f"answered {status}: what was said is not allowed", Remedy.REFUSED)
    remedy = _ERROR_CODES.get(code) or (Remedy.CONFIG if _WRONG_CONFIG.search(reason) else None)
    return refused("openai", status, reason, remedy, retry_after_s=retry_after_s, of_request=True)


def _stream_error(error: Any) -> ProviderError:
    """An error after the status 200: some servers give it a code, some a status, most only a text."""
    code, reason = _code(error), _short(_reason(error))
    if _is_too_long(code, reason, int(code) if code.isdecimal() and len(code) < 10 else 400):
        return TooLong("openai", f"an error in the answer: {reason}", Remedy.REFUSED)
    remedy = _ERROR_CODES.get(code) or (Remedy.CONFIG if _WRONG_CONFIG.search(reason) else Remedy.RETRY)
    if code.isdecimal() and len(code) == 3 and int(code) >= 400:
        remedy = remedy_in_answer(int(code))
    if _FILTERED.search(f"{code} {reason}"):
        remedy, reason = Remedy.REFUSED, "what was said is not allowed"
    return ProviderError("openai", f"an error in the answer: {reason}", remedy)


def _error_in(answer: dict[str, Any]) -> Any:
    """What an object says went wrong, in the shapes of OpenAI and Ollama, vLLM, FastAPI; None if it is no error."""
    if error := answer.get("error"):
        return error if error is not True else answer
    if "error" in (answer.get("object"), answer.get("type")):
        return answer
    if "choices" in answer or "delta" in answer:
        return None
    if answer.get("detail"):
        return str(answer["detail"])
    if errors := items(answer.get("errors")):
        return errors[0]
    codes = (str(answer.get(key) or "").lower() for key in ("code", "error_code"))
    is_error = any(code not in _NO_ERROR for code in codes) and _reason(answer)
    return answer if is_error else None


def _ended(reason: Any) -> str:
    """Why it has ended, as it is compared; empty: it has not. Raises `ProviderError` if it broke off."""
    name = text(reason).lower().partition(":")[0].strip()
    if name in _BROKEN:
        raise ProviderError("openai", f"ended its answer by {name!r}")
    return "" if name in _NOT_ENDED else name


def _wait_s(error: Any) -> float:
    """What the text of a refusal says of how long to wait, where its head does not."""
    for detail in map(record, items(record(error).get("details"))):
        if found := _DELAY.fullmatch(text(detail.get("retryDelay"))):
            return float(found[1])
    found = _WAIT.search(_reason(error))  # "1.2s", "1m12.5s", "2 minutes"
    return sum(float(count) * _SPAN_S[unit.lower()] for count, unit in _SPAN.findall(found[1])) if found else 0.0


def _code(error: Any) -> str:
    """The code that we know, of an error or of the one within it; else the first that there is, or the type."""
    details = record(error)
    codes = [
        str(record(of).get(key) or "").lower() for of in (details, details.get("innererror")) for key in _CODE_KEYS
    ]
    return next(
        (code for code in codes if code in _ERROR_CODES or code in _TOO_LONG_CODES), next(filter(None, codes), "")
    )


def _reason(error: Any) -> str:
    details = record(error)
    found = (text(details.get(key)) for key in ("message", "error_msg", "type"))
    return next(filter(None, found), "") if details else str(error)


def _short(reason: str) -> str:
    return " ".join(reason.split())[:200]


def _is_too_long(code: str, reason: str, status: int) -> bool:
    """A limit of tokens a minute that one question exceeds is one, too: no wait makes it shorter."""
    if code in _TOO_LONG_CODES or _TOO_LONG.search(reason):
        return True
    return status in (400, 422) and bool(_TOO_MANY.search(reason)) and not _RATE.search(f"{code} {reason}")
