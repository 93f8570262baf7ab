"""Error responses as DeepSeek and what stands before it send them, to errors that say what can be done."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from support.servers import CANARY

from deepseek_async.codec.status_errors import MAX_QUOTED, retry_after, status_error, status_error_in_stream
from deepseek_async.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConcurrencyLimitError,
    ConflictError,
    ContentRiskError,
    ContextWindowExceededError,
    InsufficientBalanceError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerOverloadedError,
    UnprocessableEntityError,
)

NOW = 1_795_450_000.0


def refused(status: int, wire: bytes | dict, **headers: str) -> APIStatusError:
    body = wire if isinstance(wire, bytes) else json.dumps(wire).encode()
    return status_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, now=NOW)


def envelope(message: str, kind: str = "invalid_request_error", code: str | None = "invalid_request_error") -> dict:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


NUMBERS = (
    "Too many requests. Your current concurrency is 26, which exceeds your concurrency limit of 25 "
    "based on your remaining balance. Please top up your balance to restore your concurrency."
)
CONTEXT = (
    "This model's maximum context length is 1048576 tokens. However, you requested 1048580 tokens "
    "(1048480 in the messages, 100 in the completion). Please reduce the length of the messages."
)


@pytest.mark.parametrize(
    ("status", "body", "content_type", "kind", "said"),
    [
        (400, envelope("Invalid max_tokens value"), "application/octet-stream", BadRequestError, "Invalid max_tokens"),
        (400, b"Failed to parse the request body as JSON: EOF", "application/octet-stream", BadRequestError, "EOF"),
        (400, envelope(CONTEXT), "application/json", ContextWindowExceededError, "maximum context length"),
        (400, envelope("Content Exists Risk"), "application/json", ContentRiskError, "Content Exists Risk"),
        (401, envelope("Your api key: ****abcd is invalid", "authentication_error"), "", AuthenticationError, "abcd"),
        (401, b"Authentication Fails (governor)", "", AuthenticationError, "governor"),
        (402, envelope("Insufficient Balance", "unknown_error"), "", InsufficientBalanceError, "Insufficient Balance"),
        (403, b"", "", PermissionDeniedError, "403"),
        (404, b"", "", NotFoundError, "404"),
        (405, b"", "", APIStatusError, "405"),
        (409, b"", "", ConflictError, "409"),
        (413, b"<html><head><title>413 Too Large</title></head></html>", "text/html", APIStatusError, "Too Large"),
        (415, b"Expected request with `Content-Type: application/json`", "text/plain", APIStatusError, "Expected"),
        (422, envelope("Failed to deserialize the JSON body"), "", UnprocessableEntityError, "deserialize"),
        (429, envelope(NUMBERS, "rate_limit_error"), "", ConcurrencyLimitError, "limit of 25"),
        (429, b"", "", RateLimitError, "lower max_concurrency"),
        (500, b"<html><body><h1>500 Internal</h1><hr>openresty</body></html>", "", InternalServerError, "openresty"),
        (502, b"<title>502 Bad Gateway</title>", "text/html", InternalServerError, "Bad Gateway"),
        (503, b"service is too busy", "", ServerOverloadedError, "too busy"),
        (504, b"", "", InternalServerError, "504"),
        (529, b"", "", ServerOverloadedError, "529"),
        (418, b"", "", APIStatusError, "418"),
        (302, b"", "", APIStatusError, "302"),
    ],
)
def test_each_body_gives_its_class_and_sentence(status: int, body, content_type: str, kind: type, said: str):
    error = refused(status, body, content_type=content_type)
    assert type(error) is kind
    assert said in str(error)
    assert error.status_code == status
    assert error.message == str(error)


def test_a_quota_that_is_used_up_asks_for_money_and_not_for_patience():
    error = refused(429, envelope("You exceeded your current quota, please check your plan and billing details"))
    assert type(error) is QuotaExceededError
    assert "top up" in str(error)
    assert "max_concurrency" not in str(error)


def test_a_redirect_says_where_to_and_that_it_was_not_followed():
    error = refused(307, b"", location="https://elsewhere.example/v1?key=sk-abcdefgh\x1b[2J")
    assert "https://elsewhere.example/v1" in str(error)
    assert "not followed" in str(error)
    assert "base_url" in str(error)
    assert "abcdefgh" not in str(error)
    assert "\x1b" not in str(error)


@pytest.mark.parametrize("status", range(300, 600))
def test_what_may_pass_is_retryable_and_nothing_else(status: int):
    retryable = {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
    assert refused(status, b"").retryable == (status in retryable)


def test_the_facts_of_a_json_body_are_kept():
    error = refused(400, envelope("no", "some_type", "some_code"), x_ds_trace_id="0123")
    assert (error.type, error.code, error.param) == ("some_type", "some_code", None)
    assert error.body == {"message": "no", "type": "some_type", "param": None, "code": "some_code"}
    assert error.request_id == "0123"


def test_the_text_of_another_body_is_kept():
    assert refused(401, b"Authentication Fails (governor)").body == "Authentication Fails (governor)"
    assert refused(404, b"").body is None


@pytest.mark.parametrize(
    ("message", "numbers", "balance"),
    [
        (NUMBERS, (26, 25), True),
        ("Your current concurrency is 2501, which exceeds your concurrency limit of 2500.", (2501, 2500), False),
        ("current concurrency is 7\nand a limit of 5", (7, 5), False),
    ],
)
def test_the_numbers_of_a_concurrency_refusal_are_facts(message: str, numbers: tuple[int, int], balance: bool):
    error = refused(429, envelope(message))
    assert isinstance(error, ConcurrencyLimitError)
    assert (error.current, error.limit) == numbers
    assert error.balance_bound is balance


@pytest.mark.parametrize(
    "message",
    ["Rate limit reached for TPM", "concurrency is high", "concurrency is 99999999999, limit of x", ""],
)
def test_a_429_without_numbers_has_none(message: str):
    assert type(refused(429, envelope(message))) is RateLimitError


def test_numbers_in_another_status_mean_nothing():
    assert type(refused(400, envelope(NUMBERS))) is BadRequestError


@pytest.mark.parametrize(
    "wire",
    [
        b"{",
        b"[]",
        b"null",
        b'{"error": null}',
        b'{"error": "text"}',
        b'{"error": 7}',
        b'{"error": {"message": null}}',
        b'{"error": {"message": ["a"], "type": {"b": 1}, "code": 5}}',
        b'{"error_msg": "odd"}',
        b"\xff\xfe\x00",
        b"<",
        b"<" * 60_000,
        b"<style" * 10_000,
        b"<title>" * 10_000,
        b'{"error":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"x" * 60_000,
    ],
    ids=lambda wire: repr(wire[:20]),
)
@pytest.mark.timeout(60)  # a search that begins again at each byte takes hours
def test_no_body_is_too_odd(wire: bytes):
    for status in (400, 429, 500):
        error = refused(status, wire)
        assert error.status_code == status
        assert len(str(error)) < MAX_QUOTED + 200


@given(st.integers(300, 599), st.binary(max_size=200))
def test_arbitrary_bodies_never_raise(status: int, wire: bytes):
    assert status_error(status, {}, wire, now=NOW).status_code == status


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_arbitrary_error_objects_never_raise(value):
    assert refused(500, {"error": value}).status_code == 500
    assert status_error_in_stream(value, {}, now=NOW).retryable in {True, False}


def test_control_characters_of_a_server_reach_no_terminal():
    error = refused(500, b"\x1b[31mred\x1b[0m\r\nline\x07\x00")
    assert str(error).isprintable()


@pytest.mark.parametrize(
    "text", [CANARY, f"Bearer {CANARY}", f'{{"error":{{"message":"key {CANARY}", "type": "{CANARY}"}}}}']
)
def test_a_key_that_the_server_echoes_is_masked(text: str):
    error = refused(401, text.encode())
    assert CANARY not in f"{error} {error.body} {error.type} {vars(error)}"


def test_a_long_message_is_cut():
    error = refused(400, envelope("x" * 50_000))
    assert len(str(error)) < MAX_QUOTED + 100
    assert len(error.body["message"]) == MAX_QUOTED


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "x", "code": 429}, 429),
        ({"message": "x", "status": 503, "code": "y"}, 503),
        ({"message": "x", "type": "rate_limit_error"}, 429),
        ({"message": "x", "type": "authentication_error"}, 401),
        ({"message": "x", "type": "invalid_request_error"}, 400),
        ({"message": "x"}, 500),
        ({"message": "x", "code": True}, 500),
        ({"message": "x", "code": 7}, 500),
        ("just text", 500),
        (None, 500),
        ([], 500),
    ],
)
def test_an_error_object_in_a_200_is_classified_by_what_it_says(error, status: int):
    found = status_error_in_stream(error, {}, now=NOW)
    assert found.status_code == status


DATE = "Tue, 24 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": " 2 "}, 2),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"retry-after-ms": "nan", "Retry-After": "9"}, 9),
        ({"retry-after-ms": "-5", "Retry-After": "9"}, 9),
        ({"Retry-After": "Tue, 24 Nov 2026 10:00:30 GMT", "Date": DATE}, 30),
        ({"Retry-After": "Tue, 24 Nov 2026 09:59:00 GMT", "Date": DATE}, 0),
        ({"Retry-After": "Tue, 24 Nov 2026 10:00:30 GMT", "Date": "garbage"}, 1795514430 - NOW),
        ({"Retry-After": "Tue, 24 Nov 2026 10:00:30 GMT"}, 1795514430 - NOW),
        ({"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, 0),
        ({"Retry-After": "NaN"}, None),
        ({"Retry-After": "1_0"}, None),
        ({"Retry-After": "+5"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "9e99"}, None),
        ({"Retry-After": "12345678901"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Tue, 99 Nov 2026 10:00:30 GMT"}, None),
        ({"Retry-After": "Tue, 24 Nov 99999 10:00:30 GMT"}, None),
    ],
)
def test_the_time_to_wait_in_all_its_forms(headers: dict[str, str], seconds: float | None):
    found = retry_after(CIMultiDict(headers), now=NOW)
    assert found == pytest.approx(seconds)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_other_time_to_wait_is_ignored_or_sensible(value: str, date: str):
    found = retry_after({"retry-after": value, "date": date}, now=NOW)
    assert found is None or found >= 0


@pytest.mark.parametrize(
    "message",
    [
        "Rate limit reached: 500000 tokens per minute",
        "TPM limit exceeded",
        "Requests-per-minute quota exceeded",
        "60 requests/min",
    ],
)
def test_a_429_about_a_minute_says_so(message: str):
    error = refused(429, envelope(message))
    assert isinstance(error, RateLimitError)
    assert error.per_minute
    assert error.retryable


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("You exceeded your current quota, please check your plan", ""),
        ("Your monthly quota is used up", ""),
        ("no", "insufficient_quota"),
    ],
)
def test_a_429_about_money_is_not_tried_again(message: str, kind: str):
    error = refused(429, envelope(message, kind))
    assert isinstance(error, QuotaExceededError)
    assert not error.retryable


def test_a_429_with_concurrency_numbers_is_no_quota_though_it_asks_for_money():
    error = refused(429, envelope(NUMBERS + " billing"))
    assert type(error) is ConcurrencyLimitError
    assert error.retryable
