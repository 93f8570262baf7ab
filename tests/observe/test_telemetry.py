"""OpenTelemetry by the GenAI conventions, through the real SDK."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from ended import AT, ended
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from deepseek_async import RateLimitError
from deepseek_async.events import Rated
from deepseek_async.labels import Labels
from deepseek_async.observe.telemetry import Telemetry


class Watched:
    """A Telemetry, and what it has recorded."""

    def __init__(self, **options: Any) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        self.telemetry = Telemetry(self.tracers, MeterProvider([self._reader]), **options)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._spans.get_finished_spans()

    def points(self) -> dict[str, Any]:
        data = self._reader.get_metrics_data()
        assert data is not None
        metrics = [
            metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
        ]
        return {metric.name: metric for metric in metrics}


@pytest.fixture(autouse=True)
def no_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", raising=False)


def test_a_call_is_a_client_span_with_the_names_of_the_conventions():
    watched = Watched()
    watched.telemetry(ended(labels=Labels(conversation="talk-1"), streamed=True, first_content=0.4))
    (span,) = watched.spans
    assert (span.name, span.kind, span.status.status_code) == ("chat deepseek-flash", SpanKind.CLIENT, StatusCode.UNSET)
    assert (span.start_time, span.end_time) == (int(AT * 1e9), int((AT + 1.5) * 1e9))
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "deepseek",
        "gen_ai.request.model": "deepseek-flash",
        "gen_ai.response.model": "deepseek-flash",
        "server.address": "api.deepseek.com",
        "server.port": 443,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "text",
        "gen_ai.conversation.id": "talk-1",
        "gen_ai.response.id": "resp-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.4,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 30,
        "gen_ai.usage.cache_read.input_tokens": 64,
        "gen_ai.usage.reasoning.output_tokens": 10,
        "operation.cost": 0.00002,
    }


def test_an_error_is_named_by_its_class():
    watched = Watched()
    error = RateLimitError("says too much", status_code=429)
    watched.telemetry(ended(error=error, outcome="rate_limit", usage=None))
    (span,) = watched.spans
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "RateLimitError"
    assert "says too much" not in span.to_json()


def test_the_span_is_a_child_of_the_current_one():
    watched = Watched()
    with watched.tracers.get_tracer("mine").start_as_current_span("mine"):
        watched.telemetry(ended())
    child, parent = watched.spans
    assert child.parent is not None
    assert child.parent.span_id == parent.context.span_id


def test_duration_tokens_and_first_content_are_measured():
    watched = Watched()
    watched.telemetry(ended(first_content=0.4, streamed=True))
    watched.telemetry(ended(tier="memory", outcome="cached"))
    points = watched.points()
    duration = points["gen_ai.client.operation.duration"]
    assert (duration.unit, duration.data.data_points[0].count, duration.data.data_points[0].sum) == ("s", 2, 3.0)
    assert duration.data.data_points[0].explicit_bounds[:3] == (0.01, 0.02, 0.04)
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum
        for point in points["gen_ai.client.token.usage"].data.data_points
    }
    assert tokens == {"input": 100, "output": 30}
    assert points["gen_ai.client.operation.time_to_first_chunk"].data.data_points[0].sum == 0.4


def test_content_is_captured_only_if_asked_for(monkeypatch: pytest.MonkeyPatch):
    silent = Watched()
    silent.telemetry(ended())
    assert "Norway" not in silent.spans[0].to_json()
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    telling = Watched()
    telling.telemetry(ended({"tools": [{"type": "function"}]}))
    attributes = telling.spans[0].attributes or {}
    assert json.loads(str(attributes["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "What is the capital of Norway?"}]},
    ]
    assert json.loads(str(attributes["gen_ai.output.messages"])) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Oslo"}], "finish_reason": "stop"},
    ]
    assert json.loads(str(attributes["gen_ai.tool.definitions"])) == [{"type": "function"}]


def test_other_events_are_none_of_its_business():
    watched = Watched()
    watched.telemetry(Rated("r", 1.0, 0.0))
    assert watched.spans == ()


def test_without_an_sdk_nothing_happens():
    Telemetry()(ended())


@pytest.mark.parametrize("half", ["\ud83d", "\udcff name", "\udc00\ud800"])
def test_a_text_that_utf8_cannot_carry_keeps_no_span_from_being_sent(half: str):
    watched = Watched(capture_content=True)
    request = json.dumps({"messages": [{"role": "user", "content": half}], "stop": half}).encode()
    said = dict.fromkeys(["served_model", "response_id", "finish_reason", "answer"], half)
    watched.telemetry(msgspec.structs.replace(ended(), request=request, **said))
    (span,) = watched.spans
    assert json.dumps(dict(span.attributes or {}), ensure_ascii=False).encode()
