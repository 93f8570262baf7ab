"""Arguments and environment to settings; whatever is wrong is named."""

from __future__ import annotations

import math

import pytest
from servers import CANARY

from deepseek_async import AsyncDeepSeek, ConfigurationError, RetryPolicy, Timeouts
from deepseek_async.settings import DEFAULT_BASE_URL, DEFAULT_CONCURRENCY


def made(**arguments):
    return AsyncDeepSeek(**{"api_key": CANARY, **arguments}).settings


def test_the_defaults_are_the_apis_own():
    settings = made()
    assert settings.base_url == DEFAULT_BASE_URL == "https://api.deepseek.com"
    assert settings.max_concurrency == DEFAULT_CONCURRENCY
    assert settings.timeouts == Timeouts()
    assert settings.retry == RetryPolicy()
    assert settings.requests_per_minute is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"api_key": ""}, "api_key"),
        ({"api_key": "  "}, "api_key"),
        ({"api_key": "sk-with space"}, "api_key"),
        ({"api_key": "sk-line\nbreak"}, "api_key"),
        ({"api_key": "sk-ünicode"}, "api_key"),
        ({"base_url": "api.deepseek.com"}, "base_url"),
        ({"base_url": "ftp://api.deepseek.com"}, "base_url"),
        ({"base_url": "https://"}, "base_url"),
        ({"base_url": "https://host:port"}, "base_url"),
        ({"base_url": "https://[::1"}, "base_url"),
        ({"base_url": "https://a\nb"}, "base_url"),
        ({"base_url": "https://user:swordfish@api.deepseek.com"}, "base_url"),
        ({"base_url": "ftp://user:swordfish@api.deepseek.com"}, "base_url"),
        ({"base_url": "https://api.deepseek.com?a=b"}, "base_url"),
        ({"base_url": "https://api.deepseek.com#a"}, "base_url"),
        ({"base_url": "http://api.deepseek.com"}, "base_url must be https"),
        ({"base_url": "http://127.evil.example"}, "base_url must be https"),
        ({"base_url": "http://10.0.0.1"}, "base_url must be https"),
        ({"timeout": 0}, r"timeout\.total"),
        ({"timeout": -1}, r"timeout\.total"),
        ({"timeout": math.nan}, r"timeout\.total"),
        ({"timeout": "5"}, "timeout"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"max_concurrency": 1.5}, "max_concurrency"),
        ({"max_concurrency": True}, "max_concurrency"),
        ({"max_concurrency": "5"}, "max_concurrency"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"requests_per_minute": "60"}, "requests_per_minute"),
        ({"tokens_per_minute": -1}, "tokens_per_minute"),
        ({"tokens_per_minute": math.nan}, "tokens_per_minute"),
        ({"retry": 0}, "retry"),
        ({"retry": "3"}, "retry"),
        ({"retry": True}, "retry"),
        ({"default_headers": {"Authorization": "x"}}, "Authorization"),
        ({"default_headers": {"X-A": "a\r\nb"}}, "X-A"),
        ({"default_headers": {"X\n": "a"}}, "default_headers"),
    ],
)
def test_a_wrong_setting_is_named(arguments: dict, named: str):
    with pytest.raises(ConfigurationError, match=named) as caught:
        made(**arguments)
    assert isinstance(caught.value, ValueError)
    assert "swordfish" not in str(caught.value)


def test_a_key_in_a_url_is_not_repeated_in_the_message():
    with pytest.raises(ConfigurationError) as caught:
        made(base_url=f"https://api.deepseek.com?key={CANARY}")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in Timeouts.__struct_fields__ if name != "total"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_each_wrong_timer_is_named(name: str, value: float):
    with pytest.raises(ConfigurationError, match=rf"timeout\.{name}"):
        Timeouts(**{name: value})


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8000", "http://127.0.0.1", "http://127.1.2.3:1", "http://[::1]:9", "https://proxy.example/v1"],
)
def test_plain_http_is_for_this_machine_only(url: str):
    assert made(base_url=url).base_url == url


def test_slashes_and_blanks_around_the_url_are_dropped():
    assert made(base_url=" https://api.deepseek.com/beta/ \n").base_url == "https://api.deepseek.com/beta"


def test_blanks_around_the_key_are_dropped():
    assert AsyncDeepSeek(api_key=f" {CANARY}\n").settings.api_key.authorization() == f"Bearer {CANARY}"


def test_the_environment_fills_what_was_not_given(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-fromtheenvironment")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", "https://other.example")
    monkeypatch.setenv("DEEPSEEK_ASYNC_MAX_CONCURRENCY", "7")
    settings = AsyncDeepSeek().settings
    assert settings.api_key.authorization() == "Bearer sk-fromtheenvironment"
    assert (settings.base_url, settings.max_concurrency) == ("https://other.example", 7)


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-fromtheenvironment")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", "nonsense")
    monkeypatch.setenv("DEEPSEEK_ASYNC_MAX_CONCURRENCY", "nonsense")
    settings = made(base_url="https://mine.example", max_concurrency=3)
    assert settings.api_key.authorization() == f"Bearer {CANARY}"
    assert (settings.base_url, settings.max_concurrency) == ("https://mine.example", 3)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("DEEPSEEK_API_KEY", "", "DEEPSEEK_API_KEY"),
        ("DEEPSEEK_BASE_URL", "nonsense", "base_url"),
        ("DEEPSEEK_ASYNC_MAX_CONCURRENCY", "many", "DEEPSEEK_ASYNC_MAX_CONCURRENCY"),
        ("DEEPSEEK_ASYNC_MAX_CONCURRENCY", "0", "DEEPSEEK_ASYNC_MAX_CONCURRENCY"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str):
    monkeypatch.setenv("DEEPSEEK_API_KEY", CANARY)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=named):
        AsyncDeepSeek()


def test_empty_variables_count_as_not_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEEPSEEK_BASE_URL", "")
    monkeypatch.setenv("DEEPSEEK_ASYNC_MAX_CONCURRENCY", "")
    assert made().base_url == DEFAULT_BASE_URL


def test_a_number_of_seconds_bounds_the_whole_call():
    assert made(timeout=5).timeouts == Timeouts(total=5)


def test_a_number_of_attempts_is_a_policy():
    assert made(retry=2).retry == RetryPolicy(max_attempts=2)
