"""Which decoded answers are answers."""

from __future__ import annotations

import json

import pytest
from support.servers import answer

from deepseek_async.codec.answer_check import fault_of
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.errors import (
    APIError,
    APIResponseValidationError,
    InternalServerError,
    RateLimitError,
    StreamInterruptedError,
)


def judged(body: dict, **headers: str) -> APIError | None:
    return fault_of(decode_completion(json.dumps(body).encode()), headers, now=0)


@pytest.mark.parametrize("finish_reason", ["stop", "length", "tool_calls", "content_filter"])
def test_a_known_ending_is_an_answer(finish_reason: str):
    assert judged(answer("text", finish_reason=finish_reason)) is None


@pytest.mark.parametrize("finish_reason", ["insufficient_system_resource", "aborted", None])
def test_a_generation_given_up_may_be_sent_again(finish_reason: str | None):
    fault = judged(answer("half", finish_reason=finish_reason))
    assert isinstance(fault, StreamInterruptedError)
    assert fault.retryable
    assert fault.text == "half"


@pytest.mark.parametrize("finish_reason", ["", "STOPPED", "gone", "error"])
def test_an_unknown_ending_is_an_error_and_never_stop(finish_reason: str):
    fault = judged(answer("half", finish_reason=finish_reason))
    assert isinstance(fault, StreamInterruptedError)
    assert not fault.retryable
    assert fault.partial is not None


def test_one_bad_choice_spoils_the_answer():
    body = answer("text")
    body["choices"].append({**body["choices"][0], "index": 1, "finish_reason": "aborted"})
    assert judged(body) is not None


@pytest.mark.parametrize("finish_reason", ["stop", "tool_calls"])
@pytest.mark.parametrize("content", ["", None])
def test_an_ending_in_order_that_says_nothing_is_no_answer(content: str | None, finish_reason: str):
    fault = judged(answer(content, finish_reason=finish_reason))
    assert isinstance(fault, APIResponseValidationError)
    assert fault.retryable


def test_no_choices_is_no_answer():
    assert isinstance(judged({"id": "1"}), APIResponseValidationError)
    assert isinstance(judged({"choices": []}), APIResponseValidationError)


def test_an_error_object_speaks_for_itself():
    assert isinstance(judged({"error": {"message": "x"}}), InternalServerError)
    fault = judged({"error": {"message": "x", "code": 429}}, **{"retry-after": "3"})
    assert isinstance(fault, RateLimitError)
    assert fault.retry_after == 3
