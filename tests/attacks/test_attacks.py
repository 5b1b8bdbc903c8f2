"""Whatever one peer sends, the calls beside it are never without audio for more than 60 ms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.attacks.attacker import ATTACKS
from tests.attacks.conftest import Scene

ATTACK_S = 0.8
MOST_S = 0.060
TRIES = 4  # what an attack does it does again, what a busy machine does it may not
GROUPS = ("rtvi", "twilio", "audiosocket", "http", "")  # the rest: frames of WebSocket, and handshakes


def group(name: str) -> str:
    return next(start for start in GROUPS if name.startswith(start))


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.parametrize("of", GROUPS, ids=lambda name: name or "websocket")
async def test_the_other_calls_do_not_notice(scene: Scene, of: str) -> None:
    gaps: dict[str, float] = {}
    deeds: dict[str, Any] = {}
    before_mb = resident_mb(scene.worker)
    for name in ATTACKS:
        if group(name) == of:
            for _ in range(TRIES):
                gap_s, deeds[name] = await scene.attack(name, ATTACK_S)
                gaps[name] = round(min(gap_s, gaps.get(name, gap_s)), 3)
                if gap_s <= MOST_S:
                    break
    print(gaps, deeds)
    assert all(gap_s <= MOST_S for gap_s in gaps.values()), gaps
    assert all(deed["connected"] for deed in deeds.values()), deeds
    assert await scene.node.pids() == [scene.worker] and "Traceback" not in scene.node.log
    assert resident_mb(scene.worker) < before_mb + 300
