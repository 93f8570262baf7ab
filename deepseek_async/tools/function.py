"""A Python function as a tool: its schema from signature and docstring, and the call of it from JSON."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import UNSET, Meta, UnsetType

from deepseek_async.codec.json_schema import object_schema
from deepseek_async.errors import InvalidRequestError
from deepseek_async.tools.docstring import described
from deepseek_async.tools.result import MOST_ITEMS, bounded, result_text
from deepseek_async.tools.threads import ToolThreads

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

_NOTHING: Final = frozenset({"", "null"})
"""What models write for the arguments of a function that has none."""
_THREADS: Final = ToolThreads()


class FunctionTool:
    """A function that the model may call.

    - ``function``: async or not; one that is not runs in a thread, so that the event loop goes on. Its
      parameters need types that JSON can carry: numbers, str, bool, lists, dicts, Literals, enums, dataclasses,
      TypedDicts, msgspec Structs. ``Annotated[int, msgspec.Meta(ge=1)]`` sets bounds.
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
        self._arguments = _arguments_type(function, self.name, parameters)
        self._decode = msgspec.json.Decoder(self._arguments).decode
        schema = object_schema(self._arguments)
        schema.pop("title", None)
        self.definition: dict[str, Any] = {
            "type": "function",
            "function": {
                "name": self.name,
                "description": said if description is None else description,
                "parameters": schema,
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
        given = self._arguments_from(arguments)
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

    def _arguments_from(self, arguments: str) -> dict[str, Any]:
        text = arguments.strip()
        decoded = self._decode(text if text not in _NOTHING else "{}")
        given = {name: getattr(decoded, name) for name in decoded.__struct_fields__}
        _refuse_doubled(text)
        return {name: value for name, value in given.items() if value is not UNSET}


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


def _refuse_doubled(arguments: str) -> None:
    """Raises msgspec.ValidationError for an argument that is given twice: which of the two is meant is a guess."""
    if arguments:
        json.loads(arguments, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise msgspec.ValidationError(f"{doubled!r} is given twice in one object; give it once")
    return found


def _arguments_type(function: Callable[..., Any], name: str, said: dict[str, str]) -> type[msgspec.Struct]:
    """A struct with one field for each parameter: msgspec describes it and reads it."""
    try:
        signature = inspect.signature(function)
        hints = get_type_hints(_annotated(function), include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise InvalidRequestError(f"the types of {name}() cannot be read: {error}") from None
    fields: list[Any] = []
    for parameter in signature.parameters.values():
        if parameter.kind in _VARIADIC or parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise InvalidRequestError(
                f"{name}() has the parameter {parameter}, which cannot be given by name; the model gives every "
                "argument by name",
            )
        kind = hints.get(parameter.name, Any)
        facts: dict[str, Any] = {}
        if said.get(parameter.name):
            facts["description"] = said[parameter.name]
        optional = parameter.default is not inspect.Parameter.empty
        if optional and isinstance(parameter.default, bool | int | float | str):
            facts["extra_json_schema"] = {"default": parameter.default}
        if facts:
            kind = Annotated[kind, Meta(**facts)]
        fields.append((parameter.name, kind | UnsetType, UNSET) if optional else (parameter.name, kind))
    try:
        made = msgspec.defstruct(name.replace("-", "_"), fields, kw_only=True, forbid_unknown_fields=True)
        msgspec.json.schema(made)
        msgspec.json.Decoder(made)
    except TypeError as error:
        raise InvalidRequestError(f"{name}() has a parameter of a type that JSON cannot carry: {error}") from None
    return made


def _annotated(function: Callable[..., Any]) -> Any:
    """What carries the annotations: the function, or the ``__call__`` of an object."""
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return getattr(function, "func", None) or type(function).__call__
