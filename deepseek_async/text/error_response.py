"""The response that an error came with, as openai-python's ``error.response`` shows it; credentials are masked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Never

from deepseek_async.text.redaction import redact
from deepseek_async.text.response_names import ResponseNames


class MaskedHeaders(Mapping[str, str]):
    """Response headers, case-insensitive; a key that a server echoes is masked."""

    __slots__ = ("_fields",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        # One pass over all of them; a value contains no line break.
        text = redact("\n".join(f"{name.lower()}:{value}" for name, value in headers.items()))
        self._fields = {name: value for name, _, value in (line.partition(":") for line in text.split("\n")) if name}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return repr(self._fields)


def known_facts(given: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of an error; of a response, with which programs make errors for tests, what is read from it."""
    response = given.pop("response", None)
    if response is None:
        return given
    return {"status_code": response.status_code, "headers": MaskedHeaders(response.headers), **given}


class ErrorResponse(ResponseNames):
    """Status, headers and body of a response; of a body that is JSON, the error object."""

    __slots__ = ("_body", "_error", "headers", "status_code")

    def __init__(self, status_code: int, headers: Mapping[str, str], body: Any, error: Exception) -> None:
        self.status_code = status_code
        self.headers = headers
        self._body = body
        self._error = error

    def raise_for_status(self) -> Never:
        """Raise the error that this response came with."""
        raise self._error

    @property
    def text(self) -> str:
        """The body as text."""
        return self._body if isinstance(self._body, str) else json.dumps(self.json())

    @property
    def content(self) -> bytes:
        """The body as bytes."""
        return self.text.encode()

    def json(self) -> Any:
        """Return the body; an error object as ``{"error": …}``. Raises ValueError if it is not JSON."""
        if isinstance(self._body, dict):
            return self._body if "error" in self._body else {"error": self._body}
        return json.loads(self._body or "")

    def __repr__(self) -> str:
        return f"<ErrorResponse {self.status_code}>"
