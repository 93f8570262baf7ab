"""A Python function as a tool: its schema from signature and docstring, and the call of it from JSON."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from deepseek_async.errors import InvalidRequestError
from deepseek_async.tools.arguments import Arguments
from deepseek_async.tools.docstring import described
from deepseek_async.tools.result import MOST_ITEMS, bounded, result_text
from deepseek_async.tools.threads import ToolThreads

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_THREADS: Final = ToolThreads()


class FunctionTool:
    """A function that the model may call.

    - ``function``: async or not; one that is not runs in a thread, so that the event loop goes on. Its
      parameters need types that JSON can carry: numbers, str, bool, lists, dicts, Literals, enums, paths, dates,
      dataclasses, TypedDicts, msgspec Structs, pydantic models, and all of these inside one another.
      ``Annotated[int, msgspec.Meta(ge=1)]`` and ``Annotated[int, pydantic.Field(ge=1)]`` set bounds.
    - ``name``, ``description``: the function's own and its docstring's by default. The docstring's parameter
      section (Google, NumPy or Sphinx) describes the parameters.

    Raises InvalidRequestError for a function that cannot be described.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
    ) -> None:
        self.name: str = name or str(getattr(function, "__name__", ""))
        if not _NAME.fullmatch(self.name):
            raise InvalidRequestError(
                f"{self.name!r} cannot be a tool's name (A-Z, a-z, 0-9, _, -; up to 64); pass FunctionTool(…, name=…)",
            )
        said, parameters = described(inspect.getdoc(function))
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None),  # noqa: B004  an object with an async __call__
        )
        self._arguments = Arguments(function, self.name, parameters)
        self.definition: dict[str, Any] = {
            "type": "function",
            "function": {
                "name": self.name,
                "description": said if description is None else description,
                "parameters": self._arguments.schema,
            },
        }
        """The tool as the API takes it."""

    def __repr__(self) -> str:
        return f"<FunctionTool {self.name}>"

    async def answer(self, arguments: str, threads: ToolThreads | None = None) -> str:
        """Call the function with arguments in JSON; what it returns, as text for the model.

        A str goes back as it is, what a generator gives as a list, anything else as JSON. Raises
        msgspec.DecodeError for arguments that do not fit, and whatever the function raises; for StopIteration,
        which no coroutine can raise, RuntimeError.
        """
        given = self._arguments.decode(arguments)
        if self._is_async:
            result = await self._function(**given)
        else:
            result, error = await (threads or _THREADS).run(partial(_outcome, self._function, given))
            if isinstance(error, StopIteration):
                raise RuntimeError("StopIteration, as next() raises it where nothing is left") from error
            if error is not None:
                raise error
            if isinstance(result, _Text):
                return result.text
        if inspect.isawaitable(result):
            result = await result
        if isinstance(result, AsyncIterator):
            result = [item async for item in _first(result, MOST_ITEMS + 1)]
            bounded(result)
        return result_text(result)


class _Text(msgspec.Struct):
    """What a function returned, already as text: a thread has the time for it, and the event loop has not."""

    text: str


def _outcome(function: Callable[..., Any], given: Mapping[str, Any]) -> tuple[Any, BaseException | None]:
    """What the function returned, or what it raised: not everything can be raised across threads."""
    try:
        result = function(**given)
        if inspect.isawaitable(result) or isinstance(result, AsyncIterator):
            return result, None
        return _Text(result_text(result)), None
    except BaseException as error:  # noqa: BLE001  also StopIteration, CancelledError and SystemExit
        return None, error


async def _first(items: AsyncIterator[Any], count: int) -> AsyncIterator[Any]:
    taken = 0
    try:
        async for item in items:
            yield item
            taken += 1
            if taken == count:
                return
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
