"""Who asks: the caller of a request, by the key in its headers."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from deepseek_async.gateway.callers import CallerProfile, Callers
from deepseek_async.gateway.replies import GatewayError

ANYBODY: Final = CallerProfile(name="", hash="", created_at=0)
"""The caller on a gateway without keys, which listens on loopback only."""

_HOST: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
"""A name or address and a port, whole: urlsplit takes ``[::1].evil.example`` for ``::1``."""
_NAMES: Final = frozenset({"localhost", "ip6-localhost"})


def identify(request: web.BaseRequest, callers: Callers) -> CallerProfile:
    """Return the caller of a request. Raises GatewayError: 401 without a known key, 403 from a foreign page."""
    callers.refresh()
    if callers.required:
        caller = callers.find(_key_in(request) or "")
        if caller is None:
            raise GatewayError(
                401,
                "a key of this gateway is required: Authorization: Bearer dsg-… (or x-api-key); its operator makes one "
                "with: deepseek-async serve keys add NAME",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
    else:
        caller = ANYBODY
        _refuse_foreign_pages(request)
    return caller


def _key_in(request: web.BaseRequest) -> str | None:
    """OpenAI's clients send a bearer token, Anthropic's ``x-api-key``."""
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and key.strip():
        return key.strip()
    return request.headers.get("x-api-key")


def _refuse_foreign_pages(request: web.BaseRequest) -> None:
    """Refuse what a web page of somebody else has a browser on this machine send (CSRF, and DNS rebinding).

    Without keys, being on loopback is all the proof there is, and a browser on this machine is on loopback too.
    """
    fields = request.headers
    named = fields.get("Host", "")
    if not _names_loopback(named):
        raise GatewayError(403, f"without keys this gateway answers to loopback names only, not to {named!r:.80}")
    origin = fields.get("Origin")
    if origin is not None and urlsplit(origin).netloc != fields.get("Host"):
        raise GatewayError(403, f"without keys this gateway does not answer pages of other sites, got {origin!r:.80}")
    if fields.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise GatewayError(403, "without keys this gateway does not answer pages of other sites")


@lru_cache(64)
def _names_loopback(authority: str) -> bool:
    """Whether a ``Host`` field names this machine. Clients send the same few."""
    named = _HOST.fullmatch(authority)
    return named is not None and is_loopback(named[1].strip("[]"))


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a name or address of this machine only."""
    if host.lower() in _NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
