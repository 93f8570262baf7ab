"""Names that a program gives to its calls, for metrics, audit and spending; never sent to the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

from deepseek_async.text.unicode import encodable


class Labels(msgspec.Struct, frozen=True):
    """What calls made now are labelled with."""

    tag: str | None = None
    """What the call is for, for example ``summaries``."""
    prompt_version: str | None = None
    """Version of the prompt, for example ``summary-v3``."""
    conversation: str | None = None
    """Identifier of the conversation it belongs to."""


_NONE = Labels()
_CURRENT: ContextVar[Labels] = ContextVar("deepseek_async_labels", default=_NONE)


def current_labels() -> Labels:
    """The labels of the running context."""
    return _CURRENT.get()


@contextmanager
def labelled(
    *,
    tag: str | None = None,
    prompt_version: str | None = None,
    conversation: str | None = None,
) -> Iterator[Labels]:
    """Label every call made inside the ``with`` block, and in tasks begun in it.

    They go into files, so what UTF-8 cannot carry of them is replaced. Those left out keep what an outer block has set:

        with labelled(tag="summaries", prompt_version="summary-v3"):
            await client.chat.completions.create(...)
    """
    outer = _CURRENT.get()
    labels = Labels(
        tag=outer.tag if tag is None else encodable(tag),
        prompt_version=outer.prompt_version if prompt_version is None else encodable(prompt_version),
        conversation=outer.conversation if conversation is None else encodable(conversation),
    )
    token = _CURRENT.set(labels)
    try:
        yield labels
    finally:
        _CURRENT.reset(token)
