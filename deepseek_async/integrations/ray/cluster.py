"""Connection to a Ray cluster, with an immediate error if there is none."""

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
"""The API key is passed separately as a Secret; the cache directory is local to a node."""
_PROBE_SECONDS: Final = 3.0
_CONNECT_SECONDS: Final = 10.0
"""Ray itself retries for minutes."""


def ray_package() -> Any:
    """Import Ray. Raises ConfigurationError if it is not installed."""
    try:
        import ray  # noqa: PLC0415  optional, and takes a second to import
    except ImportError:
        raise ConfigurationError(
            'Ray is not installed: pip install "deepseek-async[ray]", here and on every node'
        ) from None
    return ray


def connect(address: str) -> Any:
    """Connect to the cluster at ``address``, ``auto``, ``host:port`` or ``ray://host:port``, and return the module.

    Raises ConfigurationError if it does not respond within 10 seconds. An existing connection is reused.
    """
    ray = ray_package()
    if ray.is_initialized():
        return ray
    if address != AUTO:
        _probe(address)
    failure: list[BaseException] = []
    # Suppress the warning that a thread cannot set signal handlers: the command has its own.
    log = logging.getLogger("ray")
    level = log.level
    log.setLevel(logging.ERROR)

    def join() -> None:
        try:
            # Worker output goes to Ray's logs: here it would interrupt the progress display.
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except BaseException as error:  # noqa: BLE001  reported by the waiting thread
            failure.append(error)

    # Ray has no connection timeout.
    joining = threading.Thread(target=join, name="ray-connect", daemon=True)
    joining.start()
    joining.join(_CONNECT_SECONDS)
    log.setLevel(level)
    if joining.is_alive():
        raise ConfigurationError(
            f"cannot connect to Ray at {address} within {_CONNECT_SECONDS:.0f} s: {_what_to_do(address)}"
        )
    if failure:
        reason = str(failure[0]).strip().partition("\n")[0] or type(failure[0]).__name__
        raise ConfigurationError(f"cannot use the Ray cluster at {address} ({reason}): {_what_to_do(address)}")
    return ray


def processors(ray: Any) -> int:
    """Return the number of CPUs in the cluster, at least 1."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def environment_to_hand_on() -> dict[str, str]:
    """Return environment variables that configure calls; as Secrets, because a URL may contain a password."""
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
            f"--ray must be auto, the host:port of a Ray head, or ray://host:port of its client server, got {address!r}"
        )
    try:
        socket.create_connection((host, port), _PROBE_SECONDS).close()
    except OSError as error:
        raise ConfigurationError(
            f"cannot connect to Ray at {address} ({error.strerror or error}): {_what_to_do(address)}"
        ) from None


def _what_to_do(address: str) -> str:
    if address == AUTO:
        return "start a cluster with `ray start --head`, pass its address, or omit --ray to run on this machine"
    return "see `ray status` on the head node for the address, or omit --ray to run on this machine"
