"""What the loop base refuses."""

from __future__ import annotations

from config.errors import CallboardError


class WouldBlock(CallboardError):
    """A blocking call (`ask`, `listen`, `shutdown`) on the thread that runs the actors: nobody could answer it."""

    code = "would_block"


class WrongThread(CallboardError):
    """Something that only works on the loop's own thread was called on another one."""

    code = "wrong_thread"
