"""A headless Chromium, driven over its own debugging protocol (CDP): no driver, no further package.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

OWN = Path(__file__).parent / "program"  # where the system has no package of it
PROGRAM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which(str(OWN / "chromium"))
BROUGHT = {"LD_LIBRARY_PATH": str(OWN / "lib"), "FONTCONFIG_PATH": str(OWN)} if str(OWN / "chromium") == PROGRAM else {}
START_S, WAIT_S, STOP_S = 30.0, 15.0, 10.0
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--remote-debugging-port=0", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
)


class Page:
    """One tab. `complaints` gathers what the browser says against the page: exceptions, CSP violations, 404s."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Raises `AssertionError` with what the browser objects to."""
        number = next(self._numbers)
        answered = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.write_message(json.dumps({"id": number, "method": method, "params": parameters}))
        answer = await asyncio.wait_for(answered, WAIT_S)
        assert "error" not in answer, answer
        return dict(answer["result"])

    async def read(self) -> None:
        """Until the connection ends."""
        while (text := await self._socket.read_message()) is not None:
            message = json.loads(text)
            if (number := message.get("id")) is not None:
                if not (answered := self._answers.pop(number)).done():  # nobody waits for it any more
                    answered.set_result(message)
            elif message["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"]["exceptionDetails"]))
            elif message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] in ("error", "warning"):
                self.complaints.append(message["params"]["entry"]["text"])

    async def open(self, url: str) -> None:
        await self.ask("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def run(self, script: str, gesture: bool = False) -> Any:
        """The value of a JavaScript expression, awaited."""
        answer = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=gesture
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str, within_s: float = WAIT_S) -> None:
        """Wait until the expression is true."""
        try:
            async with asyncio.timeout(within_s):
                while not await self.run(f"Boolean({script})"):  # noqa: ASYNC110 - whatever a page may show
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = await self.run("document.body.innerText")
            raise AssertionError(f"{script}: not within {within_s:g} s; the page says:\n{text}") from None

    async def click(self, selector: str) -> None:
        await self.run(f"document.querySelector({json.dumps(selector)}).click()", gesture=True)

    async def text(self, selector: str) -> str:
        return str(await self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    async def press(self, key: str, code: int = 0, text: str = "") -> None:
        """A real key, to whatever has the focus."""
        what = {"key": key, "windowsVirtualKeyCode": code, "text": text}
        await self.ask("Input.dispatchKeyEvent", type="keyDown", **what)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", **what)

    async def screenshot(self) -> bytes:
        """A PNG of the whole page."""
        shot = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])


@asynccontextmanager
async def browser(folder: Path, *flags: str) -> AsyncIterator[Page]:
    """A browser with a profile of its own in `folder`; gone, with all its processes, at the end of the block."""
    assert PROGRAM is not None
    profile = folder / "profile"
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder), "DBUS_SESSION_BUS_ADDRESS": "disabled:", **BROUGHT},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(START_S):
            socket = await websocket_connect(await _page_address(profile / "DevToolsActivePort"))
        page = Page(socket)
        reader = asyncio.create_task(page.read())
        try:
            for domain in ("Page", "Runtime", "Log"):
                await page.ask(f"{domain}.enable")
            yield page
            await page.ask("Browser.close")  # so that it takes its temporary files along
            await asyncio.wait_for(process.wait(), STOP_S)
        finally:
            socket.close()
            await reader
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a group of our own: its helpers are in it
        await process.wait()


def _port(file: Path) -> str:
    """What the browser has written there, "" as long as it has not."""
    try:
        return file.read_text().partition("\n")[0]
    except FileNotFoundError:
        return ""


async def _page_address(port_file: Path) -> str:
    while not (port := _port(port_file)):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.02)
    client = AsyncHTTPClient(force_instance=True)
    try:
        while True:
            targets = json.loads((await client.fetch(f"http://127.0.0.1:{port}/json")).body)
            if pages := [target for target in targets if target["type"] == "page"]:
                return str(pages[0]["webSocketDebuggerUrl"])
            await asyncio.sleep(0.02)
    finally:
        client.close()
