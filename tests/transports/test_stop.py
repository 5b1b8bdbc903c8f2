"""A worker that ends while its database hangs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from config.settings import load_settings
from transports.worker import CLOSE_S, Worker

HANGS_S = 2 * CLOSE_S


async def test_a_statement_that_hangs_stops_neither_the_loop_nor_the_end(tmp_path: Path) -> None:
    environ = {"DATA_DIR": str(tmp_path), "HTTP__PORT": "0", "AUDIOSOCKET__PORT": "0", "OPERATOR__PORT": "0"}
    worker = Worker(load_settings(environ))
    await worker.start()
    worker.database.submit(time.sleep, HANGS_S)
    loop = asyncio.get_running_loop()
    begun_s = last_s = loop.time()
    longest_s = 0.0
    stopping = asyncio.create_task(worker.stop())
    while not stopping.done():
        await asyncio.sleep(0.01)
        now_s = loop.time()
        longest_s, last_s = max(longest_s, now_s - last_s), now_s
    await stopping
    assert last_s - begun_s < HANGS_S
    assert longest_s < CLOSE_S / 2  # the watchdog of its process would take it for hung
