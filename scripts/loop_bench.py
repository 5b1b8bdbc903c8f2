"""The measurements of `scripts/bench-loop`: the same actors and messages on any Thespian base, by its public API."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from thespian.actors import Actor, ActorAddress, ActorSystem

from actors.loop.system import LoopSystem

PAYLOAD = b"x" * 320  # 20 ms of telephone audio
BATCH = 100  # messages on their way at once
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Load:
    """How much is measured; the slow base gets less."""

    messages: int
    round_trips: int
    actors: int


LOADS = {
    "loop": Load(messages=400_000, round_trips=50_000, actors=5_000),
    "simpleSystemBase": Load(messages=100_000, round_trips=20_000, actors=5_000),
    "multiprocTCPBase": Load(messages=4_000, round_trips=500, actors=20),
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One base. CPU time is that of all processes that took part."""

    base: str
    messages_per_s: float
    message_us: float
    message_cpu_us: float
    round_trip_us: float
    create_us: float
    actor_kib: float


class Sink(Actor):  # type: ignore[misc]
    """Takes audio; answers everything else."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if message == "cpu":
            self.send(sender, (os.getpid(), time.process_time()))
        elif message == "last":
            self.send(sender, "next")


class Source(Actor):  # type: ignore[misc]
    """Sends audio to a sink, a batch at a time; the sink's answer to a batch starts the next."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, tuple):
            self.sink, self.batches, self.batch = message
            self.asker = sender
            self._send_batch()
        elif message == "next":
            self.batches -= 1
            if self.batches:
                self._send_batch()
            else:
                self.send(self.asker, "sent")
        elif message == "cpu":
            self.send(sender, (os.getpid(), time.process_time()))

    def _send_batch(self) -> None:
        for _ in range(self.batch - 1):
            self.send(self.sink, PAYLOAD)
        self.send(self.sink, "last")


class Newborn(Actor):  # type: ignore[misc]
    """Tells its parent that it lives."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if message == "alive?":
            self.send(sender, os.getpid())


class Mother(Actor):  # type: ignore[misc]
    """Creates children and waits until all of them live: answers the processes that they live in."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, tuple):
            _, self.missing = message
            self.asker, self.processes = sender, set[int]()
            for _ in range(self.missing):
                self.send(self.createActor(Newborn), "alive?")
        elif isinstance(message, int):
            self.processes.add(message)
            self.missing -= 1
            if not self.missing:
                self.send(self.asker, self.processes)


def measure(base: str) -> Measurement:
    """Everything about one base. Raises TimeoutError where it does not answer any more."""
    load = LOADS[base]
    system = LoopSystem() if base == "loop" else stock(base)
    try:
        source, sink = system.createActor(Source), system.createActor(Sink)
        stream(system, source, sink, load.messages // 10)
        wall_s, cpu_s = stream(system, source, sink, load.messages)
        round_trip_s = timed(system, source, (sink, load.round_trips, 1))
        create_s, memory_bytes = populate(system, load.actors)
    finally:
        system.shutdown()
    return Measurement(
        base=base,
        messages_per_s=round(load.messages / wall_s),
        message_us=round(wall_s / load.messages * 1e6, 2),
        message_cpu_us=round(cpu_s / load.messages * 1e6, 2),
        round_trip_us=round(round_trip_s / load.round_trips * 1e6, 2),
        create_us=round(create_s / load.actors * 1e6, 2),
        actor_kib=round(memory_bytes / load.actors / 1024, 2),
    )


def stock(base: str) -> ActorSystem:
    """Thespian's own, which logs nothing. Any admin port does: the TCP base runs in a network of its own."""
    capabilities = {"Admin Port": 19000} if base == "multiprocTCPBase" else {}
    return ActorSystem(base, capabilities, {"version": 1}, transientUnique=True)


def stream(system: ActorSystem, source: ActorAddress, sink: ActorAddress, messages: int) -> tuple[float, float]:
    """Seconds of time and of CPU for so many messages one way."""
    before = cpu_of(system, source, sink)
    wall_s = timed(system, source, (sink, messages // BATCH, BATCH))
    return wall_s, cpu_of(system, source, sink) - before


def timed(system: ActorSystem, actor: ActorAddress, message: Any) -> float:
    start = time.perf_counter()
    ask(system, actor, message)
    return time.perf_counter() - start


def populate(system: ActorSystem, count: int) -> tuple[float, int]:
    """Seconds until so many children live, and the private memory that they cost."""
    mother = system.createActor(Mother)
    before = private_bytes({os.getpid()})
    start = time.perf_counter()
    processes = ask(system, mother, ("create", count))
    spent_s = time.perf_counter() - start
    return spent_s, private_bytes(processes | {os.getpid()}) - before


def ask(system: ActorSystem, actor: ActorAddress, message: Any) -> Any:
    answer = system.ask(actor, message, TIMEOUT_S)
    if answer is None:
        raise TimeoutError(f"no answer in {TIMEOUT_S} s")
    return answer


def cpu_of(system: ActorSystem, *actors: ActorAddress) -> float:
    """Seconds of CPU that the processes of these actors have used."""
    return sum(dict(ask(system, actor, "cpu") for actor in actors).values())


def private_bytes(processes: set[int]) -> int:
    """Memory that is theirs alone, from /proc/<pid>/smaps_rollup."""
    total_kib = 0
    for pid in processes:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            total_kib += sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    return total_kib * 1024
