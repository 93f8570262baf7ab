"""Call log: stdlib logging with structured extras, without prompts, answers or keys."""

from __future__ import annotations

import logging
from typing import Any, Final

from deepseek_async.errors import ConfigurationError, DeepSeekError
from deepseek_async.events import CallEnded, Event, Rated, Retried
from deepseek_async.text.quoting import plain
from deepseek_async.text.redaction import redact

LOGGER: Final = logging.getLogger("deepseek_async")
"""The library's single logger."""

_LONGEST_FIELD: Final = 2048


class RedactingFilter(logging.Filter):
    """Redacts everything shaped like a key or a bearer token in log messages, as a last resort."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True always: records are modified, never dropped."""
        message = record.getMessage()
        safe = redact(message)
        if safe != message:
            record.msg, record.args = safe, None
        return True


def prepare() -> None:
    """Install a NullHandler, as libraries should, and mask keys for every handler that the program adds."""
    if not LOGGER.filters:
        LOGGER.addFilter(RedactingFilter())
        LOGGER.addHandler(logging.NullHandler())


def write_to_stderr(level: str) -> None:
    """Log to stderr for ``DEEPSEEK_ASYNC_LOG``, one line per record. Raises ConfigurationError for an unknown level."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigurationError(f"log level must be debug, info, warning or error, got {level!r}")
    handler = next((handler for handler in LOGGER.handlers if isinstance(handler, _Stderr)), None)
    if handler is None:
        handler = _Stderr()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        LOGGER.addHandler(handler)
    handler.setLevel(number)
    if number < LOGGER.getEffectiveLevel():
        # Only lowers the logger's level: the program's own handlers may need more detail.
        LOGGER.setLevel(number)


class _Stderr(logging.StreamHandler[Any]):
    """Marker class that prevents adding the handler twice."""


class CallLog:
    """Listener that logs each call: ``info`` for answers and retries, ``warning`` for errors.

    The record's extras hold the details, under names with the prefix ``deepseek_``.
    """

    def __call__(self, event: Event) -> None:
        """Log one event."""
        match event:
            case CallEnded():
                self._ended(event)
            case Retried():
                LOGGER.info(
                    "%s: %s, retry in %.2f s",
                    *(_field(event.model) or "call without a model", event.reason, event.delay),
                    extra={"deepseek_model": _field(event.model), "deepseek_reason": event.reason},
                )
            case Rated():
                LOGGER.info("%s: rated %g", _field(event.response_id), event.score)

    def _ended(self, event: CallEnded) -> None:
        level = logging.INFO if event.error is None or event.outcome == "cancelled" else logging.WARNING
        if not LOGGER.isEnabledFor(level):
            return
        LOGGER.log(
            level,
            "%s: %s in %.3f s, attempts %d%s",
            f"{event.operation} {_field(event.model)}".rstrip(),
            event.outcome,
            event.duration,
            event.attempts,
            _trouble(event.error),
            extra=_extra(event),
        )


def _trouble(error: BaseException | None) -> str:
    if error is None:
        return ""
    # Class and status only: the message may quote the server.
    status = error.status_code if isinstance(error, DeepSeekError) else None
    return f", {type(error).__name__}" + (f" {status}" if status else "")


def _extra(event: CallEnded) -> dict[str, Any]:
    facts = {
        "model": event.model,
        "served_model": event.served_model,
        "outcome": event.outcome,
        "duration": event.duration,
        "attempts": event.attempts,
        "request_id": event.request_id,
        "response_id": event.response_id,
        "finish_reason": event.finish_reason,
        "prompt_tokens": event.usage.prompt_tokens if event.usage else None,
        "completion_tokens": event.usage.completion_tokens if event.usage else None,
        "cost": event.cost,
        "fees": ", ".join(f"{fee.count} {fee.kind}" for fee in event.fees) or None,
        "tag": event.labels.tag,
        "prompt_version": event.labels.prompt_version,
    }
    return {f"deepseek_{name}": _field(value) if isinstance(value, str) else value for name, value in facts.items()}


def _field(text: str) -> str:
    return plain(redact(text[: 2 * _LONGEST_FIELD], cut=len(text) > 2 * _LONGEST_FIELD))[:_LONGEST_FIELD]
