"""The type of the fixture that starts simulators, which ``conftest.py`` cannot be imported for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from deepseek_async.simulator import Simulator

Simulate = Callable[..., Awaitable[Simulator]]
