"""Which hosts are this machine, and which ones NO_PROXY names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.transport.hosts import is_exempt, is_loopback

LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12).filter(
    lambda label: label[0].isalpha() and label[-1] != "-"
)
HOSTS = st.lists(LABELS, min_size=2, max_size=4).map(".".join)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.8.9.1",
        "::1",
        "[::1]",
        "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1",
    ],
)
def test_this_machine_is_known_by_its_names(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["api.deepseek.com", "localhost.example", "notlocalhost", "10.0.0.1", "0.0.0.0", "1.127.0.0", "127.evil", "", "."],
)
def test_no_other_host_is_taken_for_it(host: str):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "no_proxy",
    [
        "*",
        "api.deepseek.com",
        "deepseek.com",
        ".deepseek.com",
        "*.deepseek.com",
        "DeepSeek.COM",
        "deepseek.com.",
        "com",
        "a.example,deepseek.com",
        "a.example deepseek.com",
        " a.example ,  deepseek.com ,",
        "deepseek.com:443",
        "https://api.deepseek.com",
    ],
)
def test_a_server_is_exempt_by_its_name_or_one_above(no_proxy: str):
    assert is_exempt("api.deepseek.com", 443, no_proxy)
    assert is_exempt("API.DeepSeek.com.", 443, no_proxy)


@pytest.mark.parametrize(
    "no_proxy",
    [
        "",
        ",",
        ".",
        "*.",
        "seek.com",
        "xapi.deepseek.com",
        "api.deepseek.com.cn",
        "deepseek.com:8443",
        "10.0.0.0/8",
        ":",
    ],
)
def test_a_server_is_not_exempt_by_another_name(no_proxy: str):
    assert not is_exempt("api.deepseek.com", 443, no_proxy)


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/8"),
        ("10.1.2.3", "10.1.2.3:443"),
        ("10.1.2.3", "*"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("fd00::1", "fd00::/8"),
        ("fd00::1", "[fd00::1]"),
        ("[fd00::1]", "fd00:0::1"),
        ("fd00::1", "[fd00::1]:443"),
    ],
)
def test_an_address_is_exempt_by_itself_or_its_network(host: str, no_proxy: str):
    assert is_exempt(host, 443, no_proxy)


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("10.1.2.3", "2.3"),
        ("10.1.2.3", ".2.3"),
        ("10.1.2.3", "10.1.2.3:80"),
        ("10.1.2.3", "10.1.2.30"),
        ("10.1.2.3", "11.0.0.0/8"),
        ("10.1.2.3", "fd00::/8"),
        ("10.1.2.3", "10.0.0.0/99"),
        ("fd00::1", "[fd00::1]:80"),
    ],
)
def test_an_address_is_not_exempt_by_parts_of_it(host: str, no_proxy: str):
    assert not is_exempt(host, 443, no_proxy)


@given(HOSTS, LABELS)
def test_what_exempts_a_name_exempts_all_below_and_none_beside(host: str, label: str):
    for written in (host, f".{host}", f"*.{host}", f"other.invalid, {host.upper()}"):
        assert is_exempt(host, 443, written)
        assert is_exempt(f"{label}.{host}", 443, written)
        assert not is_exempt(f"{label}{host}", 443, written)


@given(st.text(max_size=30), st.text("*.:/[],0123456789abc ", max_size=30))
def test_any_text_can_be_read(host: str, no_proxy: str):
    assert is_exempt(host, 443, no_proxy) in (True, False)
    assert is_loopback(host) in (True, False)
