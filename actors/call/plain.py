"""Turns what a language model writes into what a voice can say, while it is being written.

A model writes for the eye: Markdown, HTML, tables, code, emoji, and some think aloud first. `Plain` takes the text as
it comes, in pieces that end anywhere, and gives the plain text as early as it is known. What a mark means is a row of a
table: a pattern and what stands for it. A pattern that may match once more text is there makes `Plain` wait
(`regex`'s partial matches), for `MAX_HELD` characters at most.

Two rows need more than a line: a thought and a block of code are passed over until their end comes. Some models' prompt
template opens the thought for them, so that an answer holds its end alone: what stands before it is a thought, too.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import regex

from actors.call import formulas

MAX_END = 120  # characters of the longest end of something that is passed over
MAX_HELD = 1000  # characters of something that looks like a mark and does not end: it is text

_THOUGHT = r"think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis|reasoning_content"
_THOUGHT_OPENS = rf"<(?:\w+:)?(?:{_THOUGHT})(?:\s[^<>\n]*)?>|\[THINK\]|◁think▷|<\|begin_of_thought\|>"
THOUGHT_ENDS = regex.compile(
    rf"</(?:\w+:)?(?:{_THOUGHT})>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>\s*(?:<\|begin_of_solution\|>)?", regex.I
)
# A thought within one begins a line of its own; one that is opened twice at once (by the template, too) ends once.
_IN_THOUGHT = regex.compile(rf"(?P<ends>{THOUGHT_ENDS.pattern})|(?<=[^\s>][ \t]*\n\s*)(?:{_THOUGHT_OPENS})", regex.I)
# gpt-oss: <|channel|>analysis<|message|>thought<|end|><|start|>assistant<|channel|>final<|message|>answer
_CHANNEL_OPENS = r"<\|channel\|>(?!\s*final)[^<]*<\|message\|>"
_CHANNEL_ENDS = regex.compile(r"<\|channel\|>\s*final[^<]*<\|message\|>")
_CHANNEL_CLOSES = regex.compile(r"<channel\|>")  # Gemma: <|channel>thought ...<channel|>answer
_COMMENT_ENDS = regex.compile(r"-->")
_CITATION_ENDS = regex.compile("\ue201")
_NEVER = regex.compile(r"(?!)")
# what stands in these is for a program
_ELEMENT = "script|style|svg|function|function_call|function_calls|tool_call|tool_calls|tool_response|tool_code"
_ELEMENT_ENDS = {name: regex.compile(rf"</{name}\s*>", regex.I) for name in _ELEMENT.split("|")}
_BAR, _BLANK = "\uff5c", "\u2581"  # as DeepSeek writes its control tokens
_TOOL_ENDS = regex.compile(rf"<\|e(?:om|ot)_id\|>|<[|{_BAR}]tool[{_BLANK}_]calls[{_BLANK}_]end[|{_BAR}]>")
# A server that misses the end of a turn lets the model write the next ones, too: of the caller, of a tool.
_TURN = r"<\|(?:im_start|start_header_id|start)\|>\s*|<start_of_turn>\s*"
_OTHERS_TURN = rf"(?:{_TURN})(?:user|human|system|tool|developer)|<[|{_BAR}](?:user|User|system|end_of_turn)[|{_BAR}]>"
_INSTRUCTION_ENDS = regex.compile(r"\[/INST\]")
# takes no place and no time: byte order marks, soft hyphens, marks of direction, control characters
_UNSEEN = (
    r"[\u00ad\u200e\u200f\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufeff\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]"
    r"|(?<!\p{Line_Break=SA})\u200b"
)

_EMOJI = r"(?:(?![\u00a9\u00ae\u2030-\u21ff])\p{Extended_Pictographic}|\p{Regional_Indicator})"
_EMOJI_PARTS = r"[\uFE0E\uFE0F\u20E3\U000E0020-\U000E007F]|\p{Emoji_Modifier}"
_URL = r"[^\s<>\u3000-\u303f\uff00-\uffef\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}]"
_TARGET = (
    r"(?:\(\s*<?(?:[^()\s]|\([^()\s]*\))*>?(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'))?\s*\)"
    r"|\((?:https?:|www\.|mailto:|tel:)[^()\n]{1,300}\))"  # with a blank in it, as models write them
)

Replace = Callable[[regex.Match[str]], str]
Ends = Callable[[regex.Match[str]], regex.Pattern[str]]


class Rule(NamedTuple):
    """A mark, and what stands for it."""

    pattern: regex.Pattern[str]
    said: Replace
    until: Ends | None = None  # all that follows is passed over, to this end
    takes_back: bool = False  # what stands before it is not said either
    first: str = ""  # the characters that it may begin with; empty: any


def _nothing(match: regex.Match[str]) -> str:
    return ""


def _inside(match: regex.Match[str]) -> str:
    return match[1]


def _say(pattern: str, said: Replace = _nothing) -> Rule:
    return Rule(regex.compile(pattern), said)


def _skip(pattern: str, until: Ends) -> Rule:
    return Rule(regex.compile(pattern, regex.I), _nothing, until)


def _at(first: str, *rules: Rule) -> tuple[Rule, ...]:
    """Rules that need to be tried at these characters only."""
    return tuple(rule._replace(first=first) for rule in rules)


def _row(match: regex.Match[str]) -> str:
    """A row of a table as a sentence; nothing of the line between head and body."""
    cells = [cell.strip() for cell in regex.split(r"(?<!\\)\|", match[1])]
    said = ", ".join(_of(cell) for cell in cells if regex.search(r"\w", cell))
    return (said if said.endswith((".", "!", "?")) else f"{said}.") + "\n" if said else ""


@cache
def _fence_end(mark: str, length: int) -> regex.Pattern[str]:
    """As long as its beginning, at least; what follows in the same line is text."""
    return regex.compile(rf"(?m)^[ \t]*{mark}{{{length},}}(?=[^\w{mark}])[ \t]*\n?")


def _entity(match: regex.Match[str]) -> str:
    character = html.unescape(match[0]).replace("\u00a0", " ")
    return "" if _UNSAID.fullmatch(character) else character


def _of(text: str) -> str:
    """Of a text within a mark: a link may be in bold, or an address."""
    return Plain().whole(text)


_AT_LINE_START = (
    _skip(r"[ \t]{0,8}(`{3,}|~{3,})[^\n`]*\n", lambda match: _fence_end(match[1][0], len(match[1]))),
    _say(r"[ \t]*\|([^\n]*)\n", _row),
    _say(r"[ \t]*(?:([-*_=])[ \t]*)(?:\1[ \t]*){2,}(?=\n)"),  # a line across
    _say(r"[ \t]*#{1,6}[ \t]+"),
    _say(r"[ \t]*(?:>[ \t]*)+(?=[^\s>])"),
    _say(r"[ \t]*[-*+•‣◦▪●\u2013][ \t]+(?:\[[ xX]\][ \t]+)?(?=[^\[\s]|\[[^ xX])"),
    _say(r"[ \t]*\[[^\]\n]{1,80}\]:[ \t]+[^\n]*\n"),  # where a link of the text above leads
)
_THOUGHTS = _at(
    "<[◁",
    _skip(_THOUGHT_OPENS, lambda match: THOUGHT_ENDS),
    Rule(THOUGHT_ENDS, _nothing, takes_back=True),
    _skip(_CHANNEL_OPENS, lambda match: _CHANNEL_ENDS),
    _say(_CHANNEL_ENDS.pattern),
    _skip(r"<\|channel>\s*(?!final)\w+", lambda match: _CHANNEL_CLOSES),
    _skip(_OTHERS_TURN, lambda match: _NEVER),
    _say(rf"(?:{_TURN})(?:assistant|model)\s*(?:<\|end_header_id\|>\s*)?"),
    _skip(r"\[INST\]", lambda match: _INSTRUCTION_ENDS),
    _skip(r"\[TOOL_CALLS\]", lambda match: _NEVER),
    _skip(rf"<\|python_tag\|>|<[|{_BAR}]tool[{_BLANK}_]calls[{_BLANK}_]begin[|{_BAR}]>", lambda match: _TOOL_ENDS),
    _skip(rf"<({_ELEMENT})(?:[\s=][^<>\n]*)?>", lambda match: _ELEMENT_ENDS[match[1].lower()]),
    _say(
        rf"<[|{_BAR}][\w{_BLANK} ]{{1,40}}[|{_BAR}]>|<\w{{1,40}}\|>|<\|\w{{1,40}}>"
    ),  # a control token that a server has let through
)
_ANYWHERE = (
    *_THOUGHTS,
    *_at(
        "<",
        _skip(r"<!--", lambda match: _COMMENT_ENDS),
        _say(r"<(?i:https?://|mailto:|sips?:)?([^<>\s]*[^<>\s/]@?[.@][^<>\s]+?)/?>", _inside),
        _say(r"<(?i:tel|sms|callto|sips?):(\+?[\d().-]{2,40})(?:[;?][^<>\s]*)?>", _inside),
        _say(r"<(?:br|hr|/(?:p|li|div|h[1-6]|tr|t[dh]|d[td]|summary|title|blockquote|pre))\s*/?>", lambda match: "\n"),
        _say(r"</?[A-Za-z][\w:-]{0,40}\s*/?>|<[A-Za-z][^<>\n=]{0,60}=[^<>\n]{0,160}>|<details open>"),
    ),
    *_at(
        "\\",
        _say(formulas.FRACTION, lambda match: f"{_of(match[1])}/{_of(match[2])}"),
        _say(formulas.ROOT, lambda match: f"\u221a{_of(match[1])}"),
        _say(formulas.UPRIGHT, lambda match: _of(match[1])),
        _say(formulas.COMMAND, formulas.command),
        _say(r"\\n(?=[^a-z])", lambda match: "\n"),  # escaped twice
        _say(r"\\(?=\n)"),
        _say(r"\\([\\`*_{}#+.!|~>$&<%-])", _inside),
    ),
    *_at(
        "![",
        _say(rf"!?\[((?:[^\[\]\n]|\[[^\[\]\n]*\]){{0,200}})\](?:{_TARGET}|\[[^\]\n]{{0,80}}\])", lambda m: _of(m[1])),
    ),
    _say(r"(?<=\S)\[\^?\d{1,3}\](?!\()"),  # a footnote
    *_at("【", _say(r"【[^】\n]{0,80}】")),  # a citation
    _say(rf"(?:https?://|(?=www\.))({_URL}{{1,800}}?)/?(?=[.,;:!?…)\]}}\"'\u201d\u2019*_]*(?!{_URL})[\s\S])", _inside),
    *_at("*", _say(r"(?<=\d)\*\*(?=\d)", lambda match: match[0])),  # 2**3
    *_at("*", _say(r"(?<![\d\s])\*+|(?<=\S)\*+(?=[\s.,;:!?)])|(?<!\d)\*+(?=[^\s*])|\*{2,}")),  # not 2 * 3
    *_at("_", _say(r"(?<![^\W_])_+(?=[^\s_])|(?<=\S)_+(?=\W)")),  # not snake_case
    *_at("~", _say(r"~~+")),
    _say(r"\\[()\[\]]|\$\$"),  # around a formula
    *_at("$", _say(formulas.INLINE, lambda match: _of(match[1]))),
    *_at("^", _say(formulas.SQUARE, formulas.square)),
    *_at("#", _say(r"(?<=[ \t])#{1,6}[ \t]*(?=\n)")),  # closes a heading
    *_at(":", _say(r"(?<!\S):(?:[a-z][a-z\d_]{1,30}|[+-]1):(?=\W)")),  # the name of an emoji
    _skip("\ue200", lambda match: _CITATION_ENDS),
    _say(_UNSEEN),
    *_at("`", _say(r"`+")),
    *_at("&", _say(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});", _entity)),
    _say(rf"{_EMOJI}(?:{_EMOJI_PARTS}|\u200D|{_EMOJI})*"),
    _say(_EMOJI_PARTS),
    _say(rf"(?<={_EMOJI}|{_EMOJI_PARTS})\u200D"),
    *_at(":;=", _say(r"(?<!\S)[:;=][-']?[)(DPp](?=\s)")),
    *_at("|", _say(r"(?<=\s)\|(?=\s)", lambda match: ",")),
)
_UNSAID = regex.compile(rf"{_EMOJI}|{_EMOJI_PARTS}|{_UNSEEN}|[\u200b\u200d]")
_MAY_BE_A_THOUGHT = regex.compile(r"[<\[◁]")
_MAY_BE_A_MARK = regex.compile(
    rf"[<\[◁`*_~\\$&【|^#\ue200]|{_UNSEEN}|(?<!\S)!(?=\[|\Z)|(?<![A-Za-z\d@/.:_-])(?:h(?=t|\Z)|w(?=w|\Z))|(?<!\S)[:;=]"
    rf"|{_EMOJI}|{_EMOJI_PARTS}|\u200D"
)


_MAY_BE_AN_ADDRESS = re.compile(r"(?<![A-Za-z\d])(?:h(?=t|\Z)|w(?=w|\Z))")
_ORDINARY_MARKS = frozenset(",.?")  # are no part of any mark, at their place


def is_word(token: str) -> bool:
    """Letters and figures, behind a blank or not, of a script with blanks: most tokens are, and they end nothing."""
    word = token[1:] if token[:1] == " " else token
    return word.isalnum() and (token.isascii() or max(token) < "\u0e00")


class Plain:
    """One answer. `feed` its pieces, get the plain text that is certain now; `end` gives what is left.

    `marks`: whether marks are taken out; else only thoughts are. `thinks_first`: the answer begins within a thought;
    nothing is said before its end, all of it if it has none.
    """

    def __init__(self, marks: bool = True, thinks_first: bool = False) -> None:
        self._special = _MAY_BE_A_MARK if marks else _MAY_BE_A_THOUGHT
        self._rules = _ANYWHERE if marks else _THOUGHTS
        self._line_rules = (*_AT_LINE_START, *_ANYWHERE) if marks else _THOUGHTS
        self._text = ""  # not taken yet, behind the last character that was: patterns look back at it
        self._at = 0  # where what is not taken begins: 0 or 1
        self._until: regex.Pattern[str] | None = THOUGHT_ENDS if thinks_first else None
        self._keeps = self._thinks_first = thinks_first
        self._within = 0  # so many thoughts within the one that is passed over
        self._searched = 0  # up to here, for the end of what is passed over
        self._drops = False  # what was taken so far was a thought
        self.thought_first = False  # the end of a thought came whose beginning did not
        self.took_back = False  # all that was given before `feed`'s last answer was a thought

    def feed(self, piece: str) -> str:
        """The plain text that is certain now."""
        self.took_back, said = False, ""
        if self._is_ordinary(piece):
            self._text, self._at = piece[-1], 1
            return piece
        for at in range(0, len(piece), MAX_HELD):  # not a whole answer at once: what is searched must not grow
            self._text += piece[at : at + MAX_HELD]
            said = self._take(said, last=False)
        return said

    def _is_ordinary(self, piece: str) -> bool:
        """Nothing waits, and this neither is nor begins a mark: most pieces are a word."""
        if self._until is not None or len(self._text) != self._at:
            return False
        begins_line = self._text in ("", "\n")
        if piece in _ORDINARY_MARKS:
            return not begins_line
        return is_word(piece) and not (begins_line and piece[0] == " ") and not _MAY_BE_AN_ADDRESS.search(piece)

    def end(self) -> str:
        """The rest, when no more will come."""
        self.took_back = False
        self._text += "\n"  # ends each mark that ends with its line
        said = self._take("", last=True)
        if self._until is not None and self._keeps:
            self._until = None
            said = self._take("", last=True)
        return said.removesuffix("\n")

    def whole(self, text: str) -> str:
        """The plain text of a text that is complete."""
        return self.feed(text) + self.end()

    def _take(self, before: str, last: bool) -> str:
        said = [before]
        while self._at < len(self._text):
            step = self._step(last) if self._until is None else self._pass_over(self._until)
            if step is None:
                break
            said.append(step)
            if self._drops:
                said, self._drops, self.took_back, self.thought_first = [], False, True, True
        self._forget()
        return "".join(said)

    def _step(self, last: bool) -> str | None:
        """The plain text of the next mark, or of the stretch before it; None: it needs to be longer."""
        text, at = self._text, self._at
        if at == 0 or text[at - 1] == "\n":
            return self._mark(self._line_rules, last)
        found = self._special.search(text, at)
        end = found.start() if found else len(text)
        if line_ends := text.find("\n", at, end) + 1:
            end = line_ends
        if end == at:
            return self._mark(self._rules, last)
        self._at = end
        return text[at:end]

    def _mark(self, rules: tuple[Rule, ...], last: bool) -> str | None:
        text, at = self._text, self._at
        character = text[at]
        may_grow = not last and len(text) - at <= MAX_HELD
        for rule in rules:
            if rule.first and character not in rule.first:
                continue
            match = rule.pattern.match(text, at, partial=may_grow)
            if match is None or match.end() == at:
                continue
            if match.partial:
                return None
            self._at = match.end()
            if rule.until is not None:
                self._until, self._keeps, self._searched = rule.until(match), False, self._at
            self._drops = rule.takes_back
            return rule.said(match)
        self._at += 1
        return character

    def _pass_over(self, until: regex.Pattern[str]) -> str | None:
        """To the end of what is not said; None: it is not there yet."""
        from_ = max(self._at, self._searched - MAX_END)
        found = self._thought_end(from_) if until is THOUGHT_ENDS else until.search(self._text, from_)
        if found is None:
            self._searched = len(self._text)
            if not self._keeps:
                self._at = max(self._at, self._searched - MAX_END)
            return None
        self._at, self._until = found.end(), None
        self.thought_first = self.thought_first or self._thinks_first
        return ""

    def _thought_end(self, from_: int) -> regex.Match[str] | None:
        """The end of the outer one. What follows the end of an inner one is kept: the outer one may not have any."""
        for mark in _IN_THOUGHT.finditer(self._text, from_):
            if mark["ends"] and not self._within:
                return mark
            if mark["ends"] or not self._thinks_first or self._within:
                self._within += -1 if mark["ends"] else 1
                self._keeps, self._at = bool(mark["ends"]), mark.end()
        return None

    def _forget(self) -> None:
        """What was taken, but for its last character."""
        if (taken := self._at - 1) > 0:
            self._text, self._at = self._text[taken:], 1
            self._searched = max(0, self._searched - taken)
