"""``deepseek-async serve``: a client behind a base URL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.types import NonNegativeFloat
from cyclopts.validators import Number

from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.local_simulator import local_simulator

ABOUT: Final = """\
Serve the DeepSeek API to programs in any language, through one engine.

They set their base URL to the printed one. Requests pass limits, retries,
cache, budget and filter of the settings; /v1/files and /v1/batches are
OpenAI's Batch API. SIGTERM or Ctrl-C lets answers end, SIGHUP reads the
settings file again."""
EXAMPLES: Final = """\
For example:

    deepseek-async serve
    deepseek-async serve --port 8000 --settings deepseek.yaml
    deepseek-async serve keys add team-a --daily 5 --lane bulk
    deepseek-async serve --host 0.0.0.0"""

_PORT: Final = 8321
_DRAIN: Final = 30.0


def serve(
    *,
    host: Annotated[str, Parameter(help="Address to listen on; other than loopback it needs keys.")] = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535), help="0: any free port.")] = _PORT,
    folder: Annotated[
        Path | None,
        Parameter(help="Keys, files and batches. Default: gateway in the user's state directory."),
    ] = None,
    drain: Annotated[NonNegativeFloat, Parameter(help="Seconds for answers to end on SIGTERM.")] = _DRAIN,
    access_log: Annotated[bool, Parameter(help="Write a JSON line to stderr for each request.")] = True,
    simulate: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Answer from a local simulator; needs no API key.")
    ] = False,
    connection: ConnectionFlags = ConnectionFlags(),  # noqa: B008  frozen
) -> int:
    from deepseek_async.cli.gateway_process import GatewayProcess  # noqa: PLC0415  brings aiohttp's server

    process = GatewayProcess(host=host, port=port, folder=folder, drain=drain, access_log=access_log)
    if not simulate:
        return process.run(connection)
    with local_simulator(connection) as (key, simulated):
        return process.run(simulated, api_key=key)
