"""Connection options of the command line. The API key is never an option: command lines are visible to every user of
the machine and stay in the shell history.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Group, Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from deepseek_async.configuration.credential import SIMULATED
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from deepseek_async.client import AsyncDeepSeek

_GROUP: Final = Group("Connection", sort_key=9)

_FOR_REAL_ONLY: Final[dict[str, Any]] = {"cache": None, "listeners": (), "fallback": None}
"""Overrides of a settings file for simulated runs: no cache, no listeners, no paid fallback."""

Thinking = Literal["on", "off"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ConnectionFlags:
    """Endpoint, timeout and retry options."""

    base_url: Annotated[
        str | None,
        Parameter(group=_GROUP, help="Base URL of the API. Default: DEEPSEEK_BASE_URL, then https://api.deepseek.com."),
    ] = None
    timeout: Annotated[
        PositiveFloat | None,
        Parameter(group=_GROUP, help="Deadline of a call in seconds, including queueing and retries."),
    ] = None
    attempts: Annotated[
        PositiveInt | None,
        Parameter(group=_GROUP, help="Maximum attempts per call. Default: 4, in a batch 6."),
    ] = None
    proxy: Annotated[
        str | None,
        Parameter(
            group=_GROUP,
            help="URL of an HTTP proxy. Default: HTTPS_PROXY, then ALL_PROXY, except for hosts in NO_PROXY. Set a "
            "password in the environment: command lines are visible to all users of the machine.",
        ),
    ] = None
    settings_file: Annotated[
        Path | None,
        Parameter(name="--settings", group=_GROUP, help="Settings file; options and environment take precedence."),
    ] = None

    def arguments(self, *, api_key: str | None = None, **settings: Any) -> dict[str, Any]:
        """Return the client arguments: these options and ``settings``. Raises ConfigurationError without an API key."""
        flags: dict[str, Any] = {"base_url": self.base_url, "timeout": self.timeout, "retry": self.attempts}
        flags |= {"proxy": self.proxy, **settings}
        if self.settings_file is None:
            return {"api_key": api_key or key_of_environment(), **flags}
        given = {name: value for name, value in {"api_key": api_key, **flags}.items() if value is not None}
        if (api_key or os.environ.get("DEEPSEEK_API_KEY", "").strip()) == SIMULATED:
            given |= {**_FOR_REAL_ONLY, "proxy": self.proxy}
        return given

    def client(self, *, api_key: str | None = None, **settings: Any) -> AsyncDeepSeek:
        """Create a client with these options and ``settings``. Raises ConfigurationError without an API key."""
        from deepseek_async.client import AsyncDeepSeek  # noqa: PLC0415  brings aiohttp

        given = self.arguments(api_key=api_key, **settings)
        if self.settings_file is None:
            return AsyncDeepSeek(**given)
        return AsyncDeepSeek.from_settings(self.settings_file, **given)


def key_if_any() -> str | None:
    """Return DEEPSEEK_API_KEY, or None if unset or empty."""
    return os.environ.get("DEEPSEEK_API_KEY", "").strip() or None


def key_of_environment() -> str:
    """Return DEEPSEEK_API_KEY. Raises ConfigurationError if it is unset or empty."""
    key = key_if_any()
    if not key:
        state = "empty" if "DEEPSEEK_API_KEY" in os.environ else "not set"
        raise ConfigurationError(
            f"DEEPSEEK_API_KEY is {state}: create a key at https://platform.deepseek.com/api_keys and run export "
            "DEEPSEEK_API_KEY=…, or try without a key: deepseek-async simulate",
        )
    return key


def thinking_parameter(thinking: Thinking | None) -> dict[str, Any]:
    """Return the parameter for thinking; empty for the API's default."""
    if thinking is None:
        return {}
    return {"thinking": {"type": "enabled" if thinking == "on" else "disabled"}}
