"""Header fields of a response, read from its raw head when somebody asks for them. Pure."""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterator, Mapping
from functools import lru_cache
from typing import Any


@lru_cache(256)
def _searched(name: str) -> bytes:
    return b"\r\n%b:" % name.lower().encode()


class HeaderFields(Mapping[str, str]):
    """Header fields with case-insensitive names, looked up in the raw head, because most are never read."""

    __slots__ = ("_lowered", "_raw")

    def __init__(self, raw: bytes, lowered: bytes) -> None:
        self._raw = raw
        self._lowered = lowered

    def __getitem__(self, name: str) -> str:
        value: str | None = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Return the field's value; avoids the exception of ``Mapping.get``, because most fields are absent."""
        at = self._lowered.find(_searched(name))
        if at < 0:
            return default
        start = at + len(name) + 3
        end = self._raw.find(b"\r\n", start)
        return self._raw[start : end if end >= 0 else None].strip(b" \t").decode("utf-8", "replace")

    def items(self) -> ItemsView[str, str]:
        """Return all fields, the first of each name; one pass, where ``Mapping.items`` searches the head for each."""
        found: dict[str, str] = {}
        for line in self._raw.split(b"\r\n")[1:]:
            name, colon, value = line.partition(b":")
            if colon:
                found.setdefault(name.lower().decode("latin-1"), value.strip(b" \t").decode("utf-8", "replace"))
        return found.items()

    def matching(self, fields: re.Pattern[bytes]) -> dict[str, str]:
        """Return the fields found by a pattern for a line end, a group with a name in lower case, and a colon.

        Of a dozen fields a gateway returns one or two: the others need not be decoded for that.
        """
        found: dict[str, str] = {}
        for match in fields.finditer(self._lowered):
            end = self._raw.find(b"\r\n", match.end())
            value = self._raw[match.end() : end if end >= 0 else None]
            found.setdefault(match[1].decode("latin-1"), value.strip(b" \t").decode("utf-8", "replace"))
        return found

    def __iter__(self) -> Iterator[str]:
        names = (line.partition(b":")[0].decode("latin-1") for line in self._lowered.split(b"\r\n") if b":" in line)
        return iter(dict.fromkeys(names))

    def __len__(self) -> int:
        return sum(1 for _ in self)
