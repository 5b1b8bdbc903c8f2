"""Engine processes: shared, replaced when they die or hang, gone when nobody needs them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from actors.engines import pool as pools
from actors.engines import process as processes
from actors.engines.health import sample
from actors.engines.pool import EnginePool, close_engines, engine_pool, warm_engines
from actors.engines.process import ROOT
from actors.engines.voice_client import speech_opening, synthesize
from actors.errors import EngineNotStarted, ProviderError, Remedy
from actors.media.audio import PCM_8K
from store.errors import NoThreads


@pytest.fixture(autouse=True)
async def engines() -> AsyncIterator[None]:
    yield
    await close_engines()


class Listener:
    """Hears a channel until it is done or failed."""

    def __init__(self) -> None:
        self.audio = bytearray()
        self.error: ProviderError | None = None
        self.ended = asyncio.Event()

    def on_audio(self, payload: bytes) -> None:
        self.audio += payload

    def on_event(self, event: dict[str, Any]) -> None:
        if "done" in event:
            self.ended.set()

    def on_failed(self, error: ProviderError) -> None:
        self.error = error
        self.ended.set()


def opening(text: str) -> dict[str, Any]:
    return speech_opening(text, "en-us", 165, 50, PCM_8K)


async def until(holds: Callable[[], bool]) -> None:
    """No event tells a stranger that a process has come or gone: look often."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def state(pid: int) -> str:
    seen = sample(pid)
    return seen.state if seen else "gone"


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_engines_are_shared_and_end_with_close() -> None:
    warm_engines()
    await until(lambda: len(engine_pool("voice").pids + engine_pool("recognizer").pids) == 2)
    pids = engine_pool("voice").pids + engine_pool("recognizer").pids
    await asyncio.gather(*(synthesize(f"number {n}") for n in range(5)))
    assert engine_pool("voice").pids == pids[:1]
    await close_engines()
    assert not any(exists(pid) for pid in pids)


async def test_a_killed_engine_fails_its_channels_and_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    listeners = [Listener(), Listener()]
    for listener in listeners:
        engine_pool("voice").open(listener, opening("one two three " * 300))
    await until(lambda: bool(engine_pool("voice").pids))
    (pid,) = engine_pool("voice").pids
    os.kill(pid, signal.SIGKILL)
    for listener in listeners:
        await listener.ended.wait()
        assert listener.error is not None and listener.error.remedy is Remedy.RETRY
    await until(lambda: not exists(pid))
    assert [record.getMessage() for record in caplog.records] == [f"engine voice (pid {pid}) died, status -9"]
    assert await synthesize("here again")
    assert engine_pool("voice").pids != (pid,)


async def test_a_stopped_engine_is_passed_over_at_once_and_given_up() -> None:
    """Its work fails within the looks, long before anybody's deadline; new work does not even try it."""
    pool = engine_pool("voice")
    held = Listener()
    pool.open(held, opening("one two three " * 300))
    await until(lambda: bool(held.audio))
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: state(pid) == "T")
    stopped_at = time.monotonic()
    await held.ended.wait()
    assert time.monotonic() - stopped_at < 1.0, "two looks, on a machine that is busy with other tests"
    assert held.error is not None and held.error.detail == "the voice process is stopped"
    assert await synthesize("here again")
    assert pid not in pool.pids
    await until(lambda: not exists(pid))


async def test_new_work_goes_round_a_stopped_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOOK_S", 30.0)  # nobody looks by the clock
    pool = engine_pool("voice")
    await synthesize("up and running")
    (pid,) = pool.pids
    process = pool._processes[0]
    process._pinged_at = 0.0  # a question is out, as at most times of a busy engine
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: state(pid) == "T")
    assert await synthesize("another one speaks")
    assert pid not in pool.pids


