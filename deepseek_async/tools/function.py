"""Python functions as tools: schema from signature and docstring, execution from JSON arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from deepseek_async.errors import InvalidRequestError
from deepseek_async.process.worker_threads import WorkerThreads
from deepseek_async.tools.arguments import Arguments
from deepseek_async.tools.docstring import described
from deepseek_async.tools.result import MOST_ITEMS, bounded, result_text

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_THREADS: Final = WorkerThreads(40)


class FunctionTool:
    """A function that the model may call.

    - ``function``: async or not; a synchronous one runs in a thread, so that the event loop is not blocked. Its
      parameters need types that JSON can represent: numbers, str, bool, lists, dicts, Literals, enums, paths,
      dates, dataclasses, TypedDicts, msgspec Structs, pydantic models, nested in any way.
      ``Annotated[int, msgspec.Meta(ge=1)]`` and ``Annotated[int, pydantic.Field(ge=1)]`` set bounds.
    - ``name``, ``description``: default to the function's name and docstring. The docstring's parameter section
      (Google, NumPy or Sphinx) describes the parameters.

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
                f"a tool name must be 1 to 64 of A-Z, a-z, 0-9, _, -; got {self.name!r}; pass FunctionTool(…, name=…)",
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
        """The tool in the API's format."""

    def __repr__(self) -> str:
        return f"<FunctionTool {self.name}>"

    async def answer(self, arguments: str, threads: WorkerThreads | None = None) -> str:
        """Call the function with JSON arguments and return its result as text for the model.

        A str is returned unchanged, the items of a generator as a list, anything else as JSON. Raises
        msgspec.DecodeError for invalid arguments, and the exceptions of the function; RuntimeError instead of
        StopIteration, which a coroutine cannot raise.
        """
        given = self._arguments.decode(arguments)
        if self._is_async:
            result = await self._function(**given)
        else:
            result, error = await (threads or _THREADS).run(partial(_outcome, self._function, given))
            if isinstance(error, StopIteration):
                raise RuntimeError("StopIteration raised by the function") from error
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
    """A result converted to text in the function's thread, to keep the conversion off the event loop."""

    text: str


def _outcome(function: Callable[..., Any], given: Mapping[str, Any]) -> tuple[Any, BaseException | None]:
    """Return the function's result, or its exception: not every exception can be raised across threads."""
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
