"""The types of the fixtures of this folder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from nginx import Nginx
from program import Program

from deepseek_async.simulator import Simulator

Simulate = Callable[..., Awaitable[Simulator]]


class Run(Protocol):
    def __call__(self, *command: str, ready: bytes, **middleware: str) -> Awaitable[Program]: ...


class FrontedBy(Protocol):
    """The program that stands in front, and the URL to ask it at."""

    def __call__(self, upstream: str, directives: str = "", around: str = "") -> Awaitable[tuple[Nginx, str]]: ...
