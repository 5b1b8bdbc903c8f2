"""Sentences that were spoken ahead, in voices that are better understood than any that a newcomer's machine has: what
simulated callers say.

A folder of them holds one file of 8 kHz mu-law for each sentence and voice (`what-are-your-opening-hours.af_heart.ul`),
`sentences.yaml`, which says what is to be spoken, and `manifest.json`, which says what was. `scripts/render-sentences`
writes the files; the voices and their licences are in NOTICE.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from actors.media import g711
from actors.providers.grammar import normalise
from config.errors import ConfigError

SHIPPED = Path(__file__).parent
MANIFEST, SENTENCES = "manifest.json", "sentences.yaml"
_SLUG_CHARS = 60


class NotRecorded(ConfigError):
    """Nobody has spoken this sentence ahead."""

    code = "not_recorded"


@dataclass(frozen=True, slots=True)
class Recording:
    """One spoken sentence; `sha256` is that of the file."""

    file: str
    text: str
    voice: str
    sha256: str


def file_name(text: str, voice: str) -> str:
    """The same for what sounds the same: upper case and punctuation make no difference. Long ones end in a hash."""
    words = normalise(text)
    slug = "-".join(words.replace("'", "").split())
    if len(slug) > _SLUG_CHARS:
        digest = hashlib.sha256(words.encode()).hexdigest()[:8]
        slug = f"{slug[:_SLUG_CHARS].rstrip('-')}-{digest}"
    return f"{slug}.{voice}.ul"


class Recordings:
    """What is recorded in some folders; of a sentence that stands in several the first one's counts."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._known: dict[tuple[str, str], tuple[Path, Recording]] = {}
        for folder in folders:
            for recording in read_manifest(folder):
                self._known.setdefault((normalise(recording.text), recording.voice), (folder, recording))

    def __iter__(self) -> Iterator[tuple[Path, Recording]]:
        return iter(self._known.values())

    def voices(self, texts: Sequence[str]) -> list[str]:
        """Those in which all of these sentences are recorded, in the order of the first one's recordings."""
        wanted = {normalise(text) for text in texts}
        voices = dict.fromkeys(voice for _, voice in self._known)
        return [voice for voice in voices if all((text, voice) in self._known for text in wanted)]

    def pcm(self, text: str, voice: str = "") -> bytes:
        """PCM s16le at 8 kHz, almost without silence around it. Raises `NotRecorded`."""
        voices = [voice] if voice else self.voices([text])
        found = self._known.get((normalise(text), voices[0])) if voices else None
        if found is None:
            spoken_by = f" in the voice {voice}" if voice else ""
            named = " or ".join(str(folder / SENTENCES) for folder in self._folders)
            raise NotRecorded(
                f"nobody has recorded {text!r:.200}{spoken_by}: add it to {named}, and run scripts/render-sentences"
            )
        folder, recording = found
        return g711.decode((folder / recording.file).read_bytes())


def read_manifest(folder: Path) -> list[Recording]:
    """What was spoken."""
    path = folder / MANIFEST
    return [Recording(**entry) for entry in json.loads(path.read_text())] if path.exists() else []


def write_manifest(folder: Path, recordings: Sequence[Recording]) -> None:
    """One line for each, sorted by file."""
    lines = [json.dumps(asdict(each)) for each in sorted(recordings, key=lambda each: each.file)]
    (folder / MANIFEST).write_text("[\n" + ",\n".join(lines) + "\n]\n")


@cache
def shipped() -> Recordings:
    """Those that Callboard comes with."""
    return Recordings(SHIPPED)
