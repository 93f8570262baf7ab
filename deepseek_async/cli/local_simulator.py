"""The simulator as a child process, for a run that needs no key."""

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

# Seconds until an answer: enough for the effect of concurrency to be seen, short enough to wait for.
_TEMPO: Final = ("--latency", "0.2", "--latency-spread", "0.4")
_ENDING_SECONDS: Final = 5


@contextmanager
def local_simulator(connection: ConnectionFlags) -> Iterator[tuple[str, ConnectionFlags]]:
    """A key that the simulator takes, and ``connection`` led to it. The child ends with the ``with``.

    The child ends when its standard input closes, so also when this process is killed. It has a session of its
    own, because a Ctrl-C goes to everything in the terminal's foreground, and the rows in flight still need it.
    """
    child = subprocess.Popen(  # noqa: S603  our own module under our own interpreter
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
            raise ConfigurationError(f"the simulator ended before it was ready, with exit code {child.wait()}")
        yield SIMULATED, replace(connection, base_url=json.loads(ready)["base_url"], proxy=None)
    finally:
        child.stdin.close()
        child.stdout.close()
        try:
            child.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
