"""Providers that harm the worker which they run in: they block its loop, or take its memory."""

from __future__ import annotations

import time

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
