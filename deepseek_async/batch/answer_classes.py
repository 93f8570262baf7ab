"""Requests that name a class of their own as ``response_format``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.errors import InvalidRequestError
from deepseek_async.structured import StructuredOutput

_MAPPINGS: Final = (dict, Mapping)
"""dict first, because to ask an abstract class costs a row half a microsecond."""


class AnswerClasses:
    """Takes the classes out of requests; each is made ready once."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, StructuredOutput[Any]]] = []

    def own(self, request: Any) -> tuple[Mapping[str, Any], StructuredOutput[Any]] | None:
        """The request without its class, and the form of its answer; None for a request without a class."""
        if not isinstance(request, _MAPPINGS) or "response_format" not in request:
            return None
        output = self._output(request["response_format"])
        if output is None:
            return None
        return {name: value for name, value in request.items() if name != "response_format"}, output

    def _output(self, given: Any) -> StructuredOutput[Any] | None:
        for kind, output in self._made:
            if kind is given:
                return output
        try:
            made = StructuredOutput.of(given)
        except InvalidRequestError:
            return None  # the request says it itself when it is written
        if made is not None:
            self._made.append((given, made))
        return made
