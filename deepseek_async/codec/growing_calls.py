"""Assembly of tool calls from fragments. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.codec.text_buffer import Pieces
from deepseek_async.codec.undeclared_fields import CallFields, Fields, add
from deepseek_async.types import Function, FunctionDelta, ToolCall, ToolCallDelta
from deepseek_async.types.json_text import read

_MOST_LOOKS: Final = 16
"""Maximum attempts to parse the arguments of one call; only a hostile server makes them look complete more often."""


class GrowingFunction(msgspec.Struct, gc=False):
    """Name and arguments of a function, still being received."""

    name: Pieces = msgspec.field(default_factory=Pieces)
    arguments: Pieces = msgspec.field(default_factory=Pieces)

    def add(self, delta: FunctionDelta, *, repeated: bool) -> None:
        """Add a fragment, which repeats the full name if ``repeated``."""
        if delta.name and not (repeated and self._is_named(delta.name)):
            self.name.add(delta.name)
        if delta.arguments:
            self.arguments.add(delta.arguments)

    def _is_named(self, name: str) -> bool:
        # A name is too short to have been packed.
        return not self.name.earlier and self.name.size == len(name) and self.name.text == name

    def __bool__(self) -> bool:
        """Whether anything has been received."""
        return bool(self.name or self.arguments)

    @property
    def size(self) -> int:
        return self.name.size + self.arguments.size

    def finished(self) -> Function:
        return Function(name=self.name.text, arguments=self.arguments.text)


class _GrowingCall(msgspec.Struct, gc=False):
    """A call still being received."""

    index: int
    id: str = ""
    type: str = "function"
    function: GrowingFunction = msgspec.field(default_factory=GrowingFunction)
    looked: int = 0
    """How often its arguments were parsed to see whether they are complete."""
    undeclared: tuple[Fields, Fields] | None = None
    """Undeclared fields of the call and of its function."""

    def add(self, delta: ToolCallDelta) -> None:
        """Add a fragment."""
        self.id = self.id or delta.id or ""
        self.type = delta.type or self.type
        if delta.function is not None:
            # Some servers send a name in pieces, others repeat all of it in every fragment.
            self.function.add(delta.function, repeated=bool(delta.id or self.function.arguments))

    def is_before(self, delta: ToolCallDelta) -> bool:
        """Whether ``delta`` begins another call because the arguments of this one are complete.

        Two objects in a row are never one call's arguments, whatever id and index are (Gemini sends both empty).
        """
        function = delta.function
        if function is None or not (function.arguments or "").lstrip().startswith("{"):
            return False
        arguments = self.function.arguments
        # Most pieces end elsewhere; parsing the whole text for each piece would take quadratic time.
        if not arguments or self.looked == _MOST_LOOKS or not arguments.ends_with("}"):
            return False
        self.looked += 1
        return _is_json(arguments.text)

    def finished(self) -> ToolCall:
        return ToolCall(id=self.id, type=self.type, function=self.function.finished(), index=self.index)


class GrowingCalls(msgspec.Struct, gc=False):
    """Tool calls of a choice; fragments are matched by id if present, else by index.

    Gateways number them differently: two calls with one index, no index, start and rest of a call with two.
    """

    calls: list[_GrowingCall] = []
    at: dict[int, _GrowingCall] = {}
    """Latest call with each index."""
    named: dict[str, _GrowingCall] = {}
    """First call with each id."""
    taken: dict[int, None] = {}
    """Indices in use."""
    next: int = 0
    """An index greater than all of them."""

    def add(self, deltas: list[ToolCallDelta]) -> None:
        """Add fragments."""
        for delta in deltas:
            call = self._call_of(delta)
            delta.index = call.index  # for callers that assemble the fragments by index
            call.add(delta)
            if delta.id:
                self.named.setdefault(delta.id, call)

    def _call_of(self, delta: ToolCallDelta) -> _GrowingCall:
        there = self.at.get(delta.index)
        named = delta.function is not None and bool(delta.function.name)
        if there is not None and self._goes_on(there, delta, named=named):
            return there
        if not delta.id and not named and self.calls:
            there = self.calls[-1]  # rest of a call whose start had another index
        elif delta.id and not (named and there is None):
            known = self.named.get(delta.id)
            there = None if known is there else known
        else:
            there = None
        if there is None:
            there = self._start(delta.index)
        self.at[delta.index] = there
        return there

    def _goes_on(self, there: _GrowingCall, delta: ToolCallDelta, *, named: bool) -> bool:
        """Whether ``delta`` continues the call ``there`` with the same index."""
        if named and there.is_before(delta):
            return False
        if not delta.id or there.id in {"", delta.id}:
            return True
        # An id alone does not start a call: some servers invent an id for each fragment (OCI).
        arguments = delta.function is not None and delta.function.arguments
        return not named and self.named.get(delta.id, there if arguments else None) is there

    def _start(self, index: int) -> _GrowingCall:
        if index in self.taken:
            index = self.next
        self.taken[index] = None
        self.next = max(self.next, index + 1)
        started = _GrowingCall(index)
        self.calls.append(started)
        return started

    def add_undeclared(self, came: list[CallFields]) -> None:
        """Add the undeclared fields of fragments already passed to ``add``."""
        for fields in came:
            call = (self.named.get(fields.id) if fields.id else None) or self.at.get(fields.index)
            if call is not None:
                call.undeclared = call.undeclared or ({}, {})
                add(call.undeclared[0], fields.fields)
                add(call.undeclared[1], fields.function)

    @property
    def size(self) -> int:
        return sum(call.function.size for call in self.calls)

    def finished(self) -> list[ToolCall]:
        return [call.finished() for call in sorted(self.calls, key=lambda call: call.index)]

    def further(self) -> list[Fields]:
        """Return what ``finished`` cannot hold, for each call."""
        found = []
        for call in sorted(self.calls, key=lambda call: call.index):
            fields, function = call.undeclared or ({}, {})
            found.append({**fields, "function": function} if function else dict(fields))
        return found


def _is_json(text: str) -> bool:
    try:
        read(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True
