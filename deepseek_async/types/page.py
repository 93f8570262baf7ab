"""Names that openai-python's pages have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Never, Self


class Page:
    """One page of a list. ``async for entry in`` the call that lists goes through all pages."""

    __slots__ = ()

    def has_next_page(self) -> bool:
        """Whether there are more entries than these."""
        return bool(getattr(self, "has_more", False))

    def next_page_info(self) -> dict[str, str | None] | None:
        """Return the arguments of the call for the next page; None after the last one."""
        return {"after": getattr(self, "last_id", None)} if self.has_next_page() else None

    async def get_next_page(self) -> Never:
        """Raise RuntimeError: a page has no connection. ``async for`` over the call that lists goes through all."""
        if not self.has_next_page():
            raise RuntimeError("there is no next page: look at has_next_page() before get_next_page()")
        raise RuntimeError(
            f"a page does not ask for the next one: list(after={getattr(self, 'last_id', None)!r}) does, or async for "
            "over list(), which goes through all pages"
        )

    async def iter_pages(self) -> AsyncIterator[Self]:
        """Yield this page. Raises RuntimeError if there are more: see ``get_next_page``."""
        yield self
        if self.has_next_page():
            await self.get_next_page()
