"""Refusals in the words of those who send them: a used-up quota, a rate, a prompt that is too long, a key."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.codec.error_wording import is_per_minute, is_too_long, is_used_up
from deepseek_async.codec.status_errors import status_error
from deepseek_async.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConcurrencyLimitError,
    ContextWindowExceededError,
    InsufficientBalanceError,
    InternalServerError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    UnprocessableEntityError,
)


def refused(status: int, message: str, **fields: object) -> APIStatusError:
    wire = json.dumps({"error": {"message": message, **fields}}).encode()
    return status_error(status, {}, wire, now=0.0)


USED_UP = [
    "Insufficient Balance",
    "Insufficient Balance, daily limit reached",
    "insufficient account balance",
    "Insufficient credits. Add more using https://example.org/credits",
    "You exceeded your current quota, please check your plan and billing details.",
    "Your account org-1 is suspended, please check your plan and billing details",
    "Your monthly quota is used up",
    "Monthly quota exceeded",
    "Quota exhausted",
    "Balance exhausted",
    "Your balance is exhausted",
    "You are out of credits",
    "You have run out of credits",
    "No more credits available",
    "Your credit balance is too low to access the API",
    "Usage limit reached for 5 hour. Your limit will reset at 18:00",
    "You have reached your specified API usage limits. You will regain access on 2026-12-01",
    "usage limit reached",
    "Daily limit of this key reached",
    "daily request limit exceeded",
    "Open api daily request limit reached",
    "Rate limit exceeded: free-models-per-day",
    "Rate limit reached for llama on tokens per day (TPD): Limit 100000, Used 99990. Please try again in 7m12s",
    "you have used up your daily free allocation of 10,000 neurons",
    "Budget has been exceeded! Current cost: 1.2, Max budget: 1.0",
    "ExceededBudget: User alice has exceeded their budget",
    "The request failed because your account has an overdue balance",
    "You have exceeded your spending limit",
    "too many requests today; the limit is 200 requests today",
    "余额不足",
    "账户余额不足,请充值",
    "您的账户已欠费,请充值后重试",
    "该API已达今日调用次数限额",
    "您的免费额度已用尽",
    "当前套餐已用完",
    "已达到 5 小时的使用上限。您的限额将在 18:00 重置",
    "今日请求次数已达上限",
    "每日限额已达到",
    "本月配额已用完",
    "用户额度不足",
]

PASSING = [
    "",
    "Rate limit reached",
    "Rate limit reached, please slow down",
    "Too many requests",
    "Slow down please",
    "Too many requests. Please top up your balance to restore your concurrency",
    "Your balance allows 25 at once, and the limit is reached; top up to have more",
    "You have exceeded your concurrency quota",
    "Resource has been exhausted (e.g. check quota).",
    "You exceeded your current quota, please check your plan and billing details. Please retry in 36.21s.",
    "Rate limit reached for llama: Limit 30, Used 30. Please try again in 2s. See https://example.org/settings/billing",
    "Too many requests. See https://example.org/usage-limits?why=quota_exceeded",
    "the model billing-summarizer has too many callers",
    "The engine is currently overloaded, please try again later",
    "您当前使用该API的并发数过高,请降低并发",
    "当前分组上游负载已饱和,请稍后再试",
    "余额允许的并发已达上限",
]

RATES = [
    (
        "Rate limit reached for gpt on requests per min (RPM): Limit 3, Used 3. Please try again in 20s. You can "
        "increase your rate limit by adding a payment method to your account at https://example.org/account/billing."
    ),
    "Quota exceeded for quota metric 'Generate Content API requests per minute'",
    "Requests-per-minute quota exceeded",
    "Request too large for model on tokens per min (TPM): Limit 30000, Requested 40000",
    "60 requests/min",
    "Open api qps request limit reached",
    "每分钟请求次数已达上限",
]


@pytest.mark.parametrize("message", USED_UP)
def test_a_429_that_says_that_a_quota_is_used_up_is_final(message: str):
    error = refused(429, message)
    assert type(error) is QuotaExceededError
    assert not error.retryable
    assert "top up" in str(error)


@pytest.mark.parametrize("message", USED_UP)
@pytest.mark.parametrize("after", ["1", "20", "3600"])
def test_it_is_final_whatever_wait_is_asked_for(message: str, after: str):
    wire = json.dumps({"error": {"message": message}}).encode()
    assert not status_error(429, {"retry-after": after}, wire, now=0.0).retryable


@pytest.mark.parametrize(
    "named",
    [
        {"type": "insufficient_quota"},
        {"code": "insufficient_quota"},
        {"type": "exceeded_current_quota_error"},
        {"code": "insufficient_user_quota"},
        {"type": "budget_exceeded"},
    ],
)
def test_its_kind_says_so_as_well_as_its_text(named: dict):
    assert type(refused(429, "no", **named)) is QuotaExceededError
    assert type(refused(403, "no", **named)) is InsufficientBalanceError
    assert type(refused(400, "no", **named)) is InsufficientBalanceError


@pytest.mark.parametrize("message", PASSING)
def test_a_429_without_such_words_passes(message: str):
    error = refused(429, message)
    assert type(error) is RateLimitError
    assert error.retryable
    assert not error.per_minute


@pytest.mark.parametrize("message", RATES)
def test_a_rate_is_no_quota_even_if_it_speaks_of_money(message: str):
    error = refused(429, message)
    assert type(error) is RateLimitError
    assert error.per_minute


def test_a_403_about_money_is_the_accounts_and_another_one_is_the_calls():
    assert type(refused(403, "用户额度不足")) is InsufficientBalanceError
    assert type(refused(403, "content not allowed")) is PermissionDeniedError


@pytest.mark.parametrize(
    "message",
    [
        "Your input was flagged: 'my credit limit is reached, and my balance insufficient'",
        "This request was blocked by the firewall: prompt contains 'out of budget'",
        "Content policy violation near 'monthly quota exceeded'",
        "The key may not use billing-summarizer; see https://example.org/billing",
        "请求内容违规: 余额不足",
    ],
)
def test_a_403_about_what_one_call_asks_for_is_not_about_money(message: str):
    assert type(refused(403, message)) is PermissionDeniedError
    assert type(refused(403, message, code="insufficient_quota")) is InsufficientBalanceError


def test_a_quota_in_the_text_is_not_exhausted_by_the_word_of_its_kind():
    error = refused(429, "Resource has been exhausted (e.g. check quota).", code="RESOURCE_EXHAUSTED")
    assert type(error) is RateLimitError


def test_a_400_that_quotes_a_prompt_about_money_stays_what_it_is():
    assert type(refused(400, "cannot parse: 'My card says insufficient balance'")) is BadRequestError


def test_numbers_of_concurrency_come_before_all_words():
    said = "Your current concurrency is 26, which exceeds your concurrency limit of 25; daily limit reached"
    assert type(refused(429, said)) is ConcurrencyLimitError


OVERFLOWS = {
    "DeepSeek": (400, "This model's maximum context length is 1048576 tokens. However, you requested 1048580 tokens"),
    "OpenAI": (400, "Your input exceeds the context window of this model. Please adjust your input and try again."),
    "vLLM": (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
    "vLLM, later": (
        400,
        (
            "You passed 5000 input tokens and requested 100 output tokens. However, the model's context length is only "
            "4096 tokens, resulting in a maximum input length of 3996 tokens."
        ),
    ),
    "llama.cpp": (400, "the request exceeds the available context size, try increasing it"),
    "llama.cpp, with numbers": (400, "request (5000 tokens) exceeds the available context size (4096 tokens)"),
    "llama.cpp, before": (500, "Context size has been exceeded."),
    "litellm": (400, "litellm.ContextWindowExceededError: litellm.BadRequestError: no"),
    "Anthropic": (400, "prompt is too long: 204857 tokens > 200000 maximum"),
    "Anthropic, with the answer": (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
    "SGLang": (400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
    "SGLang, with the answer": (400, "Requested token count exceeds the model's maximum context length of 4096"),
    "SGLang, allowed": (400, "Input length (5000 tokens) exceeds the maximum allowed length (4090 tokens)."),
    "TGI": (
        422,
        (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens "
            "and 100 `max_new_tokens`"
        ),
    ),
    "TGI, the prompt alone": (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 5000"),
    "Mistral": (400, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"),
    "Gemini": (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    "Bedrock": (400, "Input is too long for requested model."),
    "Groq": (400, "Please reduce the length of the messages or completion."),
    "a gateway": (413, "prompt exceeds the context window"),
    "Moonshot": (400, "Invalid request: Your request exceeded model token limit: 8192"),
    "DashScope": (400, "Range of input length should be [1, 30720]"),
    "SiliconFlow": (400, "max_total_tokens (20000) must be less than or equal to max_seq_len (16384)"),
    "GitHub Models": (413, "tokens_limit_reached: Request body too large for gpt-4o model. Max size: 8000 tokens."),
    "Ark": (400, "Total tokens of image and text exceed max message tokens"),
    "xAI": (400, "This model's maximum prompt length is 131072 but the request contains 150000 tokens."),
    "Zhipu": (400, "Prompt exceeds max length"),
    "a server that counts": (400, "The number of prompt tokens (5000) exceeds the maximum allowed (4096)"),
    "Chinese": (400, "输入超出模型最大上下文长度"),
}


@pytest.mark.parametrize("server", OVERFLOWS)
def test_a_context_overflow_is_known_in_the_words_of_each_server(server: str):
    status, message = OVERFLOWS[server]
    error = refused(status, message)
    assert type(error) is ContextWindowExceededError
    assert error.status_code == status
    assert not error.retryable


@pytest.mark.parametrize("kind", [{"code": "context_length_exceeded"}, {"type": "exceed_context_size_error"}])
def test_a_context_overflow_is_known_by_its_kind(kind: dict):
    assert type(refused(400, "no", **kind)) is ContextWindowExceededError


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "max_tokens is too large: 99999. This model supports at most 16384 completion tokens", BadRequestError),
        (400, "Invalid 'user_id': string too long", BadRequestError),
        (400, "messages[0]: the request header is too long", BadRequestError),
        (400, "the conversation title is too long", BadRequestError),
        (422, "Failed to deserialize the JSON body", UnprocessableEntityError),
        (500, "internal error", InternalServerError),
        (429, "prompt is too long for the rate limit", RateLimitError),
    ],
)
def test_what_is_no_overflow_stays_what_it_is(status: int, message: str, kind: type):
    assert type(refused(status, message)) is kind


@pytest.mark.parametrize(
    ("wire", "refuses"),
    [
        (b"Authentication Fails (governor)", True),
        (b"Authentication Fails (no such user)", True),
        (b'{"error":{"message":"Authentication Fails, Your api key: ****abcd is invalid"}}', True),
        (b'{"error":{"message":"auth service unavailable"}}', False),
        (b'{"error":{"message":"x","type":"authentication_error"}}', False),
        (b'{"error":{"message":"Incorrect API key provided"}}', False),
        (b"<html><title>401 Authorization Required</title></html>", False),
        (b"", False),
    ],
)
def test_only_deepseeks_own_words_refuse_a_key_for_good(wire: bytes, refuses: bool):
    error = status_error(401, {}, wire, now=0.0)
    assert isinstance(error, AuthenticationError)
    assert error.key_refused is refuses


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        (b'{"detail": "Not authenticated"}', "Not authenticated"),
        (b'{"detail": [{"loc": ["body"], "msg": "field required"}, {"msg": "no"}]}', "field required; no"),
        (b'{"object": "error", "message": "no such model", "code": 400}', "no such model"),
        (b'{"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}', "400: no"),
        (b'[{"error": {"code": 400, "message": "no such key", "status": "INVALID_ARGUMENT"}}]', "400: no such key"),
        (b'{"success": false, "errors": [{"code": 7003, "message": "no route"}], "result": null}', "400: no route"),
        (b'{"status": 400, "error": "Bad Request", "message": "no model"}', "400: Bad Request: no model"),
        (b'{"error": null, "message": "no model"}', "400: no model"),
        (b'{"error": "no model"}', "400: no model"),
    ],
)
def test_a_message_is_found_where_each_server_has_it(wire: bytes, said: str):
    assert said in str(status_error(400, {}, wire, now=0.0))


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({"x-ds-trace-id": "a", "x-request-id": "b"}, "a"),
        ({"x-deepseek-request-id": "a", "x-request-id": "b"}, "a"),
        ({"x-request-id": "b", "request-id": "c"}, "b"),
        ({"request-id": "c"}, "c"),
        ({}, None),
    ],
)
def test_a_request_is_named_as_its_server_names_it(headers: dict, request_id: str | None):
    assert status_error(500, headers, b"", now=0.0).request_id == request_id


@pytest.mark.parametrize("ask", [is_used_up, is_too_long])
@pytest.mark.parametrize("unit", ["insufficient ", "quota ", "exceed context ", "a_", "input length ", "额度", " "])
@pytest.mark.timeout(20)
def test_a_long_text_is_searched_in_no_time(ask, unit: str):
    text = unit * (20_000 // len(unit))
    ask(text, ())
    is_per_minute(text)


@given(st.text(), st.lists(st.none() | st.integers() | st.text(max_size=9) | st.lists(st.text()), max_size=2))
def test_any_text_can_be_asked_about(text: str, kinds: list):
    assert is_used_up(text, kinds) in {True, False}
    assert is_too_long(text, kinds) in {True, False}
