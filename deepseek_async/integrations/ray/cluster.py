"""The cluster that a command uses: found at once, or said to be missing."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any, Final
from urllib.parse import urlsplit

from deepseek_async.configuration.credential import Secret
from deepseek_async.errors import ConfigurationError

AUTO: Final = "auto"
_NOT_HANDED_ON: Final = frozenset({"DEEPSEEK_API_KEY", "DEEPSEEK_ASYNC_CACHE_DIR"})
"""The key goes another way, on which nothing shows it; a folder is a node's own."""
_PROBE_SECONDS: Final = 3.0
_CONNECT_SECONDS: Final = 10.0
"""Ray itself tries for minutes."""


def ray_package() -> Any:
    """Ray. Raises ConfigurationError where it is not installed."""
    try:
        import ray  # noqa: PLC0415  a second, and only for who uses it
    except ImportError:
        raise ConfigurationError(
            'Ray is not installed here: pip install "deepseek-async[ray]", here and on every node'
        ) from None
    return ray


def connect(address: str) -> Any:
    """Ray, connected to the cluster at ``address``: ``auto``, ``host:port`` or ``ray://host:port``.

    Raises ConfigurationError if nobody answers there within some seconds. A process that is connected stays so.
    """
    ray = ray_package()
    if ray.is_initialized():
        return ray
    if address != AUTO:
        _probe(address)
    failure: list[BaseException] = []
    # It would say that a thread cannot set signal handlers, which is as it should be: the command has its own.
    log = logging.getLogger("ray")
    level = log.level
    log.setLevel(logging.ERROR)

    def join() -> None:
        try:
            # What workers write goes to Ray's own logs: here it would stand in the middle of the progress.
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except BaseException as error:  # noqa: BLE001  said by who waits
            failure.append(error)

    # Ray cannot be told how long to try.
    joining = threading.Thread(target=join, name="ray-connect", daemon=True)
    joining.start()
    joining.join(_CONNECT_SECONDS)
    log.setLevel(level)
    if joining.is_alive():
        raise ConfigurationError(f"no Ray answers at {address} within {_CONNECT_SECONDS:.0f} s: {_what_to_do(address)}")
    if failure:
        reason = str(failure[0]).strip().partition("\n")[0] or type(failure[0]).__name__
        raise ConfigurationError(f"no Ray cluster can be used at {address} ({reason}): {_what_to_do(address)}")
    return ray


def processors(ray: Any) -> int:
    """Processors of the whole cluster, 1 at least."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def environment_to_hand_on() -> dict[str, str]:
    """The variables of this process that say how calls are made; as Secrets, for a URL may hold a password."""
    return {
        name: Secret(value)
        for name, value in os.environ.items()
        if name.startswith("DEEPSEEK_") and name not in _NOT_HANDED_ON
    }


def _probe(address: str) -> None:
    try:
        parts = urlsplit(address if "://" in address else f"ray-head://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise ConfigurationError(
            f"--ray takes auto, the host:port of a Ray head, or ray://host:port of its client server, not {address!r}"
        )
    try:
        socket.create_connection((host, port), _PROBE_SECONDS).close()
    except OSError as error:
        raise ConfigurationError(
            f"no Ray answers at {address} ({error.strerror or error}): {_what_to_do(address)}"
        ) from None


def _what_to_do(address: str) -> str:
    if address == AUTO:
        return "start one with `ray start --head`, name its address, or leave --ray out to use this machine alone"
    return "see `ray status` on its head for the address, or leave --ray out to use this machine alone"
