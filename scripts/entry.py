"""Where the `callboard` command begins: whoever interrupts it while the rest is imported sees no traceback."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

_INTERRUPTED = 130


def main() -> int:
    """As `scripts.callboard.main`, and interrupted before that has begun, or when it has ended: exit code 130."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # in the background of a shell it is ignored
        signal.signal(signal.SIGINT, _leave)
    from scripts.callboard import main as run

    signal.signal(signal.SIGINT, usual)
    try:
        return run()
    finally:
        if usual is signal.default_int_handler:
            signal.signal(signal.SIGINT, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    """Not by an exception: an import that is half done makes another one of it."""
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
