"""A real nginx on loopback, from a configuration of its own in a temporary folder."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

_CONFIGURATION = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 4096; }}
http {{
    error_log {folder}/error.log;
    log_format status $status;
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{http}
}}
"""


def server(port: int, upstream: str, directives: str = "") -> str:
    """A ``server`` block that hands everything to ``upstream`` as nginx does by itself: HTTP/1.0 and buffered."""
    return f"""\
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass {upstream};
            {directives}
        }}
    }}"""


class Nginx:
    """One process in the foreground; ``http`` is what stands in the ``http`` block."""

    def __init__(self, folder: Path, http: str) -> None:
        self._folder = folder
        self._configuration = folder / "nginx.conf"
        self._configuration.write_text(_CONFIGURATION.format(folder=folder, http=http))
        self._process: asyncio.subprocess.Process | None = None
        self._said: asyncio.Task[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it; it listens when this returns. Raises RuntimeError with its own words if it does not."""
        command = ["nginx", "-p", str(self._folder), "-c", str(self._configuration), "-e", "stderr"]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        output = self._process.stderr
        assert output is not None
        said = b""
        async with asyncio.timeout(120):
            async for line in output:
                said += line
                # Said after the sockets have been opened.
                if b"event method" in line:
                    self._said = asyncio.create_task(output.read())
                    return
        await self.stop()
        raise RuntimeError(f"nginx did not start: {said.decode()[-500:]}")

    async def stop(self) -> None:
        """End it at once, with the connections that it has."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        await process.wait()
        if self._said is not None:
            await self._said
            self._said = None
