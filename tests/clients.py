"""How tests make their clients; the fixture is in ``conftest.py``."""

from __future__ import annotations

from collections.abc import Callable

from deepseek_async import AsyncDeepSeek, RetryPolicy

AT_ONCE = RetryPolicy(base_delay=0, max_delay=0)
"""Retries without waiting."""

Connect = Callable[..., AsyncDeepSeek]
"""Makes a client for a server, or for a URL; options are the client's own."""
