"""Four brownouts of real servers: they cost the caller no word."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.caller.telephone import Telephone
from tests.fakes.reader import Reader
from tests.fakes.voice import voice

SCRIPT = Path(__file__).parents[2] / "scripts" / "brownout"


def brownout(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=150)


def test_brownouts_of_two_seconds_cost_no_word() -> None:
    done = brownout("--quick", "--json")
    assert done.stdout and done.stderr == "", done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 4
    assert {each["ended"] for each in found} == {"caller_hung_up"}
    assert [each["lost"] for each in found] == [0] * 4, found
    assert done.returncode == 0
    cut_off = next(each for each in found if each["provider"] == "cartesia")
    assert 1.0 < cut_off["silence_s"] < 6.0  # there was an outage, and it ended


@pytest.mark.parametrize("wrong", [("--seconds", "0"), ("--seconds", "x"), ("--at-once", "0"), ("--trouble", "rain")])
def test_wrong_numbers_are_named(wrong: tuple[str, ...]) -> None:
    done = brownout(*wrong)
    assert done.returncode == 2 and wrong[0] in done.stderr and done.stdout == ""


def test_a_reader_finds_the_words_of_a_sentence_and_no_others() -> None:
    sentence, other = voice(1500), voice(1500, pitch_hz=210.0)
    read, line = Reader("one two three four five", sentence), Telephone()
    frames = [sentence[at : at + 320].ljust(320, b"\0") for at in range(0, len(sentence), 320)]
    carried = b"".join(line.carry(frame) for frame in frames)
    assert read(bytes(3200) + carried) == ["one", "two", "three", "four", "five"]
    assert read(carried[: len(carried) // 2]) == ["one", "two"]
    assert read(other) == read(bytes(16000)) == []
