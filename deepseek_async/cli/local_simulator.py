"""A simulator in a child process, for runs without an API key."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.configuration.credential import SIMULATED
from deepseek_async.errors import ConfigurationError

# Seconds until an answer: long enough to show the effect of concurrency, short enough to wait for.
_TEMPO: Final = ("--latency", "0.2", "--latency-spread", "0.4")
_ENDING_SECONDS: Final = 5


@contextmanager
def local_simulator(connection: ConnectionFlags) -> Iterator[tuple[str, ConnectionFlags]]:
    """Yield an API key for the simulator, and ``connection`` pointed at it. The child exits with the ``with`` block.

    The child exits when its standard input closes, so also when this process is killed. It has its own session,
    because Ctrl-C goes to the terminal's foreground process group, and rows in flight still need the simulator.
    """
    child = subprocess.Popen(  # noqa: S603  this package, with this interpreter
        [sys.executable, "-m", "deepseek_async.simulator", "--until-stdin-closes", *_TEMPO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdin is not None  # noqa: S101  for the type checker
    assert child.stdout is not None  # noqa: S101
    try:
        ready = child.stdout.readline()
        if not ready:
            raise ConfigurationError(f"the simulator failed to start: exit code {child.wait()}")
        yield SIMULATED, replace(connection, base_url=json.loads(ready)["base_url"], proxy=None)
    finally:
        child.stdin.close()
        child.stdout.close()
        try:
            child.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
