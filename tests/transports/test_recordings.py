"""Sentences that were spoken ahead: what is named is there, is what it says it is, and is found however it is put."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from actors.media.audio import PCM_8K
from scripts.assistant_file import read_assistant
from scripts.caller.sentences import recorded_sentences, trim
from scripts.commands import demo
from scripts.studio import FOLDERS, render, wanted
from tests.fakes.recorded import recordings
from transports import page
from transports.recordings import NotRecorded, Recording, Recordings, file_name, read_manifest, shipped

folders = pytest.mark.parametrize("folder", FOLDERS, ids=str)
MOST_BYTES = 8_000_000  # of all files: a clone should stay quick


@folders
def test_what_a_folder_names_is_there_and_nothing_else(folder: Path) -> None:
    entries = {entry.file: entry for entry in read_manifest(folder)}
    assert {file_name(text, voice) for text, voice in wanted(folder)} == set(entries)
    assert {path.name for path in folder.glob("*.ul")} == set(entries)
    for entry in entries.values():
        assert entry.file == file_name(entry.text, entry.voice)
        assert hashlib.sha256((folder / entry.file).read_bytes()).hexdigest() == entry.sha256, entry.file


def test_each_sounds_like_speech_at_the_usual_level_and_begins_at_once() -> None:
    for _, entry in recordings():
        pcm = recordings().pcm(entry.text, entry.voice)
        ms = PCM_8K.duration_ms(len(pcm))
        assert 200 <= ms <= 15_000, entry.file
        assert ms - PCM_8K.duration_ms(len(trim(pcm))) <= 600, entry.file
        loudness = 20 * np.log10(np.sqrt(np.mean(np.frombuffer(trim(pcm), "<i2").astype(float) ** 2)) / 32768)
        assert -35 < loudness < -18, (entry.file, loudness)


def test_all_of_them_stay_small() -> None:
    assert sum(path.stat().st_size for folder in FOLDERS for path in folder.glob("*.ul")) < MOST_BYTES


def test_the_demo_says_what_is_shipped() -> None:
    texts = read_assistant(demo.ASSISTANT).sample_call
    assert texts and shipped().voices(texts)  # one person says all of it
    assert [sentence.text for sentence in recorded_sentences(texts)] == list(texts)


def test_what_the_demo_tells_to_try_is_shipped() -> None:
    said = re.findall(r"--say '([^']+)'|--say (\w+)", Path(demo.__file__).read_text())
    assert len(said) == 3 and shipped().voices([one or other for one, other in said])


def test_what_the_page_says_to_anybody_is_shipped() -> None:
    assert shipped().voices(page.ANYBODY)


def test_case_and_punctuation_make_no_difference() -> None:
    assert shipped().pcm("What are your opening hours?") == shipped().pcm("what are YOUR opening hours")


@pytest.mark.parametrize(("text", "voice"), [("nobody ever said this", ""), ("yes please", "nobody")])
def test_what_is_not_there_is_named_with_the_way_to_get_it(text: str, voice: str) -> None:
    with pytest.raises(NotRecorded, match=rf"'{text}'.*sentences\.yaml.*run scripts/render-sentences"):
        shipped().pcm(text, voice)


def test_names_are_the_same_for_the_same_words_and_differ_for_others() -> None:
    assert file_name("I'm fine, thanks!", "slt") == "im-fine-thanks.slt.ul" == file_name("i'm fine thanks", "slt")
    long = "this sentence goes on and on until its name would be too long for a file of which one can see the end"
    one, other = file_name(long, "slt"), file_name(f"{long} at last", "slt")
    assert one != other and one[:60] == other[:60] and len(one) < 80


def test_new_ones_are_spoken_known_ones_kept_and_unnamed_ones_deleted(tmp_path: Path) -> None:
    spoken: list[tuple[str, str]] = []

    def speak(text: str, voice: str) -> bytes:
        spoken.append((text, voice))
        return np.full(800, 1000 * len(spoken), "<i2").tobytes()

    def name(**sentences: list[str]) -> None:
        (tmp_path / "sentences.yaml").write_text(yaml.safe_dump(sentences))
        render(tmp_path, speak, say=lambda line: None)

    name(slt=["One.", "Two."], awb=["One."])
    first = Recordings(tmp_path).pcm("one", "slt")
    name(slt=["One.", "Three."])
    assert spoken == [("One.", "awb"), ("One.", "slt"), ("Two.", "slt"), ("Three.", "slt")]
    assert Recordings(tmp_path).pcm("one") == first
    assert sorted(path.name for path in tmp_path.glob("*.ul")) == ["one.slt.ul", "three.slt.ul"]
    assert all(isinstance(entry, Recording) for entry in read_manifest(tmp_path))
    assert Recordings(tmp_path).voices(["one", "three"]) == ["slt"] and not Recordings(tmp_path).voices(["two"])
