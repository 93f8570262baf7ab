"""What the tests of this folder share: the types of its fixtures, and where programs of others are."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from nginx import Nginx
from program import Program

from deepseek_async.simulator import Simulator

ENVIRONMENTS = os.environ.get("INTEROP_ENVIRONMENTS")
"""Folder of the environments of programs that come as packages; None where none are wanted."""
LISTED = Path(__file__).parent / "environments.txt"

Simulate = Callable[..., Awaitable[Simulator]]


class Run(Protocol):
    def __call__(self, *command: str, ready: bytes, **middleware: str) -> Awaitable[Program]: ...


class FrontedBy(Protocol):
    """The program that stands in front, and the URL to ask it at."""

    def __call__(self, upstream: str, directives: str = "", around: str = "") -> Awaitable[tuple[Nginx, str]]: ...
