"""Arguments and environment to settings; whatever is wrong is named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from certificate import Authority
from support.servers import CANARY

from deepseek_async import AsyncDeepSeek, BreakerPolicy, ConfigurationError, Endpoint, RetryPolicy, Timeouts
from deepseek_async.transport.address import DEFAULT_BASE_URL


def made(**arguments):
    return AsyncDeepSeek(**{"api_key": CANARY, **arguments}).settings


def test_the_defaults_are_the_apis_own():
    settings = made()
    assert settings.base_url == DEFAULT_BASE_URL == "https://api.deepseek.com"
    assert settings.max_concurrency == "auto"
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
        ({"shared": "everybody"}, "shared"),
        ({"shared": 5}, "shared"),
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
        ({"max_concurrency": "automatic"}, "max_concurrency"),
        ({"breaker": 5}, "breaker"),
        ({"account": ""}, "account"),
        ({"fallback_models": "deepseek-v4-pro"}, "fallback_models"),
        ({"fallback_models": [""]}, "fallback_models"),
        ({"fallback_models": ["a", "b", "a"]}, "fallback_models"),
        ({"fallback": "backup.example"}, "fallback"),
        ({"fallback": "http://backup.example"}, "fallback must be https"),
        ({"fallback": "https://api.deepseek.com"}, "fallback"),
        ({"fallback": Endpoint("https://api.deepseek.com/", CANARY)}, "fallback"),
        ({"default_headers": {"Authorization": "x"}}, "Authorization"),
        ({"default_headers": {"X-A": "a\r\nb"}}, "X-A"),
        ({"default_headers": {"X\n": "a"}}, "default_headers"),
        ({"default_headers": {"bad name": "a"}}, "default_headers"),
        ({"default_headers": {"Host": "elsewhere"}}, "Host"),
        ({"default_headers": {"X": 3}}, r"default_headers\['X'\] must be a string"),
        ({"default_headers": [("X", "a")]}, "default_headers"),
        ({"api_key": 3}, "api_key must be a string"),
        ({"base_url": 3}, "base_url must be a string"),
        ({"fallback_models": 3}, "fallback_models"),
        ({"endpoints": 3}, "endpoints"),
        ({"endpoints": {"embeddings": 3}}, "embeddings"),
        ({"holidays": 3}, "holidays"),
        ({"holidays": ["2027-02-09"]}, "holidays"),
        ({"tokenizer": 3}, "tokenizer"),
        ({"listeners": 3}, "listeners"),
        ({"proxy": 3}, "proxy must be a string"),
        ({"trust_env": "no"}, "trust_env must be True or False"),
        ({"proxy": "127.0.0.1:3128"}, "proxy must be the full URL"),
        ({"proxy": "socks5://127.0.0.1:1080"}, "proxy must be the full URL"),
        ({"requests_per_minute": math.inf}, "requests_per_minute"),
    ],
)
def test_a_wrong_setting_is_named(arguments: dict, named: str):
    with pytest.raises(ConfigurationError, match=named) as caught:
        made(**arguments)
    assert isinstance(caught.value, ValueError)
    assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize(
    "misplaced",
    [{"timeout": CANARY}, {"lint": CANARY}, {"breaker": CANARY}, {"fallback_models": CANARY}, {"endpoints": CANARY}],
    ids=str,
)
def test_a_key_in_the_wrong_place_is_not_repeated_in_the_message(misplaced: dict):
    with pytest.raises(ConfigurationError) as caught:
        made(**misplaced)
    assert CANARY.removeprefix("sk-")[:6] not in str(caught.value)


def test_a_key_in_a_url_is_not_repeated_in_the_message():
    with pytest.raises(ConfigurationError) as caught:
        made(base_url=f"https://api.deepseek.com?key={CANARY}")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in Timeouts.__struct_fields__ if name != "total"])
@pytest.mark.parametrize("value", [0, -1, math.nan, "5"])
def test_each_wrong_timer_is_named(name: str, value: float):
    with pytest.raises(ConfigurationError, match=rf"timeout\.{name}"):
        Timeouts(**{name: value})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"failure_threshold": 0}, "failure_threshold"),
        ({"failure_threshold": 2.5}, "failure_threshold"),
        ({"reset_timeout": 0}, "reset_timeout"),
        ({"reset_timeout": math.nan}, "reset_timeout"),
        ({"reset_timeout": math.inf}, "reset_timeout"),
    ],
)
def test_a_wrong_breaker_names_its_field(wrong: dict, field: str):
    with pytest.raises(ConfigurationError, match=rf"breaker\.{field}"):
        BreakerPolicy(**wrong)


@pytest.mark.parametrize("name", ["connect", "headers", "first_content", "idle", "stall"])
def test_a_timer_that_could_never_run_out_contradicts_the_attempts(name: str):
    with pytest.raises(ConfigurationError, match=rf"timeout\.{name}.*timeout\.attempt"):
        Timeouts(attempt=60, **{name: 61})
    assert Timeouts(attempt=5).attempt == 5, "timers left alone do not contradict"


def test_a_breaker_is_there_unless_it_is_turned_off():
    assert made().breaker == made(breaker=True).breaker == BreakerPolicy(failure_threshold=5, reset_timeout=60)
    assert made(breaker=False).breaker is None


def test_a_fallback_of_the_same_origin_uses_the_same_key_and_another_one_none():
    same = made(fallback=Endpoint("https://api.deepseek.com", model="deepseek-v4-pro")).fallback
    other = made(fallback="https://backup.example/v1").fallback
    assert same is not None
    assert same.api_key is not None
    assert other is not None
    assert other.api_key is None


def test_each_key_is_an_account_unless_it_is_named():
    assert made().account == made().account != made(api_key="sk-another").account
    assert made(account="mine").account == "mine"
    assert CANARY not in made().account


def test_ceilings_are_remembered_where_the_limit_is_searched_and_not_for_this_machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(made().cache_folder) == "/somewhere/deepseek_async"
    assert made(max_concurrency=5).cache_folder is None
    assert made(base_url="http://127.0.0.1:1").cache_folder is None
    monkeypatch.setenv("DEEPSEEK_ASYNC_CACHE_DIR", "/elsewhere")
    assert str(made(base_url="http://127.0.0.1:1").cache_folder) == "/elsewhere"


def test_a_user_without_a_home_has_a_client_that_remembers_nothing(monkeypatch: pytest.MonkeyPatch):
    for name in ("HOME", "XDG_CACHE_HOME", "DEEPSEEK_ASYNC_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # an identity that no user has, as in many containers
    assert made().cache_folder is None


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
        ("DEEPSEEK_BASE_URL", "nonsense", "DEEPSEEK_BASE_URL"),
        ("DEEPSEEK_ASYNC_MAX_CONCURRENCY", "many", "DEEPSEEK_ASYNC_MAX_CONCURRENCY"),
        ("DEEPSEEK_ASYNC_MAX_CONCURRENCY", "0", "DEEPSEEK_ASYNC_MAX_CONCURRENCY"),
        ("HTTPS_PROXY", "http://", "HTTPS_PROXY must be"),
        ("ALL_PROXY", "socks5h://proxy:1080", "SOCKS proxies are not supported"),
        ("SSL_CERT_FILE", "/nowhere.pem", "SSL_CERT_FILE names '/nowhere.pem', which cannot be read: No such file"),
        ("SSL_CERT_FILE", "/", "SSL_CERT_FILE names '/', which cannot be read: Is a directory"),
        ("SSL_CERT_FILE", "/dev/null", "SSL_CERT_FILE names '/dev/null', which contains no PEM certificates"),
        ("SSL_CERT_DIR", "/nowhere", "SSL_CERT_DIR names '/nowhere', which is not a folder"),
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


def test_authorities_are_not_looked_at_for_a_server_without_tls(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    assert made(base_url="http://127.0.0.1:1").base_url == "http://127.0.0.1:1"
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        made(base_url="http://127.0.0.1:1", fallback="https://backup.example")


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_authorities_of_ones_own_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str):
    path = Authority(tmp_path).trusted if name == "SSL_CERT_FILE" else tmp_path
    monkeypatch.setenv(name, str(path))
    assert made().base_url == "https://api.deepseek.com"


def test_a_proxy_for_a_server_that_the_environment_does_not_speak_of_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:swordfish@proxy:1")
    monkeypatch.setenv("NO_PROXY", "backup.example")
    settings = made(fallback="https://backup.example/v1", endpoints={"embeddings": "http://127.0.0.1:1"})
    assert list(settings.proxies) == ["https://api.deepseek.com"]
    assert "swordfish" not in f"{settings}"
    assert made(trust_env=False).proxies == {}
