"""The vendors' own clients judge our fakes, and our requests. They run only when this folder is named:
`scripts/test --referees`. Their packages are heavy, and no part of the product."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if any("referees" in str(argument) for argument in config.args) else True
