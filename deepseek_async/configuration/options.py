"""The arguments of a client's constructor: names, types and defaults, for every function that takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar, cast

from deepseek_async.admission.outage.breaker import BreakerPolicy
from deepseek_async.admission.tool_limits import ToolLimits
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.codec.size_limits import Limits
from deepseek_async.configuration.credential import hidden
from deepseek_async.configuration.endpoint import Endpoint, Family
from deepseek_async.events import Listener
from deepseek_async.lint import LintMode
from deepseek_async.resources.resource_client import AnyTimeout
from deepseek_async.transport.protocol import MakeTransport

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget
    from deepseek_async.cache import Cache
    from deepseek_async.content import ContentFilter

Function = TypeVar("Function", bound=Callable[..., Any])


class ClientOptions(TypedDict, total=False):
    """Arguments of AsyncDeepSeek, which describes each."""

    api_key: str | None
    base_url: str | None
    timeout: AnyTimeout | None
    max_concurrency: int | Literal["auto"] | None
    requests_per_minute: float | None
    tokens_per_minute: float | None
    retry: RetryPolicy | int | None
    max_retries: int | None
    proxy: str | None
    trust_env: bool
    default_headers: Mapping[str, str] | None
    endpoints: Mapping[Family, str | Endpoint] | None
    holidays: Iterable[date] | None
    lint: LintMode
    tokenizer: str | PathLike[str] | None
    tool_threads: int
    account: str | None
    breaker: BreakerPolicy | bool | None
    limits: Limits | None
    tool_limits: ToolLimits | None
    currency_rates: Mapping[str, float] | None
    fallback_models: Sequence[str]
    fallback: str | Endpoint | None
    shared: str | bool | None
    cache: Cache | str | PathLike[str] | bool | None
    budget: Budget | float | None
    content_filter: ContentFilter | bool | None
    listeners: Iterable[Listener]
    transport: MakeTransport | None


DEFAULTS: Final[ClientOptions] = {
    "trust_env": True,
    "lint": "warn",
    "tool_threads": 40,
    "fallback_models": (),
    "listeners": (),
}
"""Defaults other than None."""

NAMES: Final = frozenset(ClientOptions.__annotations__)

_SECRETS: Final = ("api_key", "proxy", "default_headers", "shared")
"""Options that a traceback with locals must not show."""


def with_secrets_hidden(options: ClientOptions) -> ClientOptions:
    """Return ``options`` with those that may hold a key or a password as Secrets. Raises nothing."""
    given = cast("dict[str, Any]", options)
    return cast("ClientOptions", {**given, **{name: hidden(given[name]) for name in _SECRETS if name in given}})


def takes_client_options(function: Function) -> Function:
    """Show each of ``**options: Unpack[ClientOptions]`` in the function's signature: for ``help`` and notebooks."""
    signature = inspect.signature(function)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=DEFAULTS.get(name),
            annotation=getattr(annotation, "__forward_arg__", annotation),
        )
        for name, annotation in ClientOptions.__annotations__.items()
    ]
    function.__signature__ = signature.replace(parameters=own + options)  # type: ignore[attr-defined]
    return function
