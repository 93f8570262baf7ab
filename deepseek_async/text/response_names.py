"""Names of httpx's responses for ``raw.http_response``, ``stream.response`` and ``error.response``."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Self


class ResponseNames:
    """What programs written for openai-python ask of a response beside status, headers and body."""

    __slots__ = ()

    @property
    def is_informational(self) -> bool:
        """Whether the status is 1xx."""
        return self._class == 1

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx; an error object may come inside a 200."""
        return self._class == 2

    @property
    def is_redirect(self) -> bool:
        """Whether the status is 3xx."""
        return self._class == 3

    @property
    def is_client_error(self) -> bool:
        """Whether the status is 4xx."""
        return self._class == 4

    @property
    def is_server_error(self) -> bool:
        """Whether the status is 5xx."""
        return self._class == 5

    @property
    def is_error(self) -> bool:
        """Whether the status is 4xx or 5xx."""
        return self._class in (4, 5)

    @property
    def is_closed(self) -> bool:
        """Whether the body has been read: it has."""
        return True

    @property
    def reason_phrase(self) -> str:
        """The usual words for the status."""
        try:
            return HTTPStatus(self._status).phrase
        except ValueError:
            return ""

    @property
    def http_version(self) -> str:
        """The version of HTTP that this library speaks."""
        return "HTTP/1.1"

    @property
    def encoding(self) -> str:
        """Character encoding of the body."""
        return "utf-8"

    def raise_for_status(self) -> Self:
        """Return this response: what a call returns has succeeded."""
        return self

    @property
    def _status(self) -> int:
        status: int = object.__getattribute__(self, "status_code")
        return status

    @property
    def _class(self) -> int:
        return self._status // 100

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"a response has no {name!r} here: it has status_code, headers, is_success and is_error, and text, content "
            "and json() of a body that has been read; transport= sees the exchange itself",
            name=name,
            obj=self,
        )
