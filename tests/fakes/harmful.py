"""Providers that harm the worker which they run in: they block its loop, or take its memory.

Imported with HARMFUL_FORK in the environment they harm every process of the node: while the file that it names is
there, no process can be forked (RLIMIT_NPROC, which would do the same, does not hold for root).
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from actors.providers.spec import Options, ProviderSpec, Question
from tests.fakes.steady import SteadyLlm

BLOCKED_S = 30.0
HOARD_BYTES = 400 * 1024 * 1024

_hoard: list[bytes] = []


class BlockingLlm(SteadyLlm):
    """Does not give the loop back."""

    def ask(self, question: Question) -> None:
        time.sleep(BLOCKED_S)


class HoardingLlm(SteadyLlm):
    """Never gives its memory back."""

    def ask(self, question: Question) -> None:
        _hoard.append(b"\1" * HOARD_BYTES)
        super().ask(question)


SPECS = tuple(
    ProviderSpec(name=name, kind="llm", summary="harmful", options=Options, session=f"{__name__}:{session}")
    for name, session in (("blocking", "BlockingLlm"), ("hoarding", "HoardingLlm"))
)


def _forbid_forks(while_there: Path) -> None:
    fork = os.fork

    def refused() -> int:
        if while_there.exists():
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()

    os.fork = refused


if FORK := os.environ.get("HARMFUL_FORK"):
    _forbid_forks(Path(FORK))
