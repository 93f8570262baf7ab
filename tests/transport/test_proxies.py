"""Which proxy a server is reached through, by what was given and by the environment's variables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async import ConfigurationError
from deepseek_async.transport.proxies import Proxy, proxies_to

API = "https://api.deepseek.com"
HERE = "http://127.0.0.1:8000"
PROXY = "http://proxy.corp:3128"


def way_to(server: str, given: str | None = None, **environment: str) -> Proxy | None:
    return proxies_to([server], given, environment).get(server)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_environments_proxy_is_taken_and_its_variable_named(name: str):
    assert way_to(API, **{name: PROXY}) == Proxy(PROXY, name)
    assert str(way_to(API, **{name: PROXY})) == f"{PROXY} ({name})"


def test_a_given_proxy_wins_over_the_environment_and_over_no_proxy():
    assert way_to(API, PROXY, HTTPS_PROXY="http://other:1", NO_PROXY="*") == Proxy(PROXY, "proxy")


@pytest.mark.parametrize(
    ("environment", "source"),
    [
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "https_proxy"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:1"}, "HTTPS_PROXY"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:1", "all_proxy": "http://c:1"}, "all_proxy"),
    ],
)
def test_the_nearest_variable_wins(environment: dict[str, str], source: str):
    found = way_to(API, **environment)
    assert found is not None
    assert found.source == source


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"HTTP_PROXY": PROXY},
        {"HTTPS_PROXY": ""},
        {"HTTPS_PROXY": "  "},
        {"https_proxy": "", "HTTPS_PROXY": PROXY},
        {"HTTPS_PROXY": PROXY, "NO_PROXY": "deepseek.com"},
        {"HTTPS_PROXY": PROXY, "no_proxy": "*"},
        {"ALL_PROXY": "socks5://proxy:1080", "NO_PROXY": ".deepseek.com"},
    ],
)
def test_no_proxy_is_taken_where_none_is_for_the_server(environment: dict[str, str]):
    assert way_to(API, **environment) is None


def test_the_lower_case_exemption_wins():
    assert way_to(API, HTTPS_PROXY=PROXY, no_proxy="", NO_PROXY="*") == Proxy(PROXY, "HTTPS_PROXY")


def test_plain_http_has_its_own_variable_which_a_web_visitor_cannot_set():
    plain = "http://gateway.corp"
    assert way_to(plain, HTTP_PROXY=PROXY) == Proxy(PROXY, "HTTP_PROXY")
    assert way_to(plain, HTTP_PROXY=PROXY, REQUEST_METHOD="GET") is None
    assert way_to(plain, http_proxy=PROXY, REQUEST_METHOD="GET") == Proxy(PROXY, "http_proxy")


@pytest.mark.parametrize(
    "server", [HERE, "http://localhost:1", "https://localhost.", "http://[::1]:8", "https://127.9.9.9"]
)
def test_this_machine_is_never_reached_through_the_environments_proxy(server: str):
    everything = dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"], "socks5://nobody:1")
    assert way_to(server, **everything) is None


def test_a_given_proxy_is_for_the_clients_own_server_and_for_others_elsewhere():
    backup = "https://backup.example"
    found = proxies_to([HERE, backup, "http://127.0.0.1:9"], PROXY, {})
    assert set(found) == {HERE, backup}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("proxy.corp:3128", "http://proxy.corp:3128"),
        ("proxy.corp", "http://proxy.corp"),
        (" http://proxy.corp:3128/ ", "http://proxy.corp:3128"),
        ("https://proxy.corp:443", "https://proxy.corp:443"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
        ("http://anna:secret@proxy.corp:3128", "http://proxy.corp:3128"),
        ("anna:secret@proxy.corp:3128", "http://proxy.corp:3128"),
    ],
)
def test_a_variable_is_read_as_curl_reads_it(text: str, url: str):
    found = way_to(API, HTTPS_PROXY=text)
    assert found is not None
    assert found.url == url
    assert "secret" not in f"{found} {found!r}"


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ("anna:secret", "Basic YW5uYTpzZWNyZXQ="),
        ("anna", "Basic YW5uYTo="),
        ("anna:p%40ss%3A", "Basic YW5uYTpwQHNzOg=="),
        ("anna:p@ss", "Basic YW5uYTpwQHNz"),
        ("anna:größe", "Basic YW5uYTpncsO2w59l"),
        ("anna:\udcff", "Basic YW5uYTr/"),
    ],
)
def test_user_name_and_password_are_for_the_proxy(user: str, header: str):
    found = way_to(API, HTTPS_PROXY=f"http://{user}@proxy:1")
    assert found is not None
    assert found.authorization == header


@pytest.mark.parametrize("scheme", ["socks", "socks4", "socks4a", "socks5", "socks5h", "SOCKS5"])
def test_a_socks_proxy_is_named_as_not_supported_with_a_way_out(scheme: str):
    with pytest.raises(ConfigurationError) as caught:
        way_to(API, ALL_PROXY=f"{scheme}://anna:secret@proxy:1080")
    message = str(caught.value)
    assert message.startswith("ALL_PROXY ")
    for word in ("SOCKS", "HTTPS_PROXY", "NO_PROXY", "trust_env=False"):
        assert word in message
    assert "secret" not in message
    assert way_to(API, ALL_PROXY=f"{scheme}://proxy:1080", HTTPS_PROXY=PROXY) == Proxy(PROXY, "HTTPS_PROXY")


@pytest.mark.parametrize(
    "text",
    [
        "ftp://secret@proxy",
        "http://",
        "http://anna:secret@",
        "http://anna:secret@proxy:port",
        "http://anna:secret@proxy:0",
        "http://anna:secret@proxy:99999",
        "http://anna:sec#ret@proxy:1",
        "http://anna:12/3secret@proxy:1",
        "http://anna:12?secret@proxy:1",
        "http://anna:secret@[proxy:1",
        "http://anna:secret@pro xy:1",
        "http://anna:secret@a..b:1",
        "http://anna:secret@127.1:1",
        "http://anna:secret@proxy\x00:1",
    ],
)
def test_what_cannot_be_a_proxy_is_refused_and_not_shown(text: str):
    for source, arguments in (("proxy", {"given": text}), ("HTTPS_PROXY", {"HTTPS_PROXY": text})):
        with pytest.raises(ConfigurationError) as caught:
            way_to(API, **arguments)
        assert str(caught.value).startswith(f"{source} must be the full URL of an HTTP proxy")
        assert "ret" not in str(caught.value)
        assert caught.value.__cause__ is None


@given(st.text(max_size=40), st.sampled_from(["", "http://", "https://", "http://anna:secret@"]))
def test_any_text_is_a_proxy_or_refused(text: str, start: str):
    try:
        found = way_to(API, HTTPS_PROXY=start + text)
    except ConfigurationError as error:
        assert "secret" not in str(error)  # noqa: PT017  either ending is right
    else:
        assert found is None or found.url.isprintable()
