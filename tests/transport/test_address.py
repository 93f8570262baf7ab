"""Base URLs as people paste them are made canonical or refused; none fails later for what could be seen at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import Connect, ask
from support.servers import ANSWER, Serve
from yarl import URL

from deepseek_async import ConfigurationError
from deepseek_async.transport.address import checked_url


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("https://api.example", "https://api.example"),
        (" https://api.example/v1/ \n", "https://api.example/v1"),
        ("https://api.example/v1//", "https://api.example/v1"),
        ("https://api.example//v1", "https://api.example/v1"),
        ("https://api.example/a/../v1/.", "https://api.example/v1"),
        ("https://api.example/..", "https://api.example"),
        ("https://api.example/.well-known/..v1", "https://api.example/.well-known/..v1"),
        ("HTTPS://API.Example/V1", "https://api.example/V1"),
        ("https://api.example:", "https://api.example"),
        ("https://api.example:/v1", "https://api.example/v1"),
        ("https://api.example/v1?", "https://api.example/v1"),
        ("https://api.example/v1#", "https://api.example/v1"),
        ("https://api.example./v1", "https://api.example./v1"),
        ("https://my_gateway:8443/v1", "https://my_gateway:8443/v1"),
        ("https://größe.example", "https://größe.example"),
        ("https://10.0.0.1/v1", "https://10.0.0.1/v1"),
        ("https://[2001:DB8::1]:8443/v1", "https://[2001:db8::1]:8443/v1"),
        ("http://localhost.:8000", "http://localhost.:8000"),
        ("https://gateway.example/https://api.example/v1", "https://gateway.example/https://api.example/v1"),
        ("https://x.services.ai.azure.com/models", "https://x.services.ai.azure.com/models"),
    ],
)
def test_an_address_is_made_canonical(given: str, canonical: str):
    assert checked_url("base_url", given) == canonical


@pytest.mark.parametrize(
    "given",
    [
        "api.example",
        "//api.example",
        "https:/api.example",
        "https://",
        "https://:443",
        "wss://api.example",
        "https://https://api.example",
        '"https://api.example"',
        "https://api.example,",
        "https://exa mple",
        "https://api.example\\v1",
        "https://a..b",
        "https://.example",
        f"https://{'a' * 64}.example",
        f"https://{'.'.join(['a' * 60] * 5)}",
        "https://*.example",
        "https://%61pi.example",
        "https://2130706433",
        "https://127.1",
        "https://1.2.3.4.5",
        "https://[v1.x]",
        "https://[1.2.3.4]",
        "https://[::1",
        "https://api.example:0",
        "https://api.example:99999",
        "https://api.exa\tmple",
        "https://api.example/\u200b",
        "\ufeffhttps://api.example",
        "${DEEPSEEK_BASE_URL}",
    ],
)
def test_what_cannot_be_asked_is_refused_and_shown(given: str):
    with pytest.raises(
        ConfigurationError, match=r"^base_url must be a full URL such as https://api\.deepseek\.com, got"
    ):
        checked_url("base_url", given)


@pytest.mark.parametrize("path", ["/chat/completions", "/completions", "/embeddings", "/responses"])
@pytest.mark.parametrize("base", ["https://api.example", "https://api.example/v1", "https://api.example/beta"])
def test_an_endpoint_in_the_place_of_its_base_is_refused_with_the_base(base: str, path: str):
    with pytest.raises(ConfigurationError, match=rf"^base_url must not end with {path}, .*; use {base}$"):
        checked_url("base_url", f"{base}{path}/")


@given(
    st.sampled_from(["https://", "http://", "HTTPS://", ""]),
    st.text(st.sampled_from("ab1.-_:/\\%[]@ é。\u200b\t0x,*"), max_size=20) | st.text(max_size=12),
    st.sampled_from(["", "/v1", "//v1/", "/v1/chat/completions", ":8443/v1", "?q", "#f"]),
)
def test_any_text_is_an_address_that_stays_itself_or_refused(scheme: str, host: str, rest: str):
    try:
        found = checked_url("base_url", scheme + host + rest)
    except ConfigurationError as error:
        assert str(error).startswith("base_url ")  # noqa: PT017  either ending is right
        return
    assert checked_url("base_url", found) == found
    asked = URL(found)
    assert asked.host
    assert asked.host.encode("idna")


@pytest.mark.parametrize("odd", ["{}/", "{}//", " {} ", "{}/v1/.."])
async def test_an_odd_address_asks_the_endpoint(serve: Serve, connect: Connect, odd: str):
    server = await serve([ANSWER])
    await ask(connect(odd.format(server.url)))
    assert server.requests[0].path == "/chat/completions"
