"""Arguments of the tool calls in an answer as objects: of tools with ``strict``, or made of a pydantic model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepseek_async.errors import StructuredOutputError
from deepseek_async.types import ChatCompletion
from deepseek_async.types.json_text import read


class ToolArguments:
    """Parses arguments by the tools of the request.

    A tool is parsed if its function has ``strict``; by the class behind it if openai's ``pydantic_function_tool``
    made it, which keeps the class as ``model``.
    """

    def __init__(self, tools: Any) -> None:
        listed = tools if isinstance(tools, Sequence) else ()
        functions = [tool.get("function") for tool in listed if isinstance(tool, Mapping)]
        self._functions = {
            function["name"]: function for function in functions if isinstance(function, Mapping) and "name" in function
        }

    def parse(self, name: str, arguments: str) -> Any:
        """Return the arguments as an object; None if they are not to be parsed. Raises ValueError."""
        function = self._functions.get(name)
        if function is None:
            return None
        model = getattr(function, "model", None)
        if model is not None:
            return model.model_validate_json(arguments)
        return read(arguments.encode()) if function.get("strict") else None

    def reads(self, name: str) -> bool:
        """Whether the arguments of a function are parsed."""
        function = self._functions.get(name)
        return function is not None and (getattr(function, "model", None) is not None or bool(function.get("strict")))

    def object_in(self, name: str, arguments: str) -> Any:
        """Return ``parse``, or None for arguments that do not fit."""
        try:
            return self.parse(name, arguments)
        except Exception:  # noqa: BLE001  validators of a class may raise anything
            return None

    def put_in(self, completion: ChatCompletion) -> None:
        """Set ``parsed_arguments`` of all calls. Raises StructuredOutputError, with ``completion`` as ``partial``."""
        for choice in completion.choices if self._functions else ():
            for call in choice.message.tool_calls or ():
                function = call.function
                try:
                    function.parsed_arguments = self.parse(function.name, function.arguments)
                except Exception as error:  # noqa: BLE001
                    raise StructuredOutputError(
                        f"the arguments of the call of {function.name} do not fit its parameters: {error}",
                        partial=completion,
                        attempts=1,
                        retryable=choice.finish_reason != "length",
                    ) from None
