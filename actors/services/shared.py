"""What the calls of one worker share."""

from __future__ import annotations

from dataclasses import dataclass, field

from thespian.actors import ActorAddress

from actors.media.clock import MediaClock
from actors.providers.registry import Registry
from actors.services.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Services:
    """Given to every call when it starts."""

    registry: Registry
    clock: MediaClock
    ledger: ActorAddress
    metrics: Metrics = field(default_factory=Metrics)
