"""Service requests, outcomes and field validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepseek_async.simulator.wire import refusals
from deepseek_async.simulator.wire.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file uploaded as multipart/form-data."""

    filename: str
    content: bytes
    purpose: str
    fields: tuple[str, ...] = ()  # names of all parts, in order
    values: dict[str, str] = field(default_factory=dict)  # values of parts other than files


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRequest:
    """One request, parsed and authorized."""

    account: str
    ids: tuple[str, ...] = ()  # the variable parts of the path
    query: Mapping[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    upload: Upload | None = None
    base_url: str = ""
    now: int = 0  # seconds since 1970
    at: float = 0.0  # seconds of a monotonic clock


@dataclass(frozen=True, slots=True)
class Binary:
    """A response that is not JSON."""

    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Charged:
    """A response with fees."""

    body: dict[str, Any]
    fees: dict[str, int]  # billed quantity by kind


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A document to be stored and billed by the page once parsed."""

    described: dict[str, Any]
    content: bytes
    pages: int


Outcome = Charged | Unparsed | dict[str, Any] | Binary | Refusal


class WrongRequestError(Exception):
    """Carries an error response out of the validating code."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.refusal = refusals.invalid_request(message, status)


def text(body: dict[str, Any], name: str, *, required: bool = True) -> str:
    """Return a string field; empty if optional and absent."""
    value = body.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value:
        raise WrongRequestError(f"Invalid '{name}': expected a non-empty string")
    return value


def number(body: dict[str, Any], name: str, low: int, high: int, default: int | None = None) -> int | None:
    """Return an integer within its range, or the default."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise WrongRequestError(f"Invalid '{name}': expected an integer between {low} and {high}")
    return value


def one_of(body: dict[str, Any], name: str, known: tuple[str, ...], default: str) -> str:
    """Return one of the known values, or the default."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or value not in known:
        raise WrongRequestError(f"Invalid '{name}': expected one of {', '.join(known)}")
    return value


def missing(what: str, name: str) -> WrongRequestError:
    """Return the error for an unknown object: 404 with a JSON body."""
    return WrongRequestError(f"No such {what}: {name}", 404)
