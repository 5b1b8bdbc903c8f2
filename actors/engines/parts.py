"""Are the parts of the embedded voice installed? For `callboard check`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple


class Part(NamedTuple):
    """One part, and what to do if it is not there."""

    name: str
    ok: bool
    hint: str


PARTS = {"pocketsphinx": "hears", "espeakng_loader": "speaks"}


def check_voice_parts() -> list[Part]:
    """What the embedded voice needs, without loading any of it; `hint` is empty where all is well."""
    return [_package(module, purpose) for module, purpose in PARTS.items()] + [_model(), _voices()]


def _package(module: str, purpose: str) -> Part:
    name = module.replace("_", "-")
    found = importlib.util.find_spec(module) is not None
    return Part(name, found, "" if found else f"{purpose}: pip install {name}")


def _model() -> Part:
    return _file("acoustic model", "pocketsphinx", "model/en-us/en-us/mdef", "pocketsphinx")


def _voices() -> Part:
    return _file("espeak-ng data", "espeakng_loader", "espeak-ng-data/phontab", "espeakng-loader")


def _file(name: str, module: str, path: str, package: str) -> Part:
    spec = importlib.util.find_spec(module)
    folder = Path(spec.origin).parent if spec and spec.origin else None
    found = folder is not None and (folder / path).is_file()
    return Part(name, found, "" if found else f"pip install --force-reinstall {package}")
