"""The URL of a Redis: checked before anything is connected, shown without what is secret in it, and why it failed."""

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
"""Parameters of a URL that hold one."""


def is_redis(value: object) -> bool:
    """Whether ``value`` is meant as the URL of a Redis."""
    return isinstance(value, str) and value.partition("://")[0].lower() in SCHEMES and "://" in value


def checked_redis(name: str, url: str) -> Secret:
    """``url``, which does not show itself, and whose password is masked in every text while somebody holds it.

    Raises ConfigurationError, naming the setting, for what is no URL of a Redis, or without the redis package.
    """
    # Nothing here may be raised by a function whose locals hold a part of it.
    url = Secret(url.strip())
    if (problem := _problem(url)) is not None:
        raise ConfigurationError(
            f"{name} must be a URL such as redis://127.0.0.1:6379/0, rediss://… for TLS, or unix:///run/redis.sock: "
            f"{problem}"
        )
    if find_spec("redis") is None:
        raise ConfigurationError(f'{name} needs the redis package: pip install "deepseek-async[redis]"')
    if (problem := _refused(url)) is not None:
        raise ConfigurationError(f"{name} is not understood by the redis package: {problem}")
    secrets = _secrets_of(url)
    return KnownSecret(url, *secrets) if secrets else url


def _problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a bracket without its pair, a port that is no number
        return "its host or port is none, or # / or ? in a password are not written %23, %2F and %3F"
    if parts.scheme not in SCHEMES:
        return f"there is {', '.join(SCHEMES)}"
    if "@" in parts.path or "#" in url:
        return "# / and ? in a user name or password are written %23, %2F and %3F"
    if parts.scheme == "unix":
        return None if len(parts.path) > 1 else "it names no socket"
    if not parts.hostname or port == 0:
        return "it names no host, or no port"
    if not (parts.path.strip("/") or "0").isdecimal():
        return "after the host comes the number of a database, as in /0"
    return None


def _refused(url: str) -> str | None:
    # What is loaded now, in 0.3 s, is not loaded between two heartbeats.
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
    """Where it is, without user, password and parameters."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def same_redis(url: str, other: str) -> bool:
    """Whether both name the same database, with whichever user, password and parameters."""
    return _database_of(url) == _database_of(other)


def _database_of(url: str) -> tuple[object, ...]:
    from redis.asyncio.connection import parse_url  # noqa: PLC0415  optional

    said = parse_url(str.__str__(url))
    if (path := said.get("path")) is not None:
        return (path, said.get("db", 0))
    return (str(said.get("host", "localhost")).lower(), said.get("port", 6379), said.get("db", 0))


def reason_of_redis(error: BaseException) -> str:
    """Why Redis did not do what it was asked for, and what to do where that is the user's to do."""
    reason = redact(" ".join(str(error).split()))[:200] or type(error).__name__
    if (cure := _cure(error, reason)) is not None:
        return f"{reason}; {cure}"
    return reason


def _cure(error: BaseException, reason: str) -> str | None:
    causes = [error, *(cause for cause in (error.__cause__, error.__context__) if cause is not None)]
    words = reason.upper()
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes) or "CERTIFICATE" in words:
        return "if its authority is your own, name the file: rediss://…?ssl_ca_certs=/path/ca.pem"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "rediss:// speaks TLS; a Redis without it is named redis://"
    if "NOAUTH" in words or "AUTHENTICATION REQUIRED" in words or "ALREADY AUTHENTICATED" in words:
        return "it wants a password: redis://:PASSWORD@host, or redis://USER:PASSWORD@host"
    if "WRONGPASS" in words or "INVALID USERNAME-PASSWORD" in words or "INVALID PASSWORD" in words:
        return "user or password in the URL are wrong"
    if "WITHOUT ANY PASSWORD CONFIGURED" in words or "NO PASSWORD IS SET" in words:
        return "it has no password; leave it out of the URL"
    if "NOPERM" in words or "NO PERMISSIONS" in words:
        commands = (
            "eval, evalsha, time, info, ttl, hget, hmget, hgetall, hset, hsetnx, hdel, hincrby, zadd, zrangebyscore "
            "and expire"
        )
        return f"the user needs {commands} on the keys deepseek-async:* (ACL SETUSER)"
    if "NAME OR SERVICE NOT KNOWN" in words or "NAME RESOLUTION" in words:
        return "is the host's name right?"
    return None
