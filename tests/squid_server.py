"""A real squid on loopback, from the machine's own package, that wants a password and refuses one domain."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

from ports import ReservedPort

_CONFIGURATION = """\
http_port 127.0.0.1:{port}
pid_filename none
access_log none
cache_log /dev/null
cache deny all
pinger_enable off
shutdown_lifetime 0 seconds
auth_param basic program /bin/sh {folder}/password.sh
auth_param basic children 1
acl known proxy_auth REQUIRED
acl refused dstdomain .refused.invalid
http_access deny refused
http_access allow known
http_access deny all
"""
_PASSWORD = 'while read -r user word; do [ "$user $word" = "anna secret" ] && echo OK || echo ERR; done\n'


class SquidServer:
    """In the foreground, as the user that its package has made for it."""

    def __init__(self) -> None:
        self._port = ReservedPort()
        self._folder = Path(tempfile.mkdtemp())
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port.number}"

    @property
    def url_with_password(self) -> str:
        return f"http://anna:secret@127.0.0.1:{self._port.number}"

    async def __aenter__(self) -> Self:
        self._folder.chmod(0o755)  # that user reads it
        (self._folder / "password.sh").write_text(_PASSWORD)
        configuration = self._folder / "squid.conf"
        configuration.write_text(_CONFIGURATION.format(port=self._port.number, folder=self._folder))
        self._process = await asyncio.create_subprocess_exec(
            # Its shared memory has this name: another squid may run on the machine.
            *("squid", "-N", "-n", f"test{os.getpid()}", "-d1", "-f", str(configuration)),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._process.stderr is not None
        async with asyncio.timeout(120):
            async for line in self._process.stderr:
                if b"Accepting HTTP Socket connections" in line:
                    return self
        raise AssertionError("squid did not start")

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            if self._process.returncode is None:
                self._process.terminate()
            await self._process.communicate()
        self._port.release()
        shutil.rmtree(self._folder)
