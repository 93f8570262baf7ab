"""How handlers of the gateway send for a caller."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from deepseek_async.client import AsyncDeepSeek
from deepseek_async.gateway.callers import CallerProfile

Sending = Callable[[CallerProfile], AbstractAsyncContextManager[AsyncDeepSeek]]
"""Yields the client that sends now, and keeps it open for the block; calls in it are the caller's own, in one of its
places, and billed to it."""
