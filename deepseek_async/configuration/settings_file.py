"""A settings file to the arguments of a client. Arguments win over the environment, the environment over the file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Any, Final

import msgspec

from deepseek_async.admission import BreakerPolicy
from deepseek_async.admission.tool_limits import ToolLimits
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.configuration.checked import Given, check, environment_of
from deepseek_async.configuration.document import read, readable_by_others
from deepseek_async.configuration.schema import ARGUMENTS, SCHEMA, Section, SettingKey
from deepseek_async.errors import ConfigurationError
from deepseek_async.events import Listener
from deepseek_async.transport.proxies import EXEMPTIONS, variable_for

_DAY: Final = 86_400.0

_NAMED_FIRST: Final = re.compile(r"(\w+)(?:\.(\w+))?")

_ELSEWHERE: Final = {"audit.days": "security_settings.data_retention"}
"""Settings that stand in a section of another name than the part that refuses them."""


class ValueOrigin(msgspec.Struct, frozen=True):
    """A setting as it holds, and why."""

    name: str
    value: Any
    source: str
    """default, the variable's name, or the file with the line."""
    secret: bool

    __repr__ = object.__repr__


class SettingsFile:
    """A file that was read and checked; None for no file, only the environment.

    ``trust_env`` is the client's argument of that name, if it has one.
    Raises ConfigurationError, naming line and nearest name, if it is wrong.
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
            # Without the frames below: their locals are the file's text, with the key.
            failure: ConfigurationError | None = error.with_traceback(None)
        else:
            failure = None
        if failure is not None:
            raise failure
        key = self._given.get("api_key")
        if key is not None and key.reference is None and readable_by_others(self.path):
            warnings.warn(
                f"{self.path} holds the API key and other users can read it: chmod 600, or use env:NAME",
                stacklevel=3,
            )

    def origins(self) -> list[ValueOrigin]:
        """Every setting: its value now, and where that comes from."""
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
        """What the file says, as AsyncDeepSeek's arguments; nothing that the environment says otherwise.

        Raises ConfigurationError, naming the line, for values that do not go together.
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
        """``error``, which names a setting first, with the line of the file that gave it.

        ``arguments`` are those that won over the file.
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
        """What the file says of ``log``."""
        level: str | None = self._value("log")
        return level

    @property
    def metrics_address(self) -> tuple[int, str] | None:
        """Port and address on which the file wants metrics served."""
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
        """What the file says, unless the environment says something else."""
        entry = SCHEMA[name]
        given = self._given.get(name)
        if given is None or (isinstance(entry, SettingKey) and self._variable(entry) is not None):
            return None
        return given.value

    def _section(self, name: str) -> Any:
        """The section's settings, or its short form, or None if the file does not have it."""
        if name in self._given:
            return self._given[name].value
        prefix = f"{name}."
        found = {key.removeprefix(prefix): one.value for key, one in self._given.items() if key.startswith(prefix)}
        return found or None

    def _variable(self, key: SettingKey) -> str | None:
        name = self._variable_name(key)
        return self._environment.get(name) if name is not None else None

    def _variable_name(self, key: SettingKey) -> str | None:
        """The variable that wins over the file; for the proxy it is found by what is asked, and where."""
        if key is not SCHEMA["proxy"]:
            return key.variable
        switch = self._given.get("trust_env")
        if self._trust_env is False or (self._trust_env is None and switch is not None and not switch.value):
            return None
        endpoint = SCHEMA["endpoint"]
        assert isinstance(endpoint, SettingKey)  # noqa: S101  for the type checker
        try:
            return variable_for(str(self._origin("endpoint", endpoint).value), self._environment)
        except ValueError:  # an address that the client refuses
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
"""Settings that are arguments as they are."""


def _cache(given: Any, days: int | None) -> Any:
    from deepseek_async.cache import Cache  # noqa: PLC0415  brings SQLite

    options: dict[str, Any] = {"path": given} if isinstance(given, str) else {} if given is True else dict(given)
    if days is not None:
        # Answers hold personal data as audit lines do.
        ttl = min(options.get("ttl", _DAY), days * _DAY)
        stale = min(options.get("stale_if_error", 0.0), days * _DAY - ttl)
        options |= {"ttl": ttl, "stale_if_error": stale}
    return Cache(**options)


def _budget(given: Any) -> Any:
    from deepseek_async.admission.budget import Budget  # noqa: PLC0415  brings SQLite

    if not isinstance(given, dict):
        return Budget(given)
    if "daily" not in given:
        raise ConfigurationError("budget needs daily, the US dollars a day")
    return Budget(**given)


def _content_filter(security: Mapping[str, Any]) -> Any:
    from deepseek_async.content import ContentFilter  # noqa: PLC0415

    return ContentFilter(**{name: security[name] for name in ("secrets", "personal") if name in security})


def commented_file() -> str:
    """A settings file with every setting, each with what it means; all but the key are commented out."""
    lines = [
        "# Settings of deepseek_async. Arguments win over the environment, the environment over this file.",
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
    variable = f" ({key.variable} wins over it.)" if key.variable else ""
    return f"{name}: {key.example}".ljust(44) + f"  # {key.about}{variable}"
