"""Schema of the settings file: names, types, defaults and descriptions. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final, TypeAlias

import msgspec


class SettingKey(msgspec.Struct, frozen=True):
    """Schema of one setting."""

    kind: Kind
    about: str
    example: str = ""
    """Example value for ``config init``."""
    default: Any = None
    variable: str | None = None
    """Environment variable that overrides the file."""
    secret: bool = False


class Section(msgspec.Struct, frozen=True):
    """Schema of a section; ``short`` is the type of its one-value form, if it has one."""

    about: str
    keys: dict[str, SettingKey]
    short: Kind | None = None


class Kind(msgspec.Struct, frozen=True):
    """Type of a value."""

    name: str
    accepts: Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _date(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value) is not None
    except ValueError:
        return False


def _list_of(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(kind, value))


def _text(value: Any) -> bool:
    return isinstance(value, str)


TEXT: Final = Kind("a string", _text)
NUMBER: Final = Kind("a number", _number)
WHOLE: Final = Kind("an integer", _whole)
SWITCH: Final = Kind("true or false", lambda value: isinstance(value, bool))
TEXTS: Final = Kind("a list of strings", _list_of(_text))
NUMBERS: Final = Kind("a list of numbers", _list_of(_number))
DATES: Final = Kind("a list of dates such as 2027-02-09", _list_of(_date))
HEADERS: Final = Kind("a mapping of strings", lambda value: isinstance(value, dict) and all(map(_text, value.values())))
CONCURRENCY: Final = Kind("an integer, or auto", lambda value: _whole(value) or value == "auto")

# YAML parses a bare ``off`` as false.
SHARED: Final = Kind("machine or off", lambda value: value is False or _text(value))

ARGUMENTS: Final = {
    "base_url": "endpoint",
    "retry": "retry_policy",
    "max_retries": "retry_policy",
    "breaker": "circuit_breaker",
    "content_filter": "security_settings",
}
"""Constructor arguments that have another name in the file."""

Entry: TypeAlias = SettingKey | Section

SCHEMA: Final[dict[str, Entry]] = {
    "api_key": SettingKey(
        TEXT,
        "API key; preferably a reference: env:NAME or file:PATH.",
        "env:DEEPSEEK_API_KEY",
        variable="DEEPSEEK_API_KEY",
        secret=True,
    ),
    "endpoint": SettingKey(
        *(TEXT, "Base URL of the API.", "https://api.deepseek.com", "https://api.deepseek.com"),
        variable="DEEPSEEK_BASE_URL",
    ),
    "account": SettingKey(TEXT, "Name of the account; set it if several keys share one account."),
    "timeout": SettingKey(
        NUMBER, "Seconds for a whole call, queueing and retries included; by default only single waits are bounded."
    ),
    "max_concurrency": SettingKey(
        *(CONCURRENCY, "Concurrent requests per model; auto finds the account's limit.", "auto", "auto"),
        variable="DEEPSEEK_ASYNC_MAX_CONCURRENCY",
    ),
    "shared": SettingKey(
        *(SHARED, "Scope of shared limits: machine, ray, a Redis URL, or off.", "machine", "machine"),
        variable="DEEPSEEK_ASYNC_SHARED",
        secret=True,
    ),
    "requests_per_minute": SettingKey(NUMBER, "Client-side limit; the API has none."),
    "tokens_per_minute": SettingKey(NUMBER, "Client-side limit; the API has none."),
    "fallback_models": SettingKey(TEXTS, "Models to try in order when the requested one fails.", "[deepseek-v4-pro]"),
    "fallback": SettingKey(TEXT, "Base URL of another server to try after them."),
    "proxy": SettingKey(
        *(TEXT, "URL of an HTTP proxy.", "http://proxy.example:3128"),
        variable="HTTPS_PROXY",
        secret=True,
    ),
    "trust_env": SettingKey(SWITCH, "Read HTTPS_PROXY, ALL_PROXY and NO_PROXY.", "true", True),
    "default_headers": SettingKey(HEADERS, "Headers sent with every request.", "{X-Team: search}", secret=True),
    "lint": SettingKey(
        TEXT, "Action for requests that DeepSeek would refuse: off, warn, fix or error.", "warn", "warn"
    ),
    "tool_threads": SettingKey(WHOLE, "Threads for synchronous functions of run_tools.", "40", 40),
    "tool_limits": Section(
        "Limits of the stand-alone tools.",
        {
            "searches_per_second": SettingKey(NUMBER, "Searches per second for the account.", "5", 100),
            "fetches_per_second": SettingKey(NUMBER, "Fetches per second for the account.", "5", 25),
            "ocr_at_once": SettingKey(WHOLE, "Concurrent requests.", "50", 50),
            "speech_at_once": SettingKey(WHOLE, "Concurrent requests.", "50", 50),
            "transcriptions_at_once": SettingKey(WHOLE, "Concurrent requests.", "50", 50),
        },
    ),
    "cny_rate": SettingKey(
        *(NUMBER, "US dollars per yuan, for fees published only in yuan.", "0.14"),
        variable="DEEPSEEK_ASYNC_CNY_RATE",
    ),
    "holidays": SettingKey(
        *(DATES, "Chinese public holidays (off-peak all day); replaces the built-in ones of the same years."),
        variable="DEEPSEEK_ASYNC_HOLIDAYS",
    ),
    "log": SettingKey(
        *(TEXT, "Log level on stderr: debug, info, warning or error; no log by default.", "warning"),
        variable="DEEPSEEK_ASYNC_LOG",
    ),
    "retry_policy": Section(
        "Retries of failed calls.",
        {
            "max_attempts": SettingKey(WHOLE, "Attempts per call, the first included.", "3", 4),
            "base_delay": SettingKey(
                NUMBER, "Seconds; initial back-off, doubled per attempt, with full jitter.", "1.0", 0.5
            ),
            "max_delay": SettingKey(NUMBER, "Seconds; maximum back-off.", "30.0", 30.0),
        },
    ),
    "circuit_breaker": Section(
        "Circuit breaker: stops requests after repeated failures; false disables it.",
        {
            "failure_threshold": SettingKey(WHOLE, "Consecutive failures that open it.", "5", 5),
            "reset_timeout": SettingKey(NUMBER, "Seconds until a probe request.", "60", 60),
        },
        short=SWITCH,
    ),
    "security_settings": Section(
        "Content filter and audit log.",
        {
            "content_filter": SettingKey(
                SWITCH, "Redact secrets in requests and answers, count personal data.", "true", False
            ),
            "data_retention": SettingKey(WHOLE, "Retention of audit lines and cached answers in days.", "90", 90),
            "audit_logging": SettingKey(SWITCH, "Write one JSON line per call.", "true", False),
            "audit_folder": SettingKey(TEXT, "Folder of the audit log.", "~/.local/state/deepseek_async/audit"),
            "audit_content": SettingKey(SWITCH, "Include prompts and answers.", "false", False),
            "secrets": SettingKey(TEXT, "Action for keys and tokens: redact, block, flag or off.", "redact", "redact"),
            "personal": SettingKey(TEXT, "Action for personal data: redact, block, flag or off.", "flag", "flag"),
        },
    ),
    "cache": Section(
        "Answer cache. true for memory only, or the path of a file.",
        {
            "path": SettingKey(
                TEXT,
                "SQLite file; without it answers are cached in memory only.",
                "~/.cache/deepseek_async/answers.sqlite",
            ),
            "redis": SettingKey(TEXT, "URL of a Redis shared by machines.", "env:REDIS_URL", secret=True),
            "ttl": SettingKey(NUMBER, "Seconds until an answer expires.", "86400", 86_400),
            "stale_if_error": SettingKey(NUMBER, "Seconds after expiry in which it may replace an error.", "604800", 0),
            "memory_bytes": SettingKey(WHOLE, "Memory limit in bytes.", "67108864", 67_108_864),
            "disk_bytes": SettingKey(WHOLE, "File size limit in bytes.", "1073741824", 1_073_741_824),
            "only_deterministic": SettingKey(
                SWITCH, "Cache only requests with temperature 0 and thinking disabled.", "true", True
            ),
        },
        short=Kind("true, false or a path", lambda value: isinstance(value, str | bool)),
    ),
    "budget": Section(
        "Daily spending limit in US dollars: a number, or a section.",
        {
            "daily": SettingKey(NUMBER, "US dollars per day.", "5.0"),
            "zone": SettingKey(TEXT, "Time zone of the budget day (IANA name).", "UTC", "UTC"),
            "alerts": SettingKey(
                NUMBERS, "Spent shares that raise an alert in log and metrics.", "[0.5, 0.8, 1.0]", [0.5, 0.8, 1.0]
            ),
            "at_cap": SettingKey(
                TEXT, "When the budget is spent: error, wait (for the next day) or cheaper.", "error", "error"
            ),
            "cheaper_model": SettingKey(TEXT, "Model for at_cap: cheaper.", "deepseek-flash"),
            "path": SettingKey(
                TEXT,
                "File shared by the processes of a machine; default: the Redis named in shared, if any.",
                "~/.local/state/deepseek_async/budget.sqlite",
            ),
        },
        short=NUMBER,
    ),
    "metrics": Section(
        "Prometheus metrics: a port, or a section.",
        {
            "port": SettingKey(WHOLE, "Port of /metrics.", "9464", 9464),
            "address": SettingKey(TEXT, "Address to listen on.", "127.0.0.1", "127.0.0.1"),
        },
        short=WHOLE,
    ),
    "telemetry": SettingKey(SWITCH, "Export OpenTelemetry spans and metrics through the program's SDK.", "true", False),
}
"""Settings under ``deepseek:``. ``security_settings`` may also be a top-level section."""
