"""Settings file. Arguments override environment variables, environment variables override the file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Mapping
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from deepseek_async.admission import BreakerPolicy
from deepseek_async.admission.tool_limits import ToolLimits
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.configuration.checker import Given, check, environment_of
from deepseek_async.configuration.schema import ARGUMENTS, SCHEMA, Section, SettingKey
from deepseek_async.configuration.yaml_document import read, readable_by_others
from deepseek_async.errors import ConfigurationError
from deepseek_async.events import Listener
from deepseek_async.observe.logs import write_to_stderr
from deepseek_async.transport.proxies import EXEMPTIONS, variable_for

T = TypeVar("T")

_DAY: Final = 86_400.0

_NAMED_FIRST: Final = re.compile(r"(\w+)(?:\.(\w+))?")

_ELSEWHERE: Final = {"audit.days": "security_settings.data_retention"}
"""Settings whose section has another name than the component that validates them."""


class ValueOrigin(msgspec.Struct, frozen=True):
    """Effective value of a setting and its source."""

    name: str
    value: Any
    source: str
    """default, the environment variable, or file and line."""
    secret: bool

    __repr__ = object.__repr__


class SettingsFile:
    """A validated settings file; without a file, only environment variables apply.

    ``trust_env`` is the client argument of that name, if given.
    Raises ConfigurationError, with the line and the nearest valid name, if the file is invalid.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None,
        environment: Mapping[str, str] | None = None,
        *,
        trust_env: bool | None = None,
    ) -> None:
        self.path = Path("" if path is None else path).expanduser()
        self._environment = environment_of(environment)
        self._trust_env = trust_env
        self._given: dict[str, Given] = {}
        if path is None:
            return
        try:
            self._given = check(read(self.path), str(self.path), self._environment)
        except ConfigurationError as error:
            # Drops the frames below: their locals hold the text of the file, with the key.
            failure: ConfigurationError | None = error.with_traceback(None)
        else:
            failure = None
        if failure is not None:
            raise failure
        key = self._given.get("api_key")
        if key is not None and key.reference is None and readable_by_others(self.path):
            warnings.warn(
                f"settings file {self.path} contains the API key and is readable by other users: run chmod 600, or "
                "use env:NAME",
                stacklevel=3,
            )

    def origins(self) -> list[ValueOrigin]:
        """Every setting with its effective value and source."""
        found = []
        for name, entry in SCHEMA.items():
            if isinstance(entry, SettingKey):
                found.append(self._origin(name, entry))
                continue
            if name in self._given:
                found.append(ValueOrigin(name, self._given[name].value, self._place(self._given[name]), secret=False))
                continue
            found += [self._origin(f"{name}.{key}", inner) for key, inner in entry.keys.items()]
        return found

    def arguments(self) -> dict[str, Any]:
        """Return the file's settings as AsyncDeepSeek arguments, without those that an environment variable overrides.

        Raises ConfigurationError, with the line, if settings conflict.
        """
        try:
            return self._arguments()
        except ConfigurationError as error:
            failure = self.placed(error)
        raise failure

    def _arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, argument in _PLAIN.items():
            if (value := self._value(name)) is not None:
                found[argument] = value
        if (days := self._value("holidays")) is not None:
            found["holidays"] = [date.fromisoformat(day) for day in days]
        if limits := self._section("tool_limits"):
            found["tool_limits"] = ToolLimits(**limits)
        if (rate := self._value("cny_rate")) is not None:
            found["currency_rates"] = {"CNY": rate}
        if retry := self._section("retry_policy"):
            found["retry"] = RetryPolicy(**retry)
        breaker = self._section("circuit_breaker")
        if breaker is not None:
            found["breaker"] = breaker if isinstance(breaker, bool) else BreakerPolicy(**breaker)
        return found | self._companions()

    def placed(self, error: ConfigurationError, arguments: Collection[str] = ()) -> ConfigurationError:
        """Return ``error`` with the file and line of the setting that its message starts with.

        ``arguments`` are the settings that an argument overrode.
        """
        match = _NAMED_FIRST.match(error.message)
        if match is None or match[1] in arguments:
            return error
        section = ARGUMENTS.get(match[1], match[1])
        name = _ELSEWHERE.get(match[0], f"{section}.{match[2]}")
        if name not in self._given:
            name = section
        entry = SCHEMA.get(name)
        if isinstance(entry, SettingKey) and self._variable(entry) is not None:
            return error
        lines = [one.line for key, one in self._given.items() if key == name or key.startswith(f"{name}.")]
        if not lines:
            return error
        return ConfigurationError(f"{self.path}, line {min(lines)}: {name}{error.message[match.end() :]}")

    @property
    def log_level(self) -> str | None:
        """The file's ``log`` setting."""
        level: str | None = self._value("log")
        return level

    @property
    def metrics_address(self) -> tuple[int, str] | None:
        """Port and address for serving metrics."""
        metrics = self._section("metrics")
        if metrics is None or metrics is False:
            return None
        if isinstance(metrics, int):
            return metrics, "127.0.0.1"
        return metrics.get("port", 9464), metrics.get("address", "127.0.0.1")

    def _companions(self) -> dict[str, Any]:
        security: dict[str, Any] = self._section("security_settings") or {}
        days = security.get("data_retention", 90)
        found: dict[str, Any] = {}
        if cache := self._section("cache"):
            found["cache"] = _cache(cache, days if "data_retention" in security else None)
        if (budget := self._section("budget")) is not None:
            found["budget"] = _budget(budget)
        if security.get("content_filter"):
            found["content_filter"] = _content_filter(security)
        if listeners := self._listeners(security, days):
            found["listeners"] = listeners
        return found

    def _listeners(self, security: Mapping[str, Any], days: int) -> list[Listener]:
        found: list[Listener] = []
        if security.get("audit_logging"):
            from deepseek_async.observe.audit import AuditLog  # noqa: PLC0415

            content = bool(security.get("audit_content"))
            found.append(AuditLog(security.get("audit_folder"), days=days, content=content))
        if self.metrics_address is not None:
            from deepseek_async.observe.metrics import ServedMetrics  # noqa: PLC0415  optional

            found.append(ServedMetrics(*self.metrics_address))
        if self._value("telemetry"):
            from deepseek_async.observe.telemetry import Telemetry  # noqa: PLC0415  optional

            found.append(Telemetry())
        if self.log_level is not None:
            from deepseek_async.observe.logs import CallLog  # noqa: PLC0415

            found.append(CallLog())
        return found

    def _value(self, name: str) -> Any:
        """Return the value in the file, unless an environment variable overrides it."""
        entry = SCHEMA[name]
        given = self._given.get(name)
        if given is None or (isinstance(entry, SettingKey) and self._variable(entry) is not None):
            return None
        return given.value

    def _section(self, name: str) -> Any:
        """Return the section's settings, or its short form, or None if the file lacks it."""
        if name in self._given:
            return self._given[name].value
        prefix = f"{name}."
        found = {key.removeprefix(prefix): one.value for key, one in self._given.items() if key.startswith(prefix)}
        return found or None

    def _variable(self, key: SettingKey) -> str | None:
        name = self._variable_name(key)
        return self._environment.get(name) if name is not None else None

    def _variable_name(self, key: SettingKey) -> str | None:
        """Return the environment variable that overrides the file; for the proxy, the one for the endpoint."""
        if key is not SCHEMA["proxy"]:
            return key.variable
        switch = self._given.get("trust_env")
        if self._trust_env is False or (self._trust_env is None and switch is not None and not switch.value):
            return None
        endpoint = SCHEMA["endpoint"]
        assert isinstance(endpoint, SettingKey)  # noqa: S101  for the type checker
        try:
            return variable_for(str(self._origin("endpoint", endpoint).value), self._environment)
        except ValueError:  # an invalid URL, which the client rejects later
            return None

    def _origin(self, name: str, key: SettingKey) -> ValueOrigin:
        given = self._given.get(name)
        variable = self._variable(key)
        if variable is not None:
            source = str(self._variable_name(key))
            return ValueOrigin(name, None if source in EXEMPTIONS else variable, source, key.secret)
        if given is None:
            return ValueOrigin(name, key.default, "default", key.secret)
        return ValueOrigin(name, given.value, self._place(given), key.secret)

    def _place(self, given: Given) -> str:
        place = f"{self.path}:{given.line}"
        return f"{given.reference} in {place}" if given.reference is not None else place


