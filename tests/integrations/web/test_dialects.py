"""What three kinds of readers are sent, held against what they accept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.event_source import events_in

from deepseek_async import (
    AnswerEnd,
    AnswerWithdrawn,
    ChatCompletion,
    ConfigurationError,
    Reading,
    ReasoningDelta,
    Searching,
    TextDelta,
    TitleGiven,
    ToolArgumentsDelta,
)
from deepseek_async.integrations.web import sse
from deepseek_async.integrations.web.dialects import dialect_named
from deepseek_async.integrations.web.error_replies import reply_to
from deepseek_async.types import ChatCompletionChunk, Choice, CompletionUsage, MessageStreamEvent
from deepseek_async.types.chat_completion import ChatCompletionMessage

END = AnswerEnd("stop", CompletionUsage(3, 2, 5))

# uiMessageChunkSchema of vercel/ai: fields of each part, of which those with ? may be absent. It is strict.
SCHEMA = {
    "start": {"messageId?", "messageMetadata?"},
    "start-step": set(),
    "finish-step": set(),
    "text-start": {"id"},
    "text-delta": {"id", "delta"},
    "text-end": {"id"},
    "reasoning-start": {"id"},
    "reasoning-delta": {"id", "delta"},
    "reasoning-end": {"id"},
    "tool-input-start": {"toolCallId", "toolName"},
    "tool-input-delta": {"toolCallId", "inputTextDelta"},
    "tool-input-available": {"toolCallId", "toolName", "input"},
    "tool-input-error": {"toolCallId", "toolName", "input", "errorText"},
    "source-url": {"sourceId", "url", "title?"},
    "data-searching": {"data", "transient?"},
    "data-reading": {"data", "transient?"},
    "data-title": {"data"},
    "data-withdrawn": {"data"},
    "message-metadata": {"messageMetadata"},
    "error": {"errorText"},
    "abort": set(),
    "finish": {"messageMetadata?"},
}


def sent(name: str, *events: Any, whole: Any = None, facts: dict[str, Any] | None = None) -> list[Any]:
    dialect = dialect_named(name)
    frames = [*dialect.begin()]
    for event in events:
        frames += dialect.event(event)
    return events_in(*frames, *dialect.end(whole, facts or {}))


def parts(*events: Any, **end: Any) -> list[dict[str, Any]]:
    *found, done = sent("ui", *events, **end)
    assert done.data == "[DONE]"
    return [event.value for event in found]


def check_against_the_schema(found: list[dict[str, Any]]) -> None:
    for part in found:
        allowed = SCHEMA[part["type"]]
        fields = part.keys() - {"type"}
        assert {name for name in allowed if "?" not in name} <= fields <= {name.rstrip("?") for name in allowed}


def test_a_page_of_its_own_gets_text_as_messages_and_all_else_by_name():
    came = sent("text", ReasoningDelta("hm"), TextDelta("a\n b"), TitleGiven("T"), END, facts={"cost": 0.5})
    assert [(event.kind, event.value) for event in came[:-1]] == [
        ("reasoning", "hm"),
        ("message", "a\n b"),
        ("title", "T"),
    ]
    assert came[-1].kind == "end"
    assert came[-1].value["finish_reason"] == "stop"
    assert came[-1].value["cost"] == 0.5
    assert came[-1].value["usage"]["total_tokens"] == 5


def test_vercels_reader_gets_parts_that_begin_and_end():
    found = parts(ReasoningDelta("hm"), ReasoningDelta("."), TextDelta("Hel"), TextDelta("lo"), END)
    check_against_the_schema(found)
    assert [part["type"] for part in found] == [
        *("start", "start-step", "reasoning-start", "reasoning-delta", "reasoning-delta", "reasoning-end"),
        *("text-start", "text-delta", "text-delta", "text-end", "finish-step", "finish"),
    ]
    assert found[-1]["messageMetadata"]["finishReason"] == "stop"


def test_calls_that_grow_side_by_side_are_told_apart_and_are_whole_at_the_end():
    found = parts(
        ToolArgumentsDelta(0, "a", "look", ""),
        ToolArgumentsDelta(1, "b", "find", ""),
        ToolArgumentsDelta(0, None, None, '{"x":'),
        ToolArgumentsDelta(1, None, None, "{}"),
        ToolArgumentsDelta(0, None, None, " 1}"),
        END,
    )
    check_against_the_schema(found)
    whole = [part for part in found if part["type"] == "tool-input-available"]
    assert [(part["toolCallId"], part["toolName"], part["input"]) for part in whole] == [
        ("a", "look", {"x": 1}),
        ("b", "find", {}),
    ]


@pytest.mark.parametrize("arguments", ['{"x": ', "[" * 100_000, "\ud800"])
def test_a_call_that_cannot_be_read_is_an_error_of_the_call_and_not_of_the_answer(arguments: str):
    found = parts(ToolArgumentsDelta(0, "a", "look", arguments), END)
    check_against_the_schema(found)
    assert [part["type"] for part in found if part["type"].startswith("tool-input-")][-1] == "tool-input-error"
    assert found[-1]["type"] == "finish"


def test_a_call_without_an_id_and_with_a_late_name_begins_when_it_has_one():
    found = parts(ToolArgumentsDelta(2, None, None, "{"), ToolArgumentsDelta(2, None, "look", "}"), END)
    check_against_the_schema(found)
    start, delta, whole = (part for part in found if part["type"].startswith("tool"))
    assert (start["toolCallId"], start["toolName"]) == (whole["toolCallId"], "look")
    assert delta["inputTextDelta"] == "{}"


def test_sources_come_once_for_each_page_before_the_finish():
    message = ChatCompletionMessage(content="see")
    answer = ChatCompletion(choices=[Choice(message=message)])
    answer._wire = (
        b'{"choices":[{"message":{"content":"see","annotations":[{"type":"url_citation","url":"https://a.example/",'
        b'"title":"A"},{"type":"url_citation","url":"https://a.example/","title":"A","quote":"q"}]}}]}'
    )
    found = parts(TextDelta("see"), END, whole=answer)
    check_against_the_schema(found)
    (source,) = [part for part in found if part["type"] == "source-url"]
    assert (source["url"], source["title"]) == ("https://a.example/", "A")
    assert [part["type"] for part in found][-3:] == ["source-url", "finish-step", "finish"]


TEXT = st.text('ab{}:"\\\n\r \u2028é😀', max_size=6)
STEPS = st.one_of(
    st.builds(TextDelta, TEXT.filter(bool)),
    st.builds(ReasoningDelta, TEXT.filter(bool)),
    st.builds(ToolArgumentsDelta, st.integers(0, 2), st.none() | TEXT, st.none() | TEXT, TEXT),
    st.builds(TitleGiven, TEXT),
    st.builds(Searching, st.tuples(TEXT), st.just({})),
    st.builds(Reading, st.none() | TEXT, st.just({})),
    st.builds(AnswerWithdrawn),
)


@given(st.lists(STEPS, max_size=12), st.sampled_from(["end", "stopped", "failed"]))
def test_whatever_comes_in_whatever_order_is_a_valid_message_that_holds_all_the_text(steps: list[Any], last: str):
    dialect = dialect_named("ui")
    frames = [*dialect.begin()]
    for step in steps:
        frames += dialect.event(step)
    frames += {
        "end": lambda: dialect.end(None, {}),
        "stopped": lambda: dialect.stopped({"cost": 1}),
        "failed": lambda: dialect.failed(reply_to(ValueError())),
    }[last]()
    *found, done = events_in(*frames)
    assert done.data == "[DONE]"
    values = [event.value for event in found]
    check_against_the_schema(values)
    open_parts: set[str] = set()
    for part in values:
        kind, _, what = part["type"].partition("-")
        if kind in {"text", "reasoning"}:
            if what == "start":
                assert not open_parts
                open_parts.add(part["id"])
            elif what == "delta":
                assert part["id"] in open_parts
            else:
                open_parts.remove(part["id"])
    assert not open_parts
    for kind, cls in (("text-delta", TextDelta), ("reasoning-delta", ReasoningDelta)):
        said = "".join(part["delta"] for part in values if part["type"] == kind)
        assert said == "".join(step.text for step in steps if isinstance(step, cls))


@given(st.binary().filter(lambda data: b"\r" not in data), st.none() | st.text())
def test_no_data_and_no_name_can_end_a_frame_or_begin_another(data: bytes, name: str | None):
    found = [line for line in sse.frame(data, name).split(b"\n") if line]
    assert all(line.startswith((b"data: ", b"event: ")) for line in found)
    assert b"\n".join(line[6:] for line in found if line.startswith(b"data: ")) == data


def test_chunks_go_on_as_they_came_and_end_with_done():
    wire = b'{"id": "1",\n"choices": [], "new": 1}'
    chunk = ChatCompletionChunk()
    chunk._wire = wire
    assert [event.data for event in sent("openai", chunk)] == [wire.decode(), "[DONE]"]


def test_events_of_messages_go_on_under_their_names():
    event = MessageStreamEvent(type="message_stop")
    event._wire = b'{"type": "message_stop"}'
    assert [(each.kind, each.data) for each in sent("openai", event)] == [("message_stop", '{"type": "message_stop"}')]


def test_what_is_no_chunk_of_the_api_is_told_with_what_to_do():
    with pytest.raises(ConfigurationError, match="dialect='text' or 'ui'"):
        list(dialect_named("openai").event("text"))


def test_an_unknown_dialect_names_those_that_are_there():
    with pytest.raises(ConfigurationError, match="openai, text, ui, got 'html'"):
        dialect_named("html")


@pytest.mark.parametrize(
    "text", ["", "x", "a" * 24, "a" * 24 + ".", "a" * 24 + ".-1", "a" * 24 + ".1\n", "é" * 24 + ".1"]
)
def test_only_our_own_ids_are_taken_from_a_request(text: str):
    assert sse.parsed_id(text) is None
    assert sse.parsed_id(sse.event_id("a" * 24, 7)) == ("a" * 24, 7)
