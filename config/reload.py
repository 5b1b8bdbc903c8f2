"""Which options a running node takes anew (SIGHUP), and which need a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.options import Option, options
from config.settings import Settings

# Whole groups (PREFIX__) and single options. Calls that run keep what they began with.
_RELOADED = (
    *("LIMITS__", "TWILIO__", "LOG_LEVEL", "LOG_FORMAT", "AUTH__MODE", "PUBLIC_ASSISTANT_HOST", "CONTEXT_TTL_S"),
    *("HTTP__HOST_NAMES", "AUDIOSOCKET__FIRST_FRAME_S", "AUDIOSOCKET__MAX_CONNECTIONS_PER_PEER"),
    *("AUDIOSOCKET__SILENT_S", "BROWSER__"),
    *("NODE__DRAIN_S", "NODE__ORPHAN_S", "NODE__WORKER_MEMORY_MB"),
)


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The settings from now on, and for people what has changed in them and what has not: a line for each option."""

    settings: Settings
    taken: tuple[str, ...]
    refused: tuple[str, ...]


def is_reloaded(option: Option) -> bool:
    """Whether a running node takes a new value of it."""
    return any(option.name == name or (name.endswith("__") and option.name.startswith(name)) for name in _RELOADED)


def change(running: Settings, before: Settings, after: Settings) -> Reloaded:
    """What becomes of `running`, which came from `before` (a port 0 became a real one), where `after` is wanted."""
    changed = [o for o in options(Settings) if o.value_in(before) != o.value_in(after)]
    taken = [option for option in changed if is_reloaded(option)]
    values: dict[str, Any] = {}
    for option in taken:
        if len(option.path) == 1:
            values[option.path[0]] = option.value_in(after)
        else:
            group = values.get(option.path[0], getattr(running, option.path[0]))
            values[option.path[0]] = group.model_copy(update={option.path[1]: option.value_in(after)})
    return Reloaded(
        running.model_copy(update=values),
        tuple(
            f"{o.name} = {o.shown(o.value_in(after))!r:.200}, was {o.shown(o.value_in(before))!r:.200}" for o in taken
        ),
        tuple(f"{o.name} needs a restart" for o in changed if not is_reloaded(o)),
    )
