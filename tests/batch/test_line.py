"""Lines of the output file: readable by others, and damage in them is noticed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.line_encoder import copied_line, encode_line
from deepseek_async.batch.line_format import FACTS, glance, hash_in
from deepseek_async.batch.output_line import decode_line
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.review.output_reader import line_from
from deepseek_async.batch.truncated_answers import decode_answer
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.errors import APIConnectionError, BadRequestError, InputFormatError
from deepseek_async.types import BilledAttempt, CompletionUsage

BODY = (
    b'{"id":"1","object":"chat.completion","created":1,"model":"deepseek-flash","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"caf\xc3\xa9 \\u00e9 1.50"},"finish_reason":"stop"}],"new_field":{"a":1.0}}'
)


def answered(wire: bytes = BODY, **facts: Any) -> BatchResult:
    return BatchResult(index=0, answer=decode_completion(wire), attempts=2, latency=1.23456, cost=1e-6, **facts)


def text_of(wire: str) -> bytes:
    """An answer with that JSON text as its content."""
    return b'{"choices":[{"message":{"content":%b},"finish_reason":"stop"}]}' % wire.encode()


LINE = encode_line(answered(request_id="trace", started=1795450000.12345), "a", 0xABC).rstrip(b"\n")


def test_a_line_is_an_openai_batch_output_line_with_our_facts_under_one_key():
    line = json.loads(LINE)

    assert list(line) == ["id", "custom_id", "response", "error", FACTS]
    assert (line["id"], line["custom_id"], line["error"]) == ("batch_req_0000000000000abc", "a", None)
    assert line["response"]["status_code"] == 200
    assert line["response"]["request_id"] == "trace"
    assert line[FACTS] == {
        "hash": "0000000000000abc",
        "index": 0,
        "attempts": 2,
        "started": 1795450000.123,
        "latency": 1.2346,
        "cost": 1e-6,
        "crc32": line[FACTS]["crc32"],
    }


def test_the_body_is_what_the_server_sent_byte_for_byte():
    assert BODY in LINE


def test_a_refused_row_keeps_status_and_reason():
    error = BadRequestError("400: no\x1b[31m\nway", status_code=400, body={"message": "no way"}, request_id="trace")
    line = json.loads(encode_line(BatchResult(index=0, error=error, attempts=1), "a", 1))

    assert line["response"] == {"status_code": 400, "request_id": "trace", "body": {"error": {"message": "no way"}}}
    assert line["error"] == {"code": "BadRequestError", "message": "400: no\\u001b[31m way", "retryable": False}


@pytest.mark.parametrize("error", [APIConnectionError("reset"), InputFormatError("in, line 3: not JSON")])
def test_a_row_that_was_not_answered_has_no_response(error: Any):
    line = json.loads(encode_line(BatchResult(index=0, error=error), "a", 1))

    assert line["response"] is None
    assert line["error"]["code"] == type(error).__name__
    assert line[FACTS]["cost"] is None


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(json.dumps(json.loads(BODY), indent=2).encode(), id="on several lines"),
        pytest.param(BODY.replace(b",", b",\r\n"), id="with carriage returns"),
        pytest.param(b"\xef\xbb\xbf" + BODY, id="with a byte order mark"),
    ],
)
def test_an_answer_in_another_layout_still_makes_one_line(wire: bytes):
    line = encode_line(answered(wire), "a", 1)

    assert line.count(b"\n") == 1
    assert decode_line(line.rstrip(b"\n")) is not None
    assert orjson.loads(line)["response"]["body"] == json.loads(BODY)


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        (text_of('"cut \\ud83d off"'), "cut ? off"),
        (text_of('"fine"')[:-1] + b',"new":NaN}', "fine"),
        (text_of('"fine"')[:-1] + b',"new":"\\udc00"}', "fine"),
        (text_of('"a\\u2028b"'), "a\u2028b"),
    ],
)
def test_an_answer_that_strict_json_cannot_hold_is_not_bought_again_in_every_run(wire: bytes, said: str):
    line = encode_line(answered(wire), "a", 1)

    assert decode_line(line.rstrip(b"\n")) is not None
    assert orjson.loads(line)["response"]["body"]["choices"][0]["message"]["content"] == said


def test_odd_text_in_an_error_still_makes_a_line():
    error = BadRequestError("400: \udcff", status_code=400, body={"message": "\udcff"}, request_id="\udcff")
    line = encode_line(BatchResult(index=0, error=error), "a", 1)

    assert orjson.loads(line)["response"] == {
        "status_code": 400,
        "request_id": "?",
        "body": {"error": {"message": "?"}},
    }
    assert decode_line(line.rstrip(b"\n")) is not None


def test_a_line_says_which_row_it_finishes_and_how():
    ok, failed = (
        decode_line(LINE),
        decode_line(encode_line(BatchResult(index=0, error=APIConnectionError("x")), "b", 1)[:-1]),
    )

    assert ok is not None
    assert failed is not None
    assert (ok.custom_id, ok.failed) == ("a", False)
    assert (failed.custom_id, failed.failed) == ("b", True)


def test_no_flip_of_one_bit_changes_what_a_line_is_taken_for():
    trailer = LINE.rindex(b',"crc32":"')
    accepted = 0
    for position in range(8 * len(LINE)):
        damaged = bytearray(LINE)
        damaged[position // 8] ^= 1 << (position % 8)
        if any(decode_line(part) is not None for part in bytes(damaged).split(b"\n")):
            # Only the checksum's own digits and name may be damaged: all that they protect is whole.
            assert damaged[:trailer] == LINE[:trailer]
            accepted += 1

    assert accepted < 8 * len(b',"crc32":"00000000"}}')


@given(st.data())
def test_no_overwritten_stretch_is_taken_for_a_line(data: st.DataObject):
    start = data.draw(st.integers(0, LINE.rindex(b',"crc32":"') - 1))
    filling = data.draw(st.sampled_from([b"\0", b" ", b"0"])) * data.draw(st.integers(1, 64))
    damaged = LINE[:start] + filling + LINE[start + len(filling) :]
    damaged = damaged[: len(LINE)]
    if damaged != LINE and damaged.endswith(LINE[-21:]):
        assert decode_line(damaged) is None


def test_no_beginning_of_a_line_is_taken_for_a_line():
    assert all(decode_line(LINE[:length]) is None for length in range(len(LINE)))


def test_a_line_that_another_program_wrote_is_taken_as_it_is():
    line = json.loads(LINE)
    del line[FACTS]

    assert decode_line(json.dumps(line).encode()) == msgspec.json.decode(json.dumps(line), type=type(decode_line(LINE)))


@pytest.mark.parametrize(
    "line",
    [b"", b"null", b"[]", b"{}", b'{"custom_id":null}', b'{"custom_id":7}', b'{"custom_id":"a"', b"\0" * 100, b"\xff"],
)
def test_what_names_no_row_finishes_none(line: bytes):
    assert decode_line(line) is None


@given(st.text(max_size=20), st.text(max_size=50), st.floats(0, 1e6), st.integers(0, 2**64 - 1))
def test_what_was_written_can_be_read(custom_id: str, message: str, latency: float, hashed: int):
    error = InputFormatError(message)
    line = encode_line(BatchResult(index=0, error=error, latency=latency), custom_id, hashed)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    row = decode_line(line[:-1])
    assert row is not None
    assert row.custom_id == custom_id
    assert row.failed


# A quick look at a line of our own


@given(st.text(max_size=12), st.integers(1, 2**64 - 1), st.text(max_size=30), st.none() | st.floats(0, 9))
def test_a_glance_sees_what_decoding_sees_or_nothing(custom_id: str, hashed: int, said: str, started: float | None):
    wire = text_of(json.dumps(said))
    line = encode_line(answered(wire, started=started, request_id=said), custom_id, hashed)
    seen, row = glance(line), decode_line(line[:-1])

    assert row is not None
    assert row.facts is not None
    assert seen in {(row.custom_id.encode(), row.facts.hashed, row.facts.index), None}
    if custom_id.isascii() and custom_id.isalnum():
        assert seen is not None
    assert hash_in(line) == hashed


def test_a_glance_leaves_every_other_line_to_decoding():
    line = encode_line(answered(), "a", 1)
    failed = encode_line(BatchResult(index=0, error=APIConnectionError("x")), "a", 1)
    changed = encode_line(answered(), "a", 1, {"redo": "length", "set": {"max_tokens": 5}})

    assert glance(line) == (b"a", 1, 0)
    for other in (
        failed,
        changed,
        line[:-1],
        line.replace(b"\n", b"\r\n"),
        b"",
        b"\n",
        b"}}\n",
        line.replace(b"a", b"b", 1),
    ):
        assert glance(other) is None


def test_no_flip_of_one_bit_changes_what_a_glance_sees():
    line = encode_line(answered(), "a", 1)
    for position in range(8 * line.rindex(b',"crc32":"')):
        damaged = bytearray(line)
        damaged[position // 8] ^= 1 << (position % 8)
        assert glance(bytes(damaged)) is None


def test_a_copy_has_the_same_answer_under_its_own_name():
    line = encode_line(answered(request_id="trace"), "a", 1)[:-1]
    copy = json.loads(copied_line(line, "b", 2, 7))

    assert copy["response"] == json.loads(line)["response"]
    assert (copy["custom_id"], copy[FACTS]["copy_of"], copy[FACTS]["index"], copy[FACTS]["cost"]) == ("b", "a", 7, 0.0)
    assert decode_line(copied_line(line, "b", 2, 7)[:-1]) is not None


@pytest.mark.parametrize(
    ("content", "reason", "cut_off", "is_json"),
    [('"{}"', "stop", False, True), ('"{"', "length", True, False), ("null", "stop", False, False)],
)
def test_a_line_says_what_kind_of_answer_it_has(content: str, reason: str, cut_off: bool, is_json: bool):
    wire = b'{"choices":[{"message":{"content":%b},"finish_reason":"%b"}]}' % (content.encode(), reason.encode())
    answer = decode_answer(encode_line(answered(wire), "a", 1)[:-1])

    assert answer is not None
    assert (answer.cut_off, answer.is_json) == (cut_off, is_json)


@pytest.mark.parametrize("half", ["\ud83d", "half \ude00", "\udc00\ud800"])
def test_no_text_of_a_row_keeps_its_line_from_being_written(half: str):
    error = BadRequestError(half, status_code=400, body={half: [half]}, request_id=half)
    columns = {half: half, "nested": {half: [half]}}
    for result in (
        BatchResult(index=0, error=error, columns=columns),
        msgspec.structs.replace(answered(text_of('"fine"')), request_id=half, columns=columns),
    ):
        line = encode_line(result, "a", 1, {"set": {half: half}})
        assert decode_line(line.rstrip(b"\n")) is not None
        assert orjson.loads(line)


def test_what_was_billed_is_told_with_all_that_the_server_counted_and_what_was_put_right():
    usage = CompletionUsage.counting(
        {"prompt_tokens": 10, "completion_tokens": 5, "search_calls": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    )
    usage.corrected = "the server reported completion_tokens -5"
    attempt = BilledAttempt("of-a-gateway", usage, 7.5, "APITimeoutError", "x1", "deepseek-flash")
    result = BatchResult(index=0, error=APIConnectionError("reset"), billed_attempts=(attempt,))
    line = json.loads(encode_line(result, "a", 1))

    assert line[FACTS]["billed"] == [
        {
            "model": "of-a-gateway",
            "asked": "deepseek-flash",
            "at": 7.5,
            "failure": "APITimeoutError",
            "response_id": "x1",
            "corrected": "the server reported completion_tokens -5",
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 0,
                "search_calls": 3,
                "prompt_tokens_details": {"cached_tokens": 4},
                "prompt_cache_hit_tokens": 4,
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }
    ]


@pytest.mark.parametrize(
    "odd", [{"prompt_tokens_details": "none"}, {"completion_tokens_details": [1]}, {"new": 10**30}, {"new": "\udc00"}]
)
def test_whatever_a_server_counts_the_line_can_be_read(odd: dict[str, Any]):
    sent = {"prompt_tokens": 10, "completion_tokens": 5, **odd}
    usage = CompletionUsage(10, 5, 15)
    usage._origin = (json.dumps(sent).encode(), ())
    attempt = BilledAttempt("deepseek-flash", usage, 7.5)
    wire = encode_line(BatchResult(index=0, error=APIConnectionError("reset"), billed_attempts=(attempt,)), "a", 1)

    line = line_from(wire)
    assert line is not None
    assert [bill.usage.prompt_tokens for bill in line.bills] == [10]
