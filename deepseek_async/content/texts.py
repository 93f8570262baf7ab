"""Every text of a JSON value, whatever its field is called: what nobody knows today is looked at too. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

_WORDS: Final = frozenset(
    {
        "call_id",
        "effort",
        "encoding_format",
        "finish_reason",
        "format",
        "id",
        "item_id",
        "model",
        "object",
        "previous_response_id",
        "purpose",
        "quality",
        "reasoning_effort",
        "role",
        "service_tier",
        "size",
        "status",
        "system_fingerprint",
        "tool_call_id",
        "type",
    },
)
"""Fields whose values are words of the API and ids, which may look like a telephone number."""

_BYTES: Final = frozenset({"b64_json", "embedding", "encrypted_content", "file_data"})
"""Fields whose values are bytes in base64."""

_BINARY: Final = re.compile(r"data:[^,]{0,200};base64,")

_SHORTEST: Final = 10
"""Characters of the shortest secret that has a form: ``pwd=123456``."""

LOGPROBS: Final = "logprobs"
"""The text once more, in pieces that no pattern recognises."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a text stands in a value that was copied."""

    container: Any
    at: Any
    text: str
    prose: bool
    """Whether it is a text, and no word of the API: in that only secrets are looked for."""
    name: bool = False
    """Whether it is the name of a field."""
    choice: dict[str, Any] | None = None
    """What has the log probabilities of this text."""

    def put(self, text: str) -> None:
        """Put ``text`` in the place of what stands there."""
        if self.name:
            self.container[text] = self.container.pop(self.at)
        else:
            self.container[self.at] = text
        if self.choice is not None:
            self.choice[LOGPROBS] = None


def copied(value: Any) -> tuple[Any, list[Place]]:
    """A copy of ``value`` whose texts may be replaced, and where they stand."""
    places: list[Place] = []
    return _copied(value, places, None), places


def _copied(value: Any, places: list[Place], choice: dict[str, Any] | None) -> Any:
    if isinstance(value, Mapping):
        mapping: dict[Any, Any] = dict(value)
        if mapping.get(LOGPROBS) is not None and not isinstance(mapping[LOGPROBS], bool | int):
            choice = mapping
        for name, item in value.items():
            if isinstance(item, str):
                places.extend(_place(mapping, name, item, choice))
            elif item is not None and name != LOGPROBS:
                mapping[name] = _copied(item, places, choice)
        # After the values, so that these are replaced before their field is renamed.
        names = (name for name in value if isinstance(name, str) and len(name) >= _SHORTEST)
        places.extend(Place(mapping, name, name, prose=False, name=True) for name in names)
        return mapping
    if isinstance(value, list | tuple):
        items = list(value)
        for position, item in enumerate(items):
            if isinstance(item, str):
                places.extend(_place(items, position, item, choice))
            elif item is not None:
                items[position] = _copied(item, places, choice)
        return items
    return value


def _place(container: Any, at: Any, text: str, choice: dict[str, Any] | None) -> Iterator[Place]:
    prose = at not in _WORDS
    if text and (prose or len(text) >= _SHORTEST) and at not in _BYTES and _BINARY.match(text) is None:
        yield Place(container, at, text, prose=prose, choice=choice)
