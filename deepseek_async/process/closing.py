"""What ``with`` and ``async with`` close when they are left."""

from __future__ import annotations

from abc import abstractmethod
from types import TracebackType
from typing import Self


class ClosedOnExit:
    """``with`` closes it."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Close it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncClosedOnExit:
    """``async with`` closes it."""

    __slots__ = ()

    @abstractmethod
    async def aclose(self) -> None:
        """Close it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
