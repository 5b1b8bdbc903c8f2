"""A TCP proxy in front of a fake: the network between a server and its provider, when it is not well."""

from __future__ import annotations

import asyncio
from contextlib import suppress

READ_BYTES = 65_536


class Proxy:
    """On a free loopback port; use it by `async with`. Each trouble lasts until `clear`.

    `slow`: everything arrives later, in both directions. `stall`: nothing arrives until `clear`, then all of it.
    `black_hole`: nothing arrives, ever; whoever was connected meanwhile is cut off by `clear`.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._delay_s = 0.0
        self._flows = asyncio.Event()
        self._flows.set()
        self._hole = False
        self._lost: set[asyncio.Transport] = set()
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def slow(self, delay_s: float) -> None:
        self._delay_s = delay_s

    def stall(self) -> None:
        self._flows.clear()

    def black_hole(self) -> None:
        self._hole = True
        self._flows.clear()

    def clear(self) -> None:
        self._delay_s = 0.0
        self._hole = False
        for transport in self._lost:
            transport.abort()
        self._lost.clear()
        self._flows.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        link.add_done_callback(self._links.discard)
        ends = [writer]
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._pass(writer)
                theirs, upstream = await asyncio.open_connection("127.0.0.1", self._target_port)
                ends.append(upstream)
                pumps = [self._pump(reader, upstream, writer), self._pump(theirs, writer, writer)]
                tasks = [asyncio.ensure_future(pump) for pump in pumps]
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for end in ends:
                end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        """Reads on while what was read waits for its time: a delay is no narrow pipe."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        writing = asyncio.ensure_future(self._write(waiting, writer, client))
        try:
            while data := await reader.read(READ_BYTES):
                waiting.put_nowait((asyncio.get_running_loop().time() + self._delay_s, data))
            waiting.put_nowait((0.0, b""))
            await writing
        finally:
            writing.cancel()

    async def _write(
        self, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while True:
            due_s, data = await waiting.get()
            if not data:
                return
            await asyncio.sleep(due_s - asyncio.get_running_loop().time())
            await self._pass(client)
            writer.write(data)
            await writer.drain()

    async def _pass(self, client: asyncio.StreamWriter) -> None:
        """Until the trouble is over; a connection in a black hole does not live to see it."""
        if self._hole:
            self._lost.add(client.transport)  # type: ignore[arg-type]
        await self._flows.wait()