_PLAIN: Final = {
    "api_key": "api_key",
    "endpoint": "base_url",
    "account": "account",
    "timeout": "timeout",
    "max_concurrency": "max_concurrency",
    "shared": "shared",
    "requests_per_minute": "requests_per_minute",
    "tokens_per_minute": "tokens_per_minute",
    "fallback_models": "fallback_models",
    "fallback": "fallback",
    "proxy": "proxy",
    "trust_env": "trust_env",
    "default_headers": "default_headers",
    "lint": "lint",
    "tool_threads": "tool_threads",
}
"""Settings that are passed unchanged as arguments."""


def _cache(given: Any, days: int | None) -> Any:
    from deepseek_async.cache import Cache  # noqa: PLC0415  imports SQLite

    options: dict[str, Any] = {"path": given} if isinstance(given, str) else {} if given is True else dict(given)
    if days is not None:
        # Cached answers contain personal data, like audit lines, so the retention limit covers them.
        ttl = min(options.get("ttl", _DAY), days * _DAY)
        stale = min(options.get("stale_if_error", 0.0), days * _DAY - ttl)
        options |= {"ttl": ttl, "stale_if_error": stale}
    return Cache(**options)


def _budget(given: Any) -> Any:
    from deepseek_async.admission.budget import Budget  # noqa: PLC0415  imports SQLite

    if not isinstance(given, dict):
        return Budget(given)
    if "daily" not in given:
        raise ConfigurationError("budget requires daily (US dollars per day)")
    return Budget(**given)


