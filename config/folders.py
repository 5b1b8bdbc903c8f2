"""Folders as people write them."""

from __future__ import annotations

from pathlib import Path

from config.errors import ConfigError


class NoHome(ConfigError, ValueError):  # the latter for pydantic
    """A name begins with ~, and nobody knows which folder that is."""


def expanded(folder: str | Path) -> Path:
    """`folder` with the home folder in place of ~. Raises `NoHome`: HOME is not set, or there is no such user."""
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        raise NoHome(f"{str(folder)!r}: whose home is that? set HOME, or name a folder (DATA_DIR)") from None
