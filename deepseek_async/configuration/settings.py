"""Client settings: one frozen, validated record. Arguments override environment variables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

import msgspec

from deepseek_async.admission.outage.breaker import BreakerPolicy
from deepseek_async.admission.sharing.rendezvous import MACHINE, shared_from
from deepseek_async.admission.tool_limits import DEFAULT_TOOL_LIMITS, ToolLimits
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.codec.size_limits import DEFAULT_LIMITS, Limits
from deepseek_async.configuration.credential import ApiKey, Secret
from deepseek_async.configuration.endpoint import FAMILIES, Endpoint, Family
from deepseek_async.configuration.options import ClientOptions
from deepseek_async.errors import ConfigurationError
from deepseek_async.files.private_files import cache_folder
from deepseek_async.lint import LintMode
from deepseek_async.text.omitted import is_omitted
from deepseek_async.transport.address import DEFAULT_BASE_URL, checked_url, same_origin
from deepseek_async.transport.header_fields import checked
from deepseek_async.transport.hosts import is_loopback
from deepseek_async.transport.proxies import Proxy, proxies_to
from deepseek_async.transport.timeouts import HTTPXTimeout, Timeouts, as_timeouts
from deepseek_async.transport.tls import check_authorities

NOMINAL_CONCURRENCY: Final = 2500
"""Highest concurrency limit that DeepSeek documents for any model (docs, Rate Limit): deepseek-flash."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of a client. Holds no live object, so it can be shown and compared."""

    api_key: ApiKey
    base_url: str
    timeouts: Timeouts
    retry: RetryPolicy
    max_concurrency: int | Literal["auto"]
    requests_per_minute: float | None
    tokens_per_minute: float | None
    proxies: Mapping[str, Proxy] = {}
    """Proxy per server, by the server's base URL; servers without one are missing."""
    default_headers: Mapping[str, str]
    endpoints: Mapping[str, Endpoint] = {}
    holidays: frozenset[date] = frozenset()
    lint: LintMode = "warn"
    tokenizer: str | None = None
    tool_threads: int = 40
    account: str
    breaker: BreakerPolicy | None = None
    limits: Limits = DEFAULT_LIMITS
    tool_limits: ToolLimits = DEFAULT_TOOL_LIMITS
    currency_rates: Mapping[str, float] = {}
    """US dollars per unit of another currency."""
    fallback_models: tuple[str, ...] = ()
    fallback: Endpoint | None = None
    shared: str = MACHINE
    """Processes that share the adaptive concurrency limits."""
    cache_folder: Path | None = None
    """Folder that stores learned limits between runs; None disables storage."""

    @property
    def most_connections(self) -> int:
        """Internal: maximum number of connections that the client can use."""
        return NOMINAL_CONCURRENCY if self.max_concurrency == "auto" else self.max_concurrency


def key_from(argument: str | None, environment: Mapping[str, str] | None = None) -> ApiKey:
    """Return ``argument``, else ``DEEPSEEK_API_KEY``. Raises ConfigurationError if neither is set.

    Without local variables that hold the environment's, so that tracebacks with locals show no key.
    """
    if isinstance(argument, str):
        argument = Secret(argument)
    if argument is None and _variable("DEEPSEEK_API_KEY", environment) is None:
        raise ConfigurationError("no API key: pass api_key= or set DEEPSEEK_API_KEY")
    return ApiKey((_variable("DEEPSEEK_API_KEY", environment) or "") if argument is None else argument)