async def test_a_spare_waits_for_the_first_ones_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "SPARE_AFTER_S", 0.0)
    pool = engine_pool("voice")
    held = Listener()
    pool.open(held, opening("one two three " * 300))
    await until(lambda: len(pool._processes) == 2 and all(process.pid for process in pool._processes))
    working, spare = pool._processes
    assert pool.pids == (working.pid,)
    os.kill(working.pid, signal.SIGKILL)
    await held.ended.wait()
    assert await synthesize("here at once")
    assert pool.pids == (spare.pid,)


async def test_what_cannot_live_is_not_started_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "SPARE_AFTER_S", 0.0)
    pool = EnginePool("no_such_engine", size=1)
    listener = Listener()
    pool.open(listener, {})
    await listener.ended.wait()
    started = len(pool._processes)
    await until(lambda: not any(process.alive for process in pool._processes))
    await asyncio.gather(*(process.gone for process in pool._processes))
    assert len(pool._processes) == started <= 2, "the one, and its spare"
    pool.stop()


async def test_an_engine_that_cannot_be_forked_has_not_died_of_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two deaths of the same work, and it would be dropped: the greeting, for want of a process."""

    def fork(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", fork)
    for _ in range(20):
        listener = Listener()
        engine_pool("voice").open(listener, opening("one"))
        await listener.ended.wait()
        assert isinstance(listener.error, EngineNotStarted) and "cannot be started" in str(listener.error)


async def test_an_engine_that_dies_as_it_starts_has_not_died_of_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory for its libraries."""
    usual = subprocess.Popen

    def starve(command: list[str], **more: Any) -> subprocess.Popen[bytes]:
        return usual([sys.executable, "-c", "raise MemoryError"], **more)

    monkeypatch.setattr(subprocess, "Popen", starve)
    listener = Listener()
    engine_pool("voice").open(listener, opening("one"))
    await listener.ended.wait()
    assert isinstance(listener.error, EngineNotStarted)


