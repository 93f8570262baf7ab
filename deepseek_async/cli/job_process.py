"""Process of a bulk job: client, optional simulator, event loop, and Ctrl-C during startup."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.terminal import say
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from deepseek_async.batch import StoppableJob
    from deepseek_async.client import AsyncDeepSeek


def run_job(
    connection: ConnectionFlags,
    make: Callable[[AsyncDeepSeek], StoppableJob],
    source: object,
    output: Path,
    *,
    simulate: bool,
    quiet: bool,
    every: float,
    **settings: Any,
) -> int:
    """Run the job that ``make`` creates; return the exit code. ``settings`` are the client's, ``every`` is in seconds.

    Raises ConfigurationError for a base URL together with ``simulate``.
    """
    if simulate and connection.base_url:
        raise ConfigurationError("--simulate and --base-url cannot be combined")
    try:
        from deepseek_async.cli import batch_job  # noqa: PLC0415  brings aiohttp
        from deepseek_async.cli.local_simulator import local_simulator  # noqa: PLC0415
        from deepseek_async.cli.process import runner  # noqa: PLC0415

        with ExitStack() as stack:
            api_key = None
            if simulate:
                api_key, connection = stack.enter_context(local_simulator(connection))
            client = connection.client(api_key=api_key, **settings)
            loop = stack.enter_context(runner())
            manner = batch_job.RunOptions(quiet=quiet, simulated=simulate, every=every)
            return loop.run(batch_job.run(client, make, source, output, manner))
    except KeyboardInterrupt:
        say("interrupted before anything was sent")
        return 3