def settings_from(options: ClientOptions, environment: Mapping[str, str] | None = None) -> Settings:
    """Validate the arguments and fill in missing ones from the environment.

    Reads ``DEEPSEEK_BASE_URL``, ``DEEPSEEK_ASYNC_MAX_CONCURRENCY``, ``DEEPSEEK_ASYNC_CACHE_DIR``,
    ``DEEPSEEK_ASYNC_HOLIDAYS``, ``DEEPSEEK_ASYNC_CNY_RATE``, ``DEEPSEEK_ASYNC_SHARED`` and, with ``trust_env``,
    ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``.
    Raises ConfigurationError, naming the setting, if one is missing or invalid.
    """
    api_key = key_from(options.get("api_key"), environment)
    base_url = options.get("base_url")
    variable = None if _text("base_url", base_url) else _variable("DEEPSEEK_BASE_URL", environment)
    url = checked_url("DEEPSEEK_BASE_URL" if variable else "base_url", base_url or variable or DEFAULT_BASE_URL)
    concurrency = _concurrency(options.get("max_concurrency"), _variable("DEEPSEEK_ASYNC_MAX_CONCURRENCY", environment))
    others = _checked_endpoints(options.get("endpoints") or {}, api_key, url)
    backup = _fallback(options.get("fallback"), api_key, url)
    servers = [url, *(endpoint.base_url for endpoint in (backup, *others.values()) if endpoint is not None)]
    proxies = proxies_to(
        servers, _text("proxy", options.get("proxy")), _proxies_of(options.get("trust_env"), environment)
    )
    if any(address.startswith("https:") for address in (*servers, *(one.url for one in proxies.values()))):
        check_authorities()
    return Settings(
        api_key=api_key,
        base_url=url,
        timeouts=_timeouts(options.get("timeout")),
        retry=_retry(options.get("retry"), options.get("max_retries"), RetryPolicy()),
        max_concurrency=concurrency,
        requests_per_minute=_above_zero("requests_per_minute", options.get("requests_per_minute")),
        tokens_per_minute=_above_zero("tokens_per_minute", options.get("tokens_per_minute")),
        proxies=proxies,
        default_headers=checked("default_headers", options.get("default_headers") or {}, ConfigurationError),
        endpoints=others,
        holidays=holidays_from(options.get("holidays"), environment),
        lint=_lint(options.get("lint")),
        tokenizer=_path("tokenizer", options.get("tokenizer")),
        tool_threads=_whole("tool_threads", options.get("tool_threads")),
        account=_account(options.get("account"), api_key),
        breaker=_breaker(options.get("breaker")),
        limits=_limits(options.get("limits")),
        tool_limits=_tool_limits(options.get("tool_limits")),
        currency_rates=currency_rates_from(options.get("currency_rates"), environment),
        fallback_models=_fallback_models(options.get("fallback_models")),
        fallback=backup,
        shared=shared_from(options.get("shared"), _variable("DEEPSEEK_ASYNC_SHARED", environment)),
        cache_folder=_folder_to_remember_in(url, environment) if concurrency == "auto" else None,
    )


def with_options(
    settings: Settings,
    *,
    timeouts: Timeouts,
    retry: RetryPolicy | int | None,
    max_retries: int | None,
    lint: LintMode | None,
) -> Settings:
    """Return ``settings`` with changed per-call options; connection options are kept. Raises ConfigurationError."""
    return msgspec.structs.replace(
        settings,
        timeouts=timeouts,
        retry=_retry(retry, max_retries, settings.retry),
        lint=settings.lint if lint is None else _lint(lint),
    )


def holidays_from(argument: Iterable[date] | None, environment: Mapping[str, str] | None = None) -> frozenset[date]:
    """Return ``argument``, else the dates in ``DEEPSEEK_ASYNC_HOLIDAYS``. Raises ConfigurationError."""
    if argument is not None:
        days = _list_of("holidays", argument, "dates")
        if not all(isinstance(day, date) for day in days):
            raise ConfigurationError(f"holidays must be an iterable of datetime.date, got {argument!r}")
        return frozenset(days)
    text = _variable("DEEPSEEK_ASYNC_HOLIDAYS", environment)
    try:
        return frozenset(date.fromisoformat(day.strip()) for day in (text or "").split(",") if day.strip())
    except ValueError as error:
        raise ConfigurationError(
            f"DEEPSEEK_ASYNC_HOLIDAYS must be comma-separated dates such as 2027-02-09: {error}",
        ) from None