async def test_where_no_further_engine_can_be_started_the_one_that_runs_is_shared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "COMFORTABLE_CHANNELS", 1)
    monkeypatch.setattr(pools, "SPARE_AFTER_S", 3600.0)
    pool = EnginePool("voice", size=2)
    pool.open(Listener(), opening("one two three " * 300))
    await until(lambda: bool(pool.pids))

    def fork(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", fork)
        first, again = Listener(), Listener()
        pool.open(first, opening("two"))
        await first.ended.wait()
        assert isinstance(first.error, EngineNotStarted)
        pool.open(again, opening("two"))
        await again.ended.wait()
        assert again.error is None and again.audio
    pool.stop()
    await pool.gone()


async def test_without_a_thread_to_start_it_an_engine_fails_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(NoThreads, match="a limit on processes, or memory"):
            processes.open_starter()
        listener = Listener()
        engine_pool("voice").open(listener, opening("one"))
        await listener.ended.wait()
    assert listener.error is not None and "cannot be started: can't start new thread" in str(listener.error)
    listener = Listener()
    engine_pool("voice").open(listener, opening("one"))
    await listener.ended.wait()
    assert listener.error is None and listener.audio


async def test_an_engines_death_does_not_hold_up_the_loop() -> None:
    """The kill, and the telling of the channels; nobody waits for the process."""
    pool = engine_pool("voice")
    listeners = [Listener() for _ in range(10)]
    for listener in listeners:
        pool.open(listener, opening("one two three " * 300))
    await until(lambda: bool(listeners[0].audio))
    (process,) = (process for process in pool._processes if not process.spare)
    began = time.thread_time()
    wall = time.perf_counter()
    process._end("was tried")
    assert time.thread_time() - began < 0.002 or time.perf_counter() - wall < 0.002
    assert all(listener.error for listener in listeners)
    assert not process.gone.done()
    await process.gone


async def test_an_engine_that_does_not_read_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MAX_UNSENT_BYTES", 100_000)
    monkeypatch.setattr(processes, "LOOK_S", 30.0)
    await synthesize("up and running")
    listener = Listener()
    channel = engine_pool("voice").open(listener, opening("hello"))
    os.kill(engine_pool("voice").pids[0], signal.SIGSTOP)
    for _ in range(200):
        channel.send_audio(bytes(8000))
    await listener.ended.wait()
    assert listener.error is not None and "does not read" in listener.error.detail


async def test_what_the_socket_does_not_take_at_once_arrives_later() -> None:
    listener = Listener()
    pool = engine_pool("voice")
    channels = [pool.open(listener, opening("x" * 9000)) for _ in range(100)]  # more than a socket holds
    for channel in channels:
        channel.close()
    last = Listener()
    pool.open(last, opening("hello"))
    await last.ended.wait()
    assert last.error is None and last.audio


async def test_a_long_text_does_not_keep_others_waiting() -> None:
    long, short = Listener(), Listener()
    engine_pool("voice").open(long, opening("one two three four five. " * 300))
    engine_pool("voice").open(short, opening("hello"))
    await short.ended.wait()
    assert not long.ended.is_set()


async def test_an_engine_with_its_hands_full_says_so() -> None:
    pool = engine_pool("voice")
    first = Listener()
    pool.open(first, opening("one"))
    assert pool.busy and pool.lag_s == 0.0, "it has to start"
    await first.ended.wait()
    assert pool.lag_s < 5.0
    others = [Listener() for _ in range(40)]
    channels = [pool.open(listener, opening("word " * 2000)) for listener in others]
    async with asyncio.timeout(20):
        await until(lambda: pool.busy)
    assert pool.lag_s > 0.0, "those that it has not begun wait already"
    for channel in channels:
        channel.close()
    async with asyncio.timeout(20):
        await until(lambda: not pool.busy)


async def test_a_closed_channel_is_silent_and_spares_the_engine() -> None:
    listener, other = Listener(), Listener()
    channel = engine_pool("voice").open(listener, opening("one two three four five. " * 300))
    channel.close()
    channel.close()
    engine_pool("voice").open(other, opening("hello"))
    await other.ended.wait()
    assert listener.audio == b"" and not listener.ended.is_set()


async def test_work_goes_to_the_least_loaded_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "COMFORTABLE_CHANNELS", 2)
    pool = EnginePool("voice", size=2)
    try:
        channels = [pool.open(Listener(), opening("hello")) for _ in range(6)]
        assert sorted(process.load for process in pool._processes) == [3, 3]
        await until(lambda: len(pool.pids) == 2)
        assert len(channels) == 6
    finally:
        pool.stop()
        await pool.gone()


async def test_rubbish_fails_one_channel_and_not_the_engine() -> None:
    listener = Listener()
    engine_pool("recognizer").open(listener, {"grammar": 5})
    await listener.ended.wait()
    assert listener.error is not None and listener.error.detail.startswith("KeyError")
    pid = engine_pool("recognizer").pids
    again = Listener()
    engine_pool("recognizer").open(again, {"grammar": "", "words": ["zorblax"], "rate": 8000, "threshold": 0})
    await again.ended.wait()
    assert again.error is not None and again.error.remedy is Remedy.CONFIG
    assert "'zorblax'" in again.error.detail and engine_pool("recognizer").pids == pid


async def test_what_an_engine_complains_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    process = processes.EngineProcess("no_such_engine")
    listener = Listener()
    process.open(listener, {})
    await listener.ended.wait()
    assert not process.alive
    await process.gone
    assert all("\n" not in record.getMessage() and record.exc_info is None for record in caplog.records)
    assert "No module named actors.engines.no_such_engine" in caplog.text


def test_an_engine_ends_with_its_parent() -> None:
    script = (
        "import asyncio, os\n"
        "from actors.engines.pool import engine_pool, warm_engines\n"
        "from actors.engines.voice_client import synthesize\n"
        "async def main():\n"
        "    await synthesize('hello')\n"
        "    print(engine_pool('voice').pids[0], flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    pid = int(done.stdout)
    descriptor = None
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    import select

    try:
        assert select.select([descriptor], [], [], 5)[0], "the engine outlived its parent"
    finally:
        os.close(descriptor)
