"""Labels that a program attaches to its calls, for metrics, audit and spending; never sent to the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

from deepseek_async.text.unicode import encodable


class Labels(msgspec.Struct, frozen=True):
    """Labels of a call."""

    tag: str | None = None
    """Purpose of the call, for example ``summaries``."""
    prompt_version: str | None = None
    """Version of the prompt, for example ``summary-v3``."""
    conversation: str | None = None
    """Conversation identifier."""


_NONE = Labels()
_CURRENT: ContextVar[Labels] = ContextVar("deepseek_async_labels", default=_NONE)


def current_labels() -> Labels:
    """Return the labels of the current context."""
    return _CURRENT.get()


@contextmanager
def labelled(
    *,
    tag: str | None = None,
    prompt_version: str | None = None,
    conversation: str | None = None,
) -> Iterator[Labels]:
    """Label every call in the ``with`` block, including calls of tasks started in it.

    Characters that UTF-8 cannot encode are replaced, because labels are written to files. An argument that is left out
    keeps the value of the enclosing block:

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