def currency_rates_from(
    argument: Mapping[str, float] | None,
    environment: Mapping[str, str] | None = None,
) -> Mapping[str, float]:
    """Return ``argument``, else the rate in ``DEEPSEEK_ASYNC_CNY_RATE``. Raises ConfigurationError."""
    given: Any = argument
    if given is None:
        text = _variable("DEEPSEEK_ASYNC_CNY_RATE", environment)
        try:
            given = {} if not text else {"CNY": float(text)}
        except ValueError:
            raise ConfigurationError(
                f"DEEPSEEK_ASYNC_CNY_RATE must be US dollars per yuan, such as 0.14, got {text!r}",
            ) from None
    if not isinstance(given, Mapping) or not set(given) <= {"CNY"}:
        raise ConfigurationError(
            f"currency_rates must be US dollars per yuan, for example {{'CNY': 0.14}}, got {given!r}; fees are "
            "published in no other currency",
        )
    return {name: _above_zero(f"currency_rates[{name!r}]", rate) or 0.0 for name, rate in given.items()}


def _variable(name: str, environment: Mapping[str, str] | None) -> str | None:
    return (os.environ if environment is None else environment).get(name)


def _timeouts(timeout: float | Timeouts | HTTPXTimeout | None) -> Timeouts:
    if timeout is None or is_omitted(timeout):
        return Timeouts()
    return as_timeouts(timeout, Timeouts()) or Timeouts(total=_number("timeout", timeout))


def _retry(retry: RetryPolicy | int | None, max_retries: int | None, default: RetryPolicy) -> RetryPolicy:
    """Return ``retry``, or ``default`` with the number of attempts that ``retry`` or ``max_retries`` sets."""
    if max_retries is not None:
        if retry is not None:
            raise ConfigurationError("retry and max_retries must not both be set; max_retries=3 equals retry=4")
        if not isinstance(max_retries, int) or isinstance(max_retries, bool) or max_retries < 0:
            raise ConfigurationError(f"max_retries must be an integer of at least 0, got {max_retries!r}")
        return msgspec.structs.replace(default, max_attempts=max_retries + 1)
    if retry is None or isinstance(retry, RetryPolicy):
        return retry or default
    if not isinstance(retry, int) or isinstance(retry, bool):
        raise ConfigurationError(f"retry must be a RetryPolicy or an integer of attempts, got {retry!r}")
    return msgspec.structs.replace(default, max_attempts=retry)


def _lint(mode: LintMode | None) -> LintMode:
    if mode is None or mode not in get_args(LintMode):
        raise ConfigurationError(f"lint must be one of {', '.join(get_args(LintMode))}, got {mode!r}")
    return mode


def _number(name: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ConfigurationError(f"{name} must be a number, got {value!r}")
    return value


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


def _text(name: str, value: Any) -> str | None:
    if value is None or is_omitted(value):
        return None
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a string, got {type(value).__name__}")
    return value


def _path(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str | os.PathLike):
        raise ConfigurationError(f"{name} must be the path of a file, got {value!r}")
    return None if value is None else str(os.fspath(value))


def _list_of(name: str, value: Any, what: str) -> list[Any]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ConfigurationError(f"{name} must be a list of {what}, got {value!r}")
    return list(value)


def _proxies_of(trust_env: bool | None, environment: Mapping[str, str] | None) -> Mapping[str, str]:
    if not isinstance(trust_env, bool):
        raise ConfigurationError(f"trust_env must be True or False, got {trust_env!r}")
    return (os.environ if environment is None else environment) if trust_env else {}


def _concurrency(argument: int | str | None, text: str | None) -> int | Literal["auto"]:
    name, value = "max_concurrency", argument
    if value is None and text:
        name = "DEEPSEEK_ASYNC_MAX_CONCURRENCY"
        try:
            value = text if text == "auto" else int(text)
        except ValueError:
            raise ConfigurationError(f'{name} must be an integer or "auto", got {text!r}') from None
    if value is None or value == "auto":
        return "auto"
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f'{name} must be an integer of at least 1, or "auto", got {value!r}')
    return value


def _account(name: str | None, api_key: ApiKey) -> str:
    if name is None:
        return api_key.fingerprint()
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"account must be a non-empty string, got {name!r}")
    return name


