"""Which requests are the same request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async.cache import cache_key, is_deterministic

REQUEST = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}


def key(request: dict[str, Any] = REQUEST, **place: str) -> bytes:
    known = {"base_url": "https://api.deepseek.com", "account": "a", "path": "/chat/completions"}
    return cache_key(**{**known, **place}, request=request)


def test_the_order_of_fields_makes_no_difference():
    assert key(dict(reversed(REQUEST.items()))) == key()


def test_a_streamed_request_is_the_plain_one():
    assert key({**REQUEST, "stream": True, "stream_options": {"include_usage": True}}) == key()


@pytest.mark.parametrize(
    "change",
    [
        {"model": "deepseek-v4-pro"},
        {"messages": [{"role": "user", "content": "hi"}]},
        {"messages": [{"role": "system", "content": "Hi"}]},
        {"temperature": 1},
        {"max_tokens": 5},
        {"user_id": "u"},
        {"anything": None},
    ],
)
def test_every_other_change_is_another_request(change: dict[str, Any]):
    assert key({**REQUEST, **change}) != key()


@pytest.mark.parametrize("place", [{"base_url": "https://other.example"}, {"account": "b"}, {"path": "/completions"}])
def test_another_server_account_or_endpoint_is_another_request(place: dict[str, str]):
    assert key(**place) != key()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4), st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_two_requests_have_one_key_only_if_they_ask_the_same(first: dict[str, Any], second: dict[str, Any]):
    def asked(request: dict[str, Any]) -> str:
        # repr tells True from 1, which == does not.
        return repr(_sorted({name: request[name] for name in request if name not in {"stream", "stream_options"}}))

    assert (key(first) == key(second)) == (asked(first) == asked(second))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"temperature": 0, "thinking": {"type": "disabled"}}, True),
        ({"temperature": 0.0, "reasoning_effort": "none"}, True),
        ({"temperature": 0}, False),
        ({"temperature": 0, "thinking": {"type": "enabled"}}, False),
        ({"temperature": 0.1, "thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "disabled"}}, False),
        ({}, False),
    ],
)
def test_deterministic_means_temperature_zero_and_no_thinking(parameters: dict[str, Any], expected: bool):
    assert is_deterministic(parameters) is expected
