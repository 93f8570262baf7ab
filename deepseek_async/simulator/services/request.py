"""What a service is asked, and how it says no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepseek_async.simulator.wire import refusals
from deepseek_async.simulator.wire.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that came as multipart/form-data."""

    filename: str
    content: bytes
    purpose: str
    fields: tuple[str, ...] = ()  # names of all parts, in their order
    values: dict[str, str] = field(default_factory=dict)  # of those that are no file


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRequest:
    """One request, already read and allowed."""

    account: str
    ids: tuple[str, ...] = ()  # the variable parts of the path
    query: Mapping[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    upload: Upload | None = None
    base_url: str = ""
    now: int = 0  # seconds since 1970
    at: float = 0.0  # seconds of a clock that does not go back


@dataclass(frozen=True, slots=True)
class Binary:
    """An answer that is not JSON."""

    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Charged:
    """An answer that is paid by the piece."""

    body: dict[str, Any]
    fees: dict[str, int]  # how many of each kind are billed


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A document that is stored, and paid by the page, once it has been parsed."""

    described: dict[str, Any]
    content: bytes
    pages: int


Outcome = Charged | Unparsed | dict[str, Any] | Binary | Refusal


class WrongRequestError(Exception):
    """Carries a refusal out of the code that noticed it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.refusal = refusals.invalid_request(message, status)


def text(body: dict[str, Any], name: str, *, required: bool = True) -> str:
    """A field that must be a text; empty if it may be left out and is."""
    value = body.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value:
        raise WrongRequestError(f"Invalid '{name}': expected a non-empty string")
    return value


def number(body: dict[str, Any], name: str, low: int, high: int, default: int | None = None) -> int | None:
    """A whole number within its range, or the default."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise WrongRequestError(f"Invalid '{name}': expected an integer between {low} and {high}")
    return value


def one_of(body: dict[str, Any], name: str, known: tuple[str, ...], default: str) -> str:
    """A word out of a few, or the default."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or value not in known:
        raise WrongRequestError(f"Invalid '{name}': expected one of {', '.join(known)}")
    return value


def missing(what: str, name: str) -> WrongRequestError:
    """There is no object of this name. A server that has the endpoint says so in JSON."""
    return WrongRequestError(f"No such {what}: {name}", 404)
