"""What the calls of one worker share."""

from __future__ import annotations

from dataclasses import dataclass, field

from thespian.actors import ActorAddress

from actors.media.clock import MediaClock
from actors.providers.registry import Registry
from actors.services.breaker import Breakers
from actors.services.budget import Budget
from actors.services.metrics import Metrics
from actors.services.pace import WorkClock
from actors.services.patience import Patience
from config.settings import LimitSettings

REPLACEMENTS_PER_SECOND = 50.0  # a new cloud session costs up to 4 ms of CPU: a fifth of a core at the most


@dataclass(frozen=True, slots=True)
class Services:
    """Given to every call when it starts.

    `work` is the clock of deadlines, `patience` knows how long each provider may take, and whoever replaces a member
    asks `replacements` how long to wait with it and `breakers` which provider to use.
    """

    registry: Registry
    clock: MediaClock
    ledger: ActorAddress
    metrics: Metrics = field(default_factory=Metrics)
    limits: LimitSettings = field(default_factory=LimitSettings)
    work: WorkClock = field(default_factory=WorkClock)
    patience: Patience = field(default_factory=Patience)
    replacements: Budget = field(default_factory=lambda: Budget(REPLACEMENTS_PER_SECOND))
    breakers: Breakers = field(default_factory=Breakers)
