"""What may stand in a settings file: names, kinds, defaults, and a line about each. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final, TypeAlias

import msgspec


class SettingKey(msgspec.Struct, frozen=True):
    """One setting."""

    kind: Kind
    about: str
    example: str = ""
    """What ``config init`` shows."""
    default: Any = None
    variable: str | None = None
    """The environment variable that wins over the file."""
    secret: bool = False


class Section(msgspec.Struct, frozen=True):
    """Settings that belong together. May also be given as one value, if ``short`` says of which kind."""

    about: str
    keys: dict[str, SettingKey]
    short: Kind | None = None


class Kind(msgspec.Struct, frozen=True):
    """What a value must be."""

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


TEXT: Final = Kind("text", _text)
NUMBER: Final = Kind("a number", _number)
WHOLE: Final = Kind("a whole number", _whole)
SWITCH: Final = Kind("true or false", lambda value: isinstance(value, bool))
TEXTS: Final = Kind("a list of texts", _list_of(_text))
NUMBERS: Final = Kind("a list of numbers", _list_of(_number))
DATES: Final = Kind("a list of dates such as 2027-02-09", _list_of(_date))
HEADERS: Final = Kind("names with texts", lambda value: isinstance(value, dict) and all(map(_text, value.values())))
CONCURRENCY: Final = Kind("a whole number, or auto", lambda value: _whole(value) or value == "auto")

# YAML reads a bare off as false.
SHARED: Final = Kind("machine or off", lambda value: value is False or _text(value))

ARGUMENTS: Final = {
    "base_url": "endpoint",
    "retry": "retry_policy",
    "max_retries": "retry_policy",
    "breaker": "circuit_breaker",
    "content_filter": "security_settings",
}
"""What a file calls differently from the constructor of a client."""

Entry: TypeAlias = SettingKey | Section

SCHEMA: Final[dict[str, Entry]] = {
    "api_key": SettingKey(
        TEXT,
        "The key, better by reference: env:NAME or file:PATH.",
        "env:DEEPSEEK_API_KEY",
        variable="DEEPSEEK_API_KEY",
        secret=True,
    ),
    "endpoint": SettingKey(
        *(TEXT, "Address of the API.", "https://api.deepseek.com", "https://api.deepseek.com"),
        variable="DEEPSEEK_BASE_URL",
    ),
    "account": SettingKey(TEXT, "A name for the account, if several keys belong to it."),
    "timeout": SettingKey(
        NUMBER, "Seconds for a whole call, queueing and retries included; without it only each wait is bounded."
    ),
    "max_concurrency": SettingKey(
        *(CONCURRENCY, "Requests in flight for each model; auto finds the account's limit.", "auto", "auto"),
        variable="DEEPSEEK_ASYNC_MAX_CONCURRENCY",
    ),
    "shared": SettingKey(
        *(SHARED, "Which processes share the limits: machine, ray, the URL of a Redis, or off.", "machine", "machine"),
        variable="DEEPSEEK_ASYNC_SHARED",
        secret=True,
    ),
    "requests_per_minute": SettingKey(NUMBER, "A limit of your own; the API has none."),
    "tokens_per_minute": SettingKey(NUMBER, "A limit of your own; the API has none."),
    "fallback_models": SettingKey(
        TEXTS, "Models that are asked in turn when the one that was asked fails.", "[deepseek-v4-pro]"
    ),
    "fallback": SettingKey(TEXT, "Another server that is asked after them."),
    "proxy": SettingKey(
        *(TEXT, "URL of an HTTP proxy.", "http://proxy.example:3128"),
        variable="HTTPS_PROXY",
        secret=True,
    ),
    "trust_env": SettingKey(SWITCH, "Whether HTTPS_PROXY, ALL_PROXY and NO_PROXY are read.", "true", True),
    "default_headers": SettingKey(HEADERS, "Sent with every request.", "{X-Team: search}", secret=True),
    "lint": SettingKey(TEXT, "Requests that DeepSeek would refuse: off, warn, fix or error.", "warn", "warn"),
    "tool_threads": SettingKey(WHOLE, "Threads for functions of run_tools that are not async.", "40", 40),
    "tool_limits": Section(
        "How much of each stand-alone tool is used.",
        {
            "searches_per_second": SettingKey(NUMBER, "Of the account.", "5", 100),
            "fetches_per_second": SettingKey(NUMBER, "Of the account.", "5", 25),
            "ocr_at_once": SettingKey(WHOLE, "Requests at a time.", "50", 50),
            "speech_at_once": SettingKey(WHOLE, "Requests at a time.", "50", 50),
            "transcriptions_at_once": SettingKey(WHOLE, "Requests at a time.", "50", 50),
        },
    ),
    "cny_rate": SettingKey(
        *(NUMBER, "US dollars for one yuan, for fees that are published in yuan only.", "0.14"),
        variable="DEEPSEEK_ASYNC_CNY_RATE",
    ),
    "holidays": SettingKey(
        *(DATES, "Chinese public holidays, which have no peak prices, in place of the built-in ones."),
        variable="DEEPSEEK_ASYNC_HOLIDAYS",
    ),
    "log": SettingKey(
        *(TEXT, "What goes to stderr: debug, info, warning or error; nothing by default.", "warning"),
        variable="DEEPSEEK_ASYNC_LOG",
    ),
    "retry_policy": Section(
        "When a call that failed is made again.",
        {
            "max_attempts": SettingKey(WHOLE, "Attempts of one call, the first included.", "3", 4),
            "base_delay": SettingKey(NUMBER, "Seconds; the back-off doubles from here, with full jitter.", "1.0", 0.5),
            "max_delay": SettingKey(NUMBER, "Seconds; the longest back-off.", "30.0", 30.0),
        },
    ),
    "circuit_breaker": Section(
        "When a service that fails again and again is left alone; false for never.",
        {
            "failure_threshold": SettingKey(WHOLE, "Failures in a row that open it.", "5", 5),
            "reset_timeout": SettingKey(NUMBER, "Seconds until one request tries again.", "60", 60),
        },
        short=SWITCH,
    ),
    "security_settings": Section(
        "What may pass, and what is kept of it.",
        {
            "content_filter": SettingKey(
                SWITCH, "Secrets are taken out of requests and answers, personal data is counted.", "true", False
            ),
            "data_retention": SettingKey(WHOLE, "Days for which audit lines and cached answers are kept.", "90", 90),
            "audit_logging": SettingKey(SWITCH, "One line of JSON for every call.", "true", False),
            "audit_folder": SettingKey(TEXT, "Where the lines are kept.", "~/.local/state/deepseek_async/audit"),
            "audit_content": SettingKey(SWITCH, "Whether prompts and answers are kept too.", "false", False),
            "secrets": SettingKey(
                TEXT, "What becomes of keys and tokens: redact, block, flag or off.", "redact", "redact"
            ),
            "personal": SettingKey(TEXT, "What becomes of personal data: redact, block, flag or off.", "flag", "flag"),
        },
    ),
    "cache": Section(
        "Serve answers again. true for memory only, or the path of a file.",
        {
            "path": SettingKey(
                TEXT, "An SQLite file; without it answers are in memory only.", "~/.cache/deepseek_async/answers.sqlite"
            ),
            "redis": SettingKey(TEXT, "URL of a Redis that machines share.", "env:REDIS_URL", secret=True),
            "ttl": SettingKey(NUMBER, "Seconds for which an answer is served.", "86400", 86_400),
            "stale_if_error": SettingKey(NUMBER, "Seconds longer for which it replaces an error.", "604800", 0),
            "memory_bytes": SettingKey(WHOLE, "Of answers in memory.", "67108864", 67_108_864),
            "disk_bytes": SettingKey(WHOLE, "Of the file.", "1073741824", 1_073_741_824),
            "only_deterministic": SettingKey(
                SWITCH, "Only requests with temperature 0 and thinking disabled.", "true", True
            ),
        },
        short=Kind("true, false or a path", lambda value: isinstance(value, str | bool)),
    ),
    "budget": Section(
        "US dollars a day that are not passed; a number, or more.",
        {
            "daily": SettingKey(NUMBER, "US dollars a day.", "5.0"),
            "zone": SettingKey(TEXT, "Where the day is counted, an IANA name.", "UTC", "UTC"),
            "alerts": SettingKey(
                NUMBERS, "Shares at which log and metrics are told.", "[0.5, 0.8, 1.0]", [0.5, 0.8, 1.0]
            ),
            "at_cap": SettingKey(TEXT, "error, wait (for the next day) or cheaper.", "error", "error"),
            "cheaper_model": SettingKey(TEXT, "The model for cheaper.", "deepseek-flash"),
            "path": SettingKey(
                TEXT,
                "The file that the processes of a machine share. Without it a Redis in shared keeps the budget.",
                "~/.local/state/deepseek_async/budget.sqlite",
            ),
        },
        short=NUMBER,
    ),
    "metrics": Section(
        "Serve Prometheus metrics; a port, or more.",
        {
            "port": SettingKey(WHOLE, "Port of /metrics.", "9464", 9464),
            "address": SettingKey(TEXT, "Address to listen on.", "127.0.0.1", "127.0.0.1"),
        },
        short=WHOLE,
    ),
    "telemetry": SettingKey(SWITCH, "OpenTelemetry spans and metrics, through the program's own SDK.", "true", False),
}
"""Under ``deepseek:``. ``security_settings`` may also stand beside it."""