def _content_filter(security: Mapping[str, Any]) -> Any:
    from deepseek_async.content import ContentFilter  # noqa: PLC0415

    return ContentFilter(**{name: security[name] for name in ("secrets", "personal") if name in security})


def commented_file() -> str:
    """Return an example settings file with every setting and its description; all but the key are commented out."""
    lines = [
        "# Settings of deepseek_async. Precedence: arguments, environment variables, this file.",
        "deepseek:",
    ]
    for name, entry in SCHEMA.items():
        if isinstance(entry, Section):
            lines += ["", f"  # {entry.about}", f"  # {name}:"]
            lines += [f"  #   {_shown(key, inner)}" for key, inner in entry.keys.items()]
        else:
            comment = "" if name == "api_key" else "# "
            lines += ["", f"  {comment}{_shown(name, entry)}"]
    return "\n".join(lines) + "\n"


def _shown(name: str, key: SettingKey) -> str:
    variable = f" (Overridden by {key.variable}.)" if key.variable else ""
    return f"{name}: {key.example}".ljust(44) + f"  # {key.about}{variable}"


def made_from(path: str | PathLike[str], make: Callable[..., T], arguments: Mapping[str, Any]) -> T:
    """Call ``make`` with the settings of a file, overridden by ``arguments``.

    Raises ConfigurationError, naming the line.

    ``arguments`` are shown in tracebacks: hide those that are secret.
    """
    file = SettingsFile(path, trust_env=arguments.get("trust_env"))
    if file.log_level is not None:
        write_to_stderr(file.log_level)
    given = file.arguments()
    try:
        return make(**{**given, **arguments})
    except ConfigurationError as error:
        failure = file.placed(error, arguments)
    raise failure
