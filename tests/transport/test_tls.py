"""Where the authorities that are trusted come from is told when a certificate is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from certificate import Authority
from support.clients import Connect, failure_of
from support.servers import ANSWER, Serve

from deepseek_async import APIConnectionError


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """One that nobody was told of."""
    return Authority(tmp_path)


async def test_what_is_trusted_is_named_with_its_variable(
    serve: Serve, connect: Connect, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    another = tmp_path / "another"
    another.mkdir()
    trusted = Authority(another).trusted
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    server = await serve([ANSWER], tls=authority.server_context())
    error = await failure_of(connect(server), stream=False)
    assert isinstance(error, APIConnectionError)
    assert error.reason == "tls"
    assert f"trusted authorities come from SSL_CERT_FILE={trusted}" in str(error)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
async def test_a_variable_of_other_programs_is_named_as_not_read(
    serve: Serve, connect: Connect, authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
):
    monkeypatch.setenv(variable, str(authority.trusted))
    server = await serve([ANSWER], tls=authority.server_context())
    error = await failure_of(connect(server), stream=False)
    assert isinstance(error, APIConnectionError)
    assert error.reason == "tls"
    assert f"{variable} is ignored, set SSL_CERT_FILE" in str(error)
