"""Programs that fork, each in a process of its own: neither the suite nor what it holds is forked."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from typing import Any

from deepseek_async import AsyncDeepSeek, Budget
from deepseek_async.cache import disk, remote
from deepseek_async.pricing.prices import price_table
from support.clients import MESSAGES

KEY = "sk-forked-0123456789abcdef0123456789"
CHILD_SECONDS = 120
"""After which a child that waits for ever is ended by a signal; reached only by such a one."""


async def outcome_of(program: str, **given: Any) -> Any:
    """What ``program`` says by ``say``; it sees this module's names and what is ``given``."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"from support.forking import *\n{textwrap.dedent(program)}"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GIVEN": json.dumps(given)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await running.communicate()
    assert (running.returncode, err) == (0, b""), err.decode()
    return json.loads(out)


# From here on for the programs.

given: dict[str, Any] = json.loads(os.environ.get("GIVEN", "{}"))

if "GIVEN" in os.environ:
    # A cache leaves alone what is slow; a busy machine may be as slow as it likes.
    disk.SLOW = 3600.0  # type: ignore[misc]
    remote.SLOW = CHILD_SECONDS  # type: ignore[misc]


def say(outcome: Any) -> None:
    """The program's outcome."""
    sys.stdout.write(json.dumps(outcome))
    sys.stdout.flush()


def in_child(work: Callable[[], Any]) -> Callable[[], Any]:
    """Fork, and do ``work`` in the child. What is returned waits for its end, and returns what ``work`` did.

    An error of the child's is one of the parent's.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Newer versions of Python warn of threads; that they do no harm is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        signal.alarm(CHILD_SECONDS)
        try:
            os.write(writing, json.dumps(["done", work()]).encode())
        except BaseException as error:
            os.write(writing, json.dumps(["failed", f"{type(error).__name__}: {error}"]).encode())
            raise
        finally:
            os._exit(0)
    os.close(writing)

    def result() -> Any:
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        assert os.waitpid(child, 0)[1] == 0
        how, outcome = json.loads(said)
        if how == "failed":
            raise ChildError(outcome)
        return outcome

    return result


class ChildError(Exception):
    """What a child raised."""


class Gate:
    """Where processes that were forked after it was made wait for each other."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._arrivals, self._departures = os.pipe(), os.pipe()

    def arrive(self) -> None:
        """Be one of the processes."""
        os.write(self._arrivals[1], b"x")

    def open(self, passing: int) -> None:
        """When all have arrived, let so many pass."""
        for _ in range(self._processes):
            os.read(self._arrivals[0], 1)
        os.write(self._departures[1], b"x" * passing)

    def wait(self) -> None:
        """Be one of those that pass, when it opens."""
        os.read(self._departures[0], 1)


def made(**options: Any) -> AsyncDeepSeek:
    """A client for the server that is given."""
    return AsyncDeepSeek(**{"api_key": KEY, "base_url": given["url"], "lint": "off", **options})


def budget_of(daily: float, **options: Any) -> Budget:
    """In the file that is given, by the prices of today's quiet hours, as the simulator's are."""
    return Budget(daily, path=given["budget"], prices=price_table().with_holidays(_every_day()), **options)


def _every_day() -> list[Any]:
    from datetime import UTC, datetime, timedelta

    return [(datetime.now(UTC) + timedelta(days=days)).date() for days in range(-1, 3)]


async def ask(client: AsyncDeepSeek, **parameters: Any) -> Any:
    """A call whose answer a cache keeps."""
    asked = {"model": "deepseek-flash", "messages": MESSAGES, "temperature": 0, "thinking": {"type": "disabled"}}
    return await client.chat.completions.create(**{**asked, **parameters})
