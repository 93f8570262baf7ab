"""Redis URLs: validated before connecting, shown without secrets; explanation of connection errors."""

from __future__ import annotations

import ssl
from importlib.util import find_spec
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from deepseek_async.configuration.credential import KnownSecret, Secret
from deepseek_async.errors import ConfigurationError
from deepseek_async.text.redaction import redact

SCHEMES: Final = ("redis", "rediss", "unix")

_SECRET: Final = frozenset({"password", "ssl_password"})
"""URL parameters that hold a secret."""


def is_redis(value: object) -> bool:
    """Whether ``value`` looks like a Redis URL."""
    return isinstance(value, str) and value.partition("://")[0].lower() in SCHEMES and "://" in value


def checked_redis(name: str, url: str) -> Secret:
    """Return ``url`` wrapped so that its repr is masked, and its password is masked in every text for its lifetime.

    Raises ConfigurationError, naming the setting, if the URL is invalid or the redis package is missing.
    """
    # No function with a part of the URL in its locals may raise here.
    url = Secret(url.strip())
    if (problem := _problem(url)) is not None:
        raise ConfigurationError(
            f"{name} must be a URL such as redis://127.0.0.1:6379/0, rediss://… for TLS, or unix:///run/redis.sock: "
            f"{problem}"
        )
    if find_spec("redis") is None:
        raise ConfigurationError(f'{name} requires the redis package: pip install "deepseek-async[redis]"')
    if (problem := _refused(url)) is not None:
        raise ConfigurationError(f"{name} is rejected by the redis package: {problem}")
    secrets = _secrets_of(url)
    return KnownSecret(url, *secrets) if secrets else url


def _problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # an unmatched bracket or a non-numeric port
        return "invalid host or port; escape # / and ? in a password as %23, %2F and %3F"
    if parts.scheme not in SCHEMES:
        return f"the scheme must be {', '.join(SCHEMES)}"
    if "@" in parts.path or "#" in url:
        return "escape # / and ? in a user name or password as %23, %2F and %3F"
    if parts.scheme == "unix":
        return None if len(parts.path) > 1 else "the path of the socket is missing"
    if not parts.hostname or port == 0:
        return "the host is missing, or the port is 0"
    if not (parts.path.strip("/") or "0").isdecimal():
        return "the path must be a database number, such as /0"
    return None


def _refused(url: str) -> str | None:
    # Imports the package now, in 0.3 s, and not between two heartbeats.
    from redis.asyncio.connection import parse_url  # noqa: PLC0415  optional

    try:
        parse_url(str.__str__(url))
    except (ValueError, TypeError) as error:
        return redact(str(error).replace(url, "…"))
    return None


def _secrets_of(url: str) -> list[str]:
    parts = urlsplit(url)
    secrets = [parts.password or "", *(value for key, value in parse_qsl(parts.query) if key in _SECRET)]
    return [form for secret in secrets if secret for form in (secret, unquote(secret))]


def place_of(url: str) -> str:
    """Return the URL without user, password and parameters."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def same_redis(url: str, other: str) -> bool:
    """Whether both URLs name the same database, ignoring user, password and parameters."""
    return _database_of(url) == _database_of(other)


def _database_of(url: str) -> tuple[object, ...]:
    from redis.asyncio.connection import parse_url  # noqa: PLC0415  optional

    said = parse_url(str.__str__(url))
    if (path := said.get("path")) is not None:
        return (path, said.get("db", 0))
    return (str(said.get("host", "localhost")).lower(), said.get("port", 6379), said.get("db", 0))


def reason_of_redis(error: BaseException) -> str:
    """Return why Redis failed and, where the user can act, what to do."""
    reason = redact(" ".join(str(error).split()))[:200] or type(error).__name__
    if (cure := _cure(error, reason)) is not None:
        return f"{reason}; {cure}"
    return reason


def _cure(error: BaseException, reason: str) -> str | None:
    causes = [error, *(cause for cause in (error.__cause__, error.__context__) if cause is not None)]
    words = reason.upper()
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes) or "CERTIFICATE" in words:
        return "for a private certificate authority, add its file: rediss://…?ssl_ca_certs=/path/ca.pem"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "rediss:// uses TLS; use redis:// for a server without TLS"
    if "NOAUTH" in words or "AUTHENTICATION REQUIRED" in words or "ALREADY AUTHENTICATED" in words:
        return "add the password: redis://:PASSWORD@host, or redis://USER:PASSWORD@host"
    if "WRONGPASS" in words or "INVALID USERNAME-PASSWORD" in words or "INVALID PASSWORD" in words:
        return "correct the user or password in the URL"
    if "WITHOUT ANY PASSWORD CONFIGURED" in words or "NO PASSWORD IS SET" in words:
        return "the server has no password; remove it from the URL"
    if "NOPERM" in words or "NO PERMISSIONS" in words:
        commands = (
            "eval, evalsha, time, info, ttl, hget, hmget, hgetall, hset, hsetnx, hdel, hincrby, zadd, zrangebyscore "
            "and expire"
        )
        return f"grant the user {commands} on the keys deepseek-async:* (ACL SETUSER)"
    if "NAME OR SERVICE NOT KNOWN" in words or "NAME RESOLUTION" in words:
        return "check the host name"
    return None
