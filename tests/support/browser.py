"""A headless Chromium, asked over its own protocol on loopback: what a page looks like, measured in it."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiohttp
import orjson

from support.programs import needed

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
SECONDS = 120.0

_COLOURS = """(async () => {
    const image = new Image();
    image.src = 'data:image/png;base64,%s';
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, image.width, image.height).data;
    const counts = new Map();
    for (let at = 0; at < pixels.length; at += 4) {
        const colour = (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];
        counts.set(colour, (counts.get(colour) || 0) + 1);
    }
    return [image.width, image.height, Object.fromEntries([...counts].filter(([, number]) => number > 50))];
})()"""


class Browser:
    """``async with Browser() as browser``: one tab."""

    async def __aenter__(self) -> Self:
        path = needed("chromium")
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        folder = Path(self._profile.name)
        self._process = await asyncio.create_subprocess_exec(
            *(path, *FLAGS, f"--user-data-dir={folder}", "about:blank"),
            env={"HOME": str(folder), "PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        self._numbers = itertools.count(1)
        self.requests: list[str] = []
        """Addresses that the page wanted to load."""
        self.complaints: list[str] = []
        self._session = aiohttp.ClientSession()
        async with asyncio.timeout(SECONDS):
            port = await self._port()
            async with self._session.get(f"http://127.0.0.1:{port}/json/list") as listed:
                (tab, *_) = [tab for tab in await listed.json() if tab["type"] == "page"]
            self._socket = await self._session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0)
            for domain in ("Page", "Runtime", "Network", "Log"):
                await self.ask(f"{domain}.enable")
        return self

    async def _port(self) -> int:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            if b"DevTools listening on ws://" in line:
                # Nobody reads on: what it says later must not fill the pipe and stop it.
                self._drain = asyncio.create_task(self._process.stderr.read())
                return int(line.split(b"ws://", 1)[1].split(b"/")[0].rsplit(b":", 1)[1])
        raise AssertionError("the browser ended before it was ready")

    async def __aexit__(self, *_: object) -> None:
        with suppress(Exception):
            await self.ask("Browser.close")
        try:
            async with asyncio.timeout(SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._drain
        await self._session.close()
        self._profile.cleanup()

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        number = next(self._numbers)
        await self._socket.send_str(orjson.dumps({"id": number, "method": method, "params": parameters}).decode())
        return await self._until(lambda message: message.get("id") == number)

    async def _until(self, wanted: Any) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            while True:
                message: dict[str, Any] = orjson.loads((await self._socket.receive()).data)
                self._note(message)
                if wanted(message):
                    assert "error" not in message, message
                    return message.get("result", {})

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        elif message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]["exceptionDetails"]))

    async def open(self, page: Path, width: int) -> None:
        """Load a file at a width of so many CSS pixels."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        await self.visit(page.as_uri())

    async def visit(self, url: str) -> None:
        """Load an address; that of the page that is shown, once more."""
        number = next(self._numbers)
        text = orjson.dumps({"id": number, "method": "Page.navigate", "params": {"url": url}}).decode()
        await self._socket.send_str(text)
        await self._until(lambda message: message.get("method") == "Page.loadEventFired")

    async def measure(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; of a promise, what it comes to."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def screenshot(self) -> Picture:
        """The whole page as it was drawn. The tab shows another one afterwards."""
        png = (await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True))["data"]
        await self.ask("Page.navigate", url="about:blank")
        # The browser itself reads the picture: a decoder in Python would take ten seconds.
        width, height, counts = await self.measure(_COLOURS % png)
        return Picture(width, height, {int(colour): number for colour, number in counts.items()})


class Picture(NamedTuple):
    """Size in pixels, and how many pixels there are of each colour, as 0xRRGGBB."""

    width: int
    height: int
    colours: dict[int, int]
