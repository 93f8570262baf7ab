"""A list that may be awaited, for its first page, or iterated over, page after page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

PageT = TypeVar("PageT")
EntryT = TypeVar("EntryT")


class Listing(Coroutine[Any, Any, PageT], Generic[PageT, EntryT]):
    """``await`` it for one page, or ``async for entry in`` it for all entries. Nothing is sent before.

    It is a coroutine, so it may also be made a task.
    """

    def __init__(
        self,
        first: Callable[[], Coroutine[Any, Any, PageT]],
        entries: Callable[[PageT], list[EntryT]],
        following: Callable[[PageT], Coroutine[Any, Any, PageT] | None] | None = None,
    ) -> None:
        self._first = first
        self._entries = entries
        self._following = following
        self._begun: Coroutine[Any, Any, PageT] | None = None

    def _run(self) -> Coroutine[Any, Any, PageT]:
        if self._begun is None:
            self._begun = self._first()
        return self._begun

    def __await__(self) -> Generator[Any, Any, PageT]:
        return self._run().__await__()

    def send(self, value: Any) -> Any:
        """Run until the next wait."""
        return self._run().send(value)

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None) -> Any:
        """Raise inside."""
        return self._run().throw(typ if val is None else val, None, tb)

    def close(self) -> None:
        """End it, if it has begun."""
        if self._begun is not None:
            self._begun.close()

    async def __aiter__(self) -> AsyncIterator[EntryT]:
        page = await self._first()
        while True:
            for entry in self._entries(page):
                yield entry
            following = None if self._following is None else self._following(page)
            if following is None:
                return
            page = await following
