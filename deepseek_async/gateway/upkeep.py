"""What a gateway does from time to time: it learns of callers that were changed, and removes expired files."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from deepseek_async.errors import ConfigurationError
from deepseek_async.gateway.batches.runner import BatchRunner
from deepseek_async.gateway.callers import CallerProfile, Callers
from deepseek_async.gateway.files import FileStore
from deepseek_async.gateway.tenants import Tenants

_LOG: Final = logging.getLogger("deepseek_async.gateway")

INTERVAL: Final = 2.0
"""Seconds until a batch stops whose caller was removed; requests are refused at once."""
_ROUNDS: Final = 30
"""Looks for changed callers between two looks for expired files."""


class Upkeep:
    """Runs beside the requests, which need not come for a caller's removal to count."""

    def __init__(self, callers: Callers, batches: BatchRunner, files: FileStore, tenants: Tenants) -> None:
        self._callers = callers
        self._batches = batches
        self._files = files
        self._tenants = tenants
        self._known = self._profiles()

    async def run(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            try:
                await self._files.remove_expired(self._batches.needed_files())
            except OSError as error:
                _LOG.warning("cannot remove expired files: %s", error)
            for _ in range(_ROUNDS):
                await asyncio.sleep(INTERVAL)
                self.look()

    def look(self) -> None:
        """Tell the batches of callers that were added, changed or removed."""
        try:
            self._callers.refresh()
        except ConfigurationError as error:
            _LOG.warning("the former keys stay in use for batches: %s", error.message)
            return
        now = self._profiles()
        changed = {name for name in now.keys() | self._known.keys() if now.get(name) != self._known.get(name)}
        self._known = now
        if changed:
            self._tenants.release(changed)
            self._batches.look_again(changed)

    def _profiles(self) -> dict[str, CallerProfile]:
        return {caller.name: caller for caller in self._callers}
