"""Fields that openai-python declares and DeepSeek does not send."""

from __future__ import annotations

from typing import Any


class Unsent:
    """A field that is None, as in openai-python, unless a server sends it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else (instance.sent() or {}).get(self._name)
