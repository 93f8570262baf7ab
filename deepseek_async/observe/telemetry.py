"""OpenTelemetry spans and metrics by the GenAI conventions. Uses only the API; the program chooses the SDK.

The conventions are in development, so their names are spelled out here (semantic-conventions-genai, 2026-11).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from deepseek_async.errors import ConfigurationError
from deepseek_async.events import CallEnded, Event
from deepseek_async.text.unicode import all_encodable, encodable
from deepseek_async.types.json_text import read, write

try:
    from opentelemetry.metrics import MeterProvider, get_meter
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider, get_tracer
except ImportError:
    raise ConfigurationError('telemetry requires opentelemetry-api: pip install "deepseek-async[otel]"') from None

_NAME: Final = "deepseek_async"
_CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

# The conventions' buckets end at 81.92 s; calls with thinking take longer.
_SECONDS: Final = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
    163.84,
    327.68,
)
_TOKENS: Final = tuple(4**power for power in range(14))

_PARAMETERS: Final = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
}


class Telemetry:
    """Listener that records one span and a few measurements per call.

    - ``tracer_provider``, ``meter_provider``: the program's global ones by default.
    - ``capture_content``: whether spans contain prompts and answers; by default as in the standard environment
      variable ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``.

    The span is created when the call ends, with its start and end times, as a child of the span that is current
    at that moment. Raises ConfigurationError without opentelemetry-api (the extra ``otel``).
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        capture_content: bool | None = None,
    ) -> None:
        if capture_content is None:
            capture_content = os.environ.get(_CAPTURE, "").lower() in {"true", "1", "span_only", "span_and_event"}
        self._capture_content = capture_content
        self._tracer = get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = get_meter(_NAME, meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self._first = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time from the start of a call to the first content of a stream",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    def __call__(self, event: Event) -> None:
        """Record the event if it ends a call."""
        if isinstance(event, CallEnded):
            common = _common(event)
            self._measure(event, common)
            self._trace(event, common)

    def _measure(self, event: CallEnded, common: dict[str, Any]) -> None:
        self._duration.record(event.duration, common)
        if event.first_content is not None:
            self._first.record(event.first_content, common)
        if event.usage is not None and event.tier is None:
            self._tokens.record(event.usage.prompt_tokens, {**common, "gen_ai.token.type": "input"})
            self._tokens.record(event.usage.completion_tokens, {**common, "gen_ai.token.type": "output"})

    def _trace(self, event: CallEnded, common: dict[str, Any]) -> None:
        span = self._tracer.start_span(
            f"{event.operation} {event.model}".rstrip(),
            kind=SpanKind.CLIENT,
            attributes=common,
            start_time=int(event.started * 1e9),
        )
        if span.is_recording():
            self._describe(span, event)
        span.end(int((event.started + event.duration) * 1e9))

    def _describe(self, span: Span, event: CallEnded) -> None:
        request: dict[str, Any] = read(event.request) if event.request else {}
        attributes = {name: request[field] for field, name in _PARAMETERS.items() if request.get(field) is not None}
        stop = request.get("stop")
        optional = {
            "gen_ai.request.stop_sequences": [stop] if isinstance(stop, str) else stop,
            "gen_ai.request.stream": event.streamed or None,
            "gen_ai.output.type": _output_type(event.operation, request),
            "gen_ai.conversation.id": event.labels.conversation,
            "gen_ai.response.id": event.response_id,
            "gen_ai.response.finish_reasons": [event.finish_reason] if event.finish_reason else None,
            "gen_ai.response.time_to_first_chunk": event.first_content,
            "operation.cost": event.cost,
            **{f"deepseek.fees.{fee.kind}": fee.count for fee in event.fees},
        }
        if event.usage is not None and event.tier is None:
            # DeepSeek does not charge for prefix cache writes, so cache_creation stays unset.
            optional |= {
                "gen_ai.usage.input_tokens": event.usage.prompt_tokens,
                "gen_ai.usage.output_tokens": event.usage.completion_tokens,
                "gen_ai.usage.cache_read.input_tokens": event.usage.cached_tokens,
                "gen_ai.usage.reasoning.output_tokens": event.usage.reasoning_tokens or None,
            }
        if self._capture_content and request:
            optional |= _content(request, event)
        attributes |= {name: value for name, value in optional.items() if value is not None}
        # One text that UTF-8 cannot encode makes an exporter drop the whole batch of spans.
        span.set_attributes(all_encodable(attributes))
        if event.error is not None:
            # The message may quote the server; the class is enough.
            span.set_status(Status(StatusCode.ERROR, type(event.error).__name__))


def _common(event: CallEnded) -> dict[str, Any]:
    address = urlsplit(event.origin)
    common: dict[str, Any] = {
        "gen_ai.operation.name": event.operation,
        "gen_ai.provider.name": "deepseek",
        "server.address": address.hostname or "",
        "server.port": address.port or (80 if address.scheme == "http" else 443),
    }
    if event.model:
        common["gen_ai.request.model"] = event.model
    if event.served_model:
        common["gen_ai.response.model"] = encodable(event.served_model)
    if event.error is not None:
        common["error.type"] = type(event.error).__name__
    return common


def _output_type(operation: str, request: Mapping[str, Any]) -> str | None:
    if operation not in {"chat", "text_completion"}:
        return "image" if operation == "generate_content" else None
    wanted = request.get("response_format")
    return "json" if isinstance(wanted, Mapping) and str(wanted.get("type", "")).startswith("json") else "text"


def _content(request: Mapping[str, Any], event: CallEnded) -> dict[str, Any]:
    items = request.get("messages", request.get("input"))
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        items = [{"role": "user", "content": request.get("prompt", items)}]
    if request.get("instructions"):
        items = [{"role": "system", "content": request["instructions"]}, *items]
    captured = {"gen_ai.input.messages": write([_message(message) for message in items]).decode()}
    if event.answer is not None:
        answer = {**_message({"role": "assistant", "content": event.answer}), "finish_reason": event.finish_reason}
        captured["gen_ai.output.messages"] = write([answer]).decode()
    if request.get("tools"):
        captured["gen_ai.tool.definitions"] = write(request["tools"]).decode()
    return captured


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": message.get("role"), "parts": [{"type": "text", "content": message.get("content")}]}
