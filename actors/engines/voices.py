"""Which voices espeak-ng has, for whoever checks an assistant's file.

The library is asked itself (it takes names, languages and combinations in ways of its own), and in a process of its
own, as everywhere: see `actors.engines.voice`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from actors.engines.child import WorkFailed
from actors.engines.process import ROOT
from actors.errors import ProviderError

ANSWER_S = 60.0  # it takes 0.2 s; a machine that is busy is not a broken one


class FoundVoice(NamedTuple):
    """What became of a voice's name; `legal` are languages, or variants where only the variant is missing."""

    is_there: bool
    variant_is_missing: bool
    legal: list[str]


@cache
def find_voice(name: str) -> FoundVoice:
    """Blocks. Raises `ProviderError` where espeak-ng is not installed, or does not answer."""
    command = [sys.executable, "-m", "actors.engines.voices", name]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=ANSWER_S, check=True)
        answer = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ProviderError("embedded", f"espeak-ng does not answer ({type(error).__name__})") from error
    if "failed" in answer:
        raise ProviderError("embedded", answer["failed"])
    return FoundVoice(**answer)


def _answer(name: str) -> dict[str, object]:
    """In the child."""
    from actors.engines.voice import Espeak

    try:
        engine = Espeak()
    except WorkFailed as error:
        return {"failed": error.detail}
    if not engine.has(name):
        return FoundVoice(False, False, engine.languages())._asdict()
    variant = name.partition("+")[2]
    variants = _variants()
    return FoundVoice(True, variant.lower() not in {"", *map(str.lower, variants)}, variants)._asdict()


def _variants() -> list[str]:
    import espeakng_loader

    return sorted(path.name for path in (Path(espeakng_loader.get_data_path()) / "voices" / "!v").iterdir())


if __name__ == "__main__":
    print(json.dumps(_answer(sys.argv[1])))
