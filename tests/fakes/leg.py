"""The owner of a leg, as the tests need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FakeOwner:
    """Implements `LegEvents`: audio goes to `heard`, the rest to `told` as (name, value); `on[name]` is called then."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.heard: list[tuple[bytes, float, float]] = []
        self.on: dict[str, Callable[[], Any]] = {}

    def on_heard(self, payload: bytes, start_ms: float, end_ms: float) -> None:
        self.heard.append((payload, start_ms, end_ms))
        self.on.get("heard", lambda: None)()

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if not name.startswith("on_"):
            raise AttributeError(name)

        def tell(value: Any) -> None:
            self.told.append((name[3:], value))
            self.on.get(name[3:], lambda: None)()

        return tell
