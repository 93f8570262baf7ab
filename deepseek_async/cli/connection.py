"""The flags that say where and how to call, and the client made from them. The key is never a flag:
command lines are visible to every user of the machine and stay in the shell's history."""

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
"""Arguments in the place of what a settings file says of answers and calls that are kept, and of a paid service that
answers instead: what is made up goes into none of them."""

Thinking = Literal["on", "off"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ConnectionFlags:
    """Where to call, how long to wait and how often to try."""

    base_url: Annotated[
        str | None,
        Parameter(group=_GROUP, help="Address of the API. Default: DEEPSEEK_BASE_URL, then https://api.deepseek.com."),
    ] = None
    timeout: Annotated[
        PositiveFloat | None,
        Parameter(group=_GROUP, help="Seconds for a whole call, its queueing and retries included."),
    ] = None
    attempts: Annotated[
        PositiveInt | None,
        Parameter(group=_GROUP, help="How often a call is sent at most. Default: 4, in a batch 6."),
    ] = None
    proxy: Annotated[
        str | None,
        Parameter(
            group=_GROUP,
            help="URL of an HTTP proxy. Default: HTTPS_PROXY, then ALL_PROXY, except for what NO_PROXY names. A "
            "password is better set there: command lines are seen by all users of the machine.",
        ),
    ] = None
    settings_file: Annotated[
        Path | None,
        Parameter(name="--settings", group=_GROUP, help="A settings file; flags and environment win over it."),
    ] = None

    def arguments(self, *, api_key: str | None = None, **settings: Any) -> dict[str, Any]:
        """What a client is made with: these flags and further ``settings``. Raises ConfigurationError without a key."""
        flags: dict[str, Any] = {"base_url": self.base_url, "timeout": self.timeout, "retry": self.attempts}
        flags |= {"proxy": self.proxy, **settings}
        if self.settings_file is None:
            return {"api_key": api_key or key_of_environment(), **flags}
        given = {name: value for name, value in {"api_key": api_key, **flags}.items() if value is not None}
        if (api_key or os.environ.get("DEEPSEEK_API_KEY", "").strip()) == SIMULATED:
            given |= {**_FOR_REAL_ONLY, "proxy": self.proxy}
        return given

    def client(self, *, api_key: str | None = None, **settings: Any) -> AsyncDeepSeek:
        """A client with these flags and further ``settings``. Raises ConfigurationError without a key."""
        from deepseek_async.client import AsyncDeepSeek  # noqa: PLC0415  brings aiohttp

        given = self.arguments(api_key=api_key, **settings)
        if self.settings_file is None:
            return AsyncDeepSeek(**given)
        return AsyncDeepSeek.from_settings(self.settings_file, **given)


def key_if_any() -> str | None:
    """The key in DEEPSEEK_API_KEY; None if there is none."""
    return os.environ.get("DEEPSEEK_API_KEY", "").strip() or None


def key_of_environment() -> str:
    """The key in DEEPSEEK_API_KEY. Raises ConfigurationError, in a command's words, if there is none."""
    key = key_if_any()
    if not key:
        state = "empty" if "DEEPSEEK_API_KEY" in os.environ else "not set"
        raise ConfigurationError(
            f"DEEPSEEK_API_KEY is {state}: get a key at https://platform.deepseek.com/api_keys and run "
            "export DEEPSEEK_API_KEY=…, or try without one: deepseek-async simulate",
        )
    return key


def thinking_parameter(thinking: Thinking | None) -> dict[str, Any]:
    """The parameter that switches reasoning on or off; nothing if the API's default is to hold."""
    if thinking is None:
        return {}
    return {"thinking": {"type": "enabled" if thinking == "on" else "disabled"}}