def _breaker(breaker: BreakerPolicy | bool | None) -> BreakerPolicy | None:
    if breaker is None or breaker is True:
        return BreakerPolicy()
    if breaker is False:
        return None
    if not isinstance(breaker, BreakerPolicy):
        raise ConfigurationError(f"breaker must be a BreakerPolicy, or False to disable it, got {breaker!r}")
    return breaker


def _limits(limits: Limits | None) -> Limits:
    if limits is not None and not isinstance(limits, Limits):
        raise ConfigurationError(f"limits must be a Limits, for example Limits(request=48 * 2**20), got {limits!r}")
    return limits or DEFAULT_LIMITS


def _tool_limits(limits: ToolLimits | None) -> ToolLimits:
    if limits is not None and not isinstance(limits, ToolLimits):
        raise ConfigurationError(
            f"tool_limits must be a ToolLimits, for example ToolLimits(searches_per_second=5), got {limits!r}",
        )
    return limits or DEFAULT_TOOL_LIMITS


def _fallback_models(models: Sequence[str] | None) -> tuple[str, ...]:
    names = _list_of("fallback_models", models, "model names")
    if not all(isinstance(model, str) and model for model in names):
        raise ConfigurationError(f"fallback_models must be a list of model names, got {models!r}")
    doubled = {model for model in names if names.count(model) > 1}
    if doubled:
        raise ConfigurationError(f"fallback_models must not repeat a model, got {doubled.pop()!r} twice")
    return tuple(names)


def _fallback(given: str | Endpoint | None, api_key: ApiKey, base_url: str) -> Endpoint | None:
    if given is None:
        return None
    endpoint = given if isinstance(given, Endpoint) else Endpoint(given)
    if not isinstance(endpoint.base_url, str):
        raise ConfigurationError(f"fallback must be a URL or an Endpoint, got {given!r}")
    url = checked_url("fallback", endpoint.base_url)
    own = api_key if same_origin(url, base_url) else None
    key = endpoint.api_key or own
    if url == base_url and endpoint.model is None and (key is None or key.fingerprint() == api_key.fingerprint()):
        raise ConfigurationError(f"fallback must differ from base_url in URL, key or model, got {url}")
    return Endpoint(url, key, model=endpoint.model)


def _folder_to_remember_in(base_url: str, environment: Mapping[str, str] | None) -> Path | None:
    """Return the user's cache folder, if there is one; limits of servers on this machine are not stored by default."""
    if is_loopback(urlsplit(base_url).hostname or "") and not _variable("DEEPSEEK_ASYNC_CACHE_DIR", environment):
        return None
    try:
        return cache_folder(environment)
    except (RuntimeError, OSError):  # no home folder, or a deleted working folder
        return None


def _above_zero(name: str, value: float | None) -> float | None:
    if value is not None and not 0 < _number(name, value) < float("inf"):
        raise ConfigurationError(f"{name} must be above 0 and finite, got {value!r}; omit it for no limit")
    return value


def _checked_endpoints(
    endpoints: Mapping[Family, str | Endpoint],
    api_key: ApiKey,
    base_url: str,
) -> dict[str, Endpoint]:
    """Return endpoints with validated URLs. The client's key is used only at the client's own origin."""
    if not isinstance(endpoints, Mapping):
        raise ConfigurationError(f"endpoints must map families to URLs or Endpoints, got {endpoints!r}")
    unknown = [family for family in endpoints if family not in FAMILIES]
    if unknown:
        raise ConfigurationError(f"endpoints[{unknown[0]!r}] is an unknown family; allowed: {', '.join(FAMILIES)}")
    checked: dict[str, Endpoint] = {}
    for family, given in endpoints.items():
        endpoint = given if isinstance(given, Endpoint) else Endpoint(given)
        if not isinstance(endpoint.base_url, str):
            raise ConfigurationError(f"endpoints[{family!r}] must be a URL or an Endpoint, got {given!r}")
        url = checked_url(f"endpoints[{family!r}]", endpoint.base_url)
        own = api_key if same_origin(url, base_url) else None
        checked[family] = Endpoint(url, endpoint.api_key or own)
    return checked
